"""Snippet features on disk: one safetensors file for each video and backbone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from vadistill.datasets.base import Video
from vadistill.datasets.sources import pictures
from vadistill.errors import ConfigError, DataError, WeightsError
from vadistill.files import (
    content_hash,
    read_json,
    read_safetensors,
    write_json,
    write_safetensors,
)
from vadistill.video import ArraySource

WHOLE = 64 << 20
"""Bytes of the largest video file that is hashed whole."""

SAMPLES = 16
"""Blocks of a larger file, and pictures of a frame folder, whose content is hashed."""

BLOCK = 1 << 20
MANIFEST = "manifest.json"

Facts = dict[str, str | int]
"""What is told of an entry: its video, backbone, clips, dim and frames."""


def content_key(video: Video) -> str:
    """A hash of a video's content, and of what of it is hidden, whatever its name and folder.

    Files up to 64 MiB and pixels are hashed whole.  Of a larger file its size and 16 blocks of
    1 MiB count, evenly spaced from its first byte to its last; of a frame folder all names and
    sizes, and 16 whole pictures likewise.  So a copied or renamed video is found again, and a
    re-encoded or cut one is another; bytes changed in place between the blocks go unnoticed.
    Raises DataError for a source that is neither, such as a stream.
    """
    key = _content_key(video)
    return content_hash(key, f"hidden {video.hidden}") if video.hidden else key


def _content_key(video: Video) -> str:
    source = video.source
    path = source if isinstance(source, Path) else getattr(source, "path", None)
    if isinstance(source, np.ndarray):
        return content_hash(f"pixels {source.shape}", np.ascontiguousarray(source).tobytes())
    if isinstance(source, ArraySource):
        return content_hash("frames", *(content_hash(frame.image.tobytes()) for frame in source))
    if not isinstance(path, Path):
        raise DataError(
            f"video {video.name} is a {type(source).__name__}",
            expected="a video file, a folder of frames or pixels, whose features can be kept",
            fix="record it to a file",
        )
    try:
        return _folder_key(path) if path.is_dir() else _file_key(path)
    except OSError as error:
        raise DataError(
            f"cannot read {path} ({error.strerror})",
            expected="a video file or a folder of frames",
            fix="check the path and its permissions",
        ) from error


def _file_key(path: Path) -> str:
    size = path.stat().st_size
    if size <= WHOLE:
        return content_hash("file", path)
    with path.open("rb") as file:
        parts = []
        for start in np.linspace(0, size - BLOCK, SAMPLES).astype(np.int64):
            file.seek(int(start))
            parts.append(file.read(BLOCK))
    return content_hash(f"large file {size}", *parts)


def _folder_key(path: Path) -> str:
    found = pictures(path)
    names = "\n".join(f"{picture.name} {picture.stat().st_size}" for picture in found)
    chosen = np.unique(np.linspace(0, len(found) - 1, SAMPLES).astype(np.int64)) if found else ()
    return content_hash(f"folder {names}", *(found[int(i)] for i in chosen))


class FeatureStore:
    """The features of any number of videos, from any number of backbones, below one folder.

    ``FINGERPRINT/CONTENT.safetensors`` holds one video's rows as fp32, with their checksum;
    ``manifest.json`` tells people which video and backbone that is.  Files are replaced whole, so
    a run that was killed leaves nothing broken, and the next one goes on where it was.  Any number
    of processes may put rows, but one alone keeps the manifest: unless ``listed``, ``put`` leaves
    that to another's ``note``.
    """

    def __init__(self, root: Path, *, listed: bool = True) -> None:
        self.root, self.listed = Path(root), listed
        self.entries: dict[str, Facts] = {}
        """Facts of what ``get`` found and ``put`` kept, by ``FINGERPRINT/CONTENT``."""
        self.damaged: list[Path] = []
        """Entries that ``get`` found corrupt."""
        if self.root.exists() and not self.root.is_dir():
            raise ConfigError(
                f"feature store {self.root} is a file", expected="a folder", fix="choose another"
            )

    def path(self, video: str, fingerprint: str) -> Path:
        """The file of an entry, there or not."""
        return self.root / file_of(f"{fingerprint}/{video}")

    def get(self, video: str, fingerprint: str) -> Float32[np.ndarray, "n d"] | None:
        """Rows of the video with this ``content_key``, or None where they must be extracted.

        That is also the answer for an entry that is corrupt, which ``put`` then replaces.
        """
        path = self.path(video, fingerprint)
        if not path.is_file():
            return None
        try:
            tensors, facts = read_safetensors(path)
            rows = tensors["features"].numpy()
            if facts["checksum"] == _checksum(rows, video, fingerprint):
                self.entries[f"{fingerprint}/{video}"] = json.loads(facts["facts"])
                return rows
        except (WeightsError, KeyError, ValueError):
            pass
        self.damaged.append(path)
        return None

    def put(
        self,
        video: str,
        fingerprint: str,
        rows: Float32[np.ndarray, "n d"],
        *,
        name: str,
        backbone: str,
        frames: int,
    ) -> None:
        """Keep a video's rows; ``name``, ``backbone`` and ``frames`` are for the manifest.

        Raises WeightsError where the folder cannot be written.
        """
        import torch

        facts: Facts = {
            "video": name,
            "backbone": backbone,
            "clips": rows.shape[0],
            "dim": rows.shape[1],
            "frames": frames,
        }
        checksum = _checksum(rows, video, fingerprint)
        write_safetensors(
            self.path(video, fingerprint),
            {"features": torch.from_numpy(np.ascontiguousarray(rows))},
            {"checksum": checksum, "facts": json.dumps(facts)},
        )
        self.entries[f"{fingerprint}/{video}"] = facts
        if self.listed:
            self.note({f"{fingerprint}/{video}": facts})

    def note(self, entries: Mapping[str, Facts]) -> None:
        """Add to the manifest what is not in it; raises WeightsError."""
        known = self._listed()
        if entries and (known is None or any(known.get(n) != entries[n] for n in entries)):
            known = dict(self._described()) if known is None else known
            write_json(self.root / MANIFEST, dict(sorted({**known, **entries}.items())))

    def manifest(self) -> dict[str, Facts]:
        """What is known of each entry, by ``FINGERPRINT/CONTENT``; made anew where it is broken."""
        known = self._listed()
        return dict(self._described()) if known is None else known

    def _listed(self) -> dict[str, Facts] | None:
        """What the manifest says, None where it is broken."""
        try:
            entries = read_json(self.root / MANIFEST)
        except (OSError, ValueError):
            return None
        return entries if isinstance(entries, dict) else None

    def _described(self) -> list[tuple[str, Facts]]:
        """The facts that each file of the store carries."""
        found = []
        # A name that begins with a dot is of a file whose writer was killed.
        for path in sorted(self.root.glob("*/[!.]*.safetensors")):
            try:
                facts = json.loads(read_safetensors(path)[1]["facts"])
            except (WeightsError, KeyError, ValueError):
                continue
            found.append((f"{path.parent.name}/{path.stem}", facts))
        return found


def file_of(entry: str) -> str:
    """The file of an entry ``FINGERPRINT/CONTENT``, from the store's folder."""
    return f"{entry}.safetensors"


def _checksum(rows: np.ndarray, video: str, fingerprint: str) -> str:
    """Of the rows and of whose they are: a file copied to another's place is found out."""
    return content_hash(video, fingerprint, f"{rows.dtype} {rows.shape}", rows.tobytes())

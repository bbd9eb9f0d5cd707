"""Writing files so that a kill or a full disk leaves the old file or the new, never half of one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vadistill.addresses import Address
from vadistill.errors import ConfigError, WeightsError, printable

if TYPE_CHECKING:
    from torch import Tensor


DISK_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
)
"""What the system says when a file cannot be written for want of space or permission."""


@contextlib.contextmanager
def replacing(path: Path, *, suffix: str | None = None, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place when the block ends well.

    The temporary name keeps the ending of ``path`` (or ``suffix``), for writers that go by it.
    A ``private`` file is one that only its owner may read.
    Raises WeightsError when the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}.", suffix=suffix or path.suffix
        )
    except OSError as error:
        raise unwritable(path, error) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        if not private:
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def private(path: str, flags: int) -> int:
    """An ``opener`` of files that only their owner may read."""
    return os.open(path, flags, 0o600)


def unwritable(path: Path, error: Exception) -> WeightsError:
    """The one line for a file that could not be written: a full disk, a read-only folder, …"""
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return WeightsError(
        f"cannot write {path} ({reason})",
        expected="a writable folder with enough free space",
        fix="free some space or choose another output path; what was there before is unchanged",
    )


def allocate(path: Path, size: int) -> None:
    """Reserve disk space for a file that will be mapped; what it holds already stays.

    A full disk must be an error here, not a bus error on the map later.  Raises OSError.
    """
    with path.open("ab") as file:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            os.ftruncate(file.fileno(), size)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """What a JSON file in UTF-8 holds; raises OSError, ValueError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("more lists in one another than can be read") from None


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write named tensors and string metadata, atomically; raises WeightsError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        try:
            save_file(on_cpu, temporary, metadata)
        except SafetensorError as error:
            raise unwritable(path, error) from error


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Named tensors and metadata of a safetensors file; raises WeightsError."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load

    if not path.is_file():
        raise WeightsError(
            f"no weight file at {path}", expected="a .safetensors file", fix="check the path"
        )
    try:
        if not str(path).isascii():  # it takes a name for UTF-8, which need not be
            data = path.read_bytes()
            tensors = load(data)  # which tells a header that is none
            head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            return tensors, head.get("__metadata__", {})
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{path} is not a readable safetensors file ({str(error).splitlines()[0]})",
            expected="a whole .safetensors file",
            fix="write or copy it again",
        ) from error


def content_hash(*parts: bytes | str | Path) -> str:
    """A 16-digit hash of bytes, strings and the contents of files, in order."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            digest.update(hashlib.sha256(part.read_bytes()).digest())
        else:
            data = part.encode(errors="surrogateescape") if isinstance(part, str) else part
            digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


def files_named(value: Any, *, folders: bool = False) -> list[str]:
    """Hashes of the files that settings name, such as a teacher's weights or boxes.

    ``value`` is such a setting, or a list or mapping of some.  In a text a name stands between any
    of ``,+?&=@:``, which it may hold itself.  ``folders``: these are named, too.
    """
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        return [found for each in value for found in files_named(each, folders=folders)]
    pieces = re.split("([,+?&=@:])", value) if isinstance(value, str) else []
    ends = range(1, len(pieces) + 1, 2)
    names = ["".join(pieces[start:end]) for start in range(0, len(pieces), 2) for end in ends]
    return [
        content_hash(Path(name)) if os.path.isfile(name) else folder_hash(Path(name))
        for name in filter(None, names)
        if os.path.isfile(name) or (folders and os.path.isdir(name))
    ]


LARGE = 2**20
"""Bytes of a file above which its date stands for what it holds."""


def folder_hash(folder: Path) -> str:
    """16 digits of the names, sizes and contents of all files; of ``LARGE`` ones by their dates."""
    parts: list[str | Path] = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        found = path.stat()
        is_large = found.st_size > LARGE
        content = f"{found.st_size} {found.st_mtime_ns}" if is_large else path
        parts += [path.relative_to(folder).as_posix(), content]
    return content_hash(*parts)


def short_names(paths: Sequence[Path]) -> list[str]:
    """The stems of paths where they are unique, else whole paths; of an address its host.

    What cannot be printed stands as escapes, so that every table, report and terminal can hold it.
    """
    files = [Address(str(path)).is_path or path.exists() for path in paths]
    stems = [
        path.stem if is_file else Address(str(path)).name
        for path, is_file in zip(paths, files, strict=True)
    ]
    names = []
    for number, (path, is_file, stem) in enumerate(zip(paths, files, stems, strict=True), 1):
        again = str(path) if is_file else f"{stem} {stems[:number].count(stem)}"
        names.append(printable(stem if stems.count(stem) == 1 else again))
    return names


def paths_in(folder: Path, names: Iterable[str], ending: str = "") -> dict[str, Path]:
    """A path in ``folder`` for each name, as ``short_names`` gives them: of paths the stems.

    Raises ConfigError where two would be the same.
    """
    paths: dict[str, Path] = {}
    names = list(names)
    are_paths = any(os.sep in name for name in names)
    for name in names:
        path = folder / f"{Path(name).stem if are_paths else name}{ending}"
        same = next((other for other, known in paths.items() if known == path), None)
        if same is not None:
            raise ConfigError(
                f"{same} and {name}, which would both be written to {path}",
                expected="inputs of different names",
                fix="rename one, or take one at a time",
            )
        paths[name] = path
    return paths

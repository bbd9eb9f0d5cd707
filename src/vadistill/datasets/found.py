"""Videos and published features of weakly supervised sets, found by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from vadistill.datasets.arrays import FORMATS
from vadistill.datasets.published import FeatureCrops, FeatureFile, Features, FeatureStreams
from vadistill.datasets.sources import VIDEOS, folders, is_video, named

FEATURES = "features"
"""The folder of published features."""

NameOf = Callable[[PurePosixPath], str | None]
"""Which video a file, given by its path from the root, is of; None for other files."""

_CROP = re.compile(r"__\d+$")
_SUFFIX = re.compile(r"_(?:i3d|s3d|c3d|clip|rgb|flow|c|feats?|features?)$", re.IGNORECASE)

STREAMS = ("rgb", "flow")
"""What one backbone may see of a video, in files of its own: laid side by side in this order."""


def video_name(file: str) -> str:
    """``Abuse/Abuse001.mp4`` or ``Abuse001.npy`` to ``Abuse001``; other dots belong to names."""
    name = PurePosixPath(file.replace("\\", "/")).name
    ending = PurePosixPath(name).suffix.lower()
    return name[: -len(ending)] if ending and ending in (*VIDEOS, *FORMATS) else name


def listed(names: Iterable[str]) -> NameOf:
    """Finds the files of listed videos, by the spellings that published features have."""
    known = {name: name for name in names}
    for name in list(known):
        known.setdefault(name.removesuffix("_x264"), name)

    def name_of(path: PurePosixPath) -> str | None:
        name = video_name(path.name)
        # What the list itself calls a video comes first: a name of its own may end like a crop.
        for ending in (None, _CROP, _SUFFIX):
            name = ending.sub("", name) if ending else name
            for spelling in (name, video_name(name)):
                if spelling in known:
                    return known[spelling]
        return None

    return name_of


def find_videos(root: Path, name_of: NameOf) -> dict[str, Path]:
    """Video files anywhere below ``root`` but in features/, by name; the first of several."""
    found: dict[str, Path] = {}
    for folder in (root, *(each for each in folders(root) if each.name.lower() != FEATURES)):
        files = folder.iterdir() if folder == root else folder.rglob("*")
        for path in sorted(filter(is_video, files)):
            name = name_of(PurePosixPath(path.relative_to(root)))
            if name is not None:
                found.setdefault(name, path)
    return found


def find_features(
    root: Path, name_of: NameOf, problems: list[str]
) -> dict[str, dict[str, Features]]:
    """By backbone and video, what lies in features/; backbones without a file are left out.

    Two files of one video that are neither crops nor streams, and videos with fewer crops than
    others, are problems.
    """
    top = named(root, FEATURES)
    found: dict[str, dict[str, Features]] = {}
    for folder in folders(top) if top else []:
        files: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in FORMATS and not path.name.startswith("."):
                name = name_of(PurePosixPath(path.relative_to(root)))
                if name is not None:
                    files[name].append(path)
        crops: dict[str, int] = {}
        for name, paths in files.items():
            streams: dict[str, list[Path]] = defaultdict(list)
            for path in paths:
                streams[stream_of(PurePosixPath(path.relative_to(folder)))].append(path)
            each = [streams[s] for s in STREAMS] if streams.keys() == {*STREAMS} else [paths]
            parts: list[FeatureFile | FeatureCrops] = []
            for some in each:
                numbered = [p for p in some if p.stem != name and _CROP.search(p.stem)]
                whole = [path for path in some if path not in numbered]
                if len(whole) > 1 or (whole and numbered):
                    several = (*whole, *numbered)
                    problems.append(
                        f"features of '{folder.name}' for {name} are both in {several[0].name} and"
                        f" in {several[1].name} ({several[1].parent.relative_to(root)}), expected"
                        " one"
                    )
                if whole:
                    parts.append(FeatureFile(whole[0]))
                else:
                    parts.append(FeatureCrops(tuple(map(FeatureFile, numbered))))
                    crops[name] = min(len(numbered), crops.get(name, len(numbered)))
            of_backbone = found.setdefault(folder.name, {})
            of_backbone[name] = FeatureStreams(tuple(parts)) if len(parts) > 1 else parts[0]
        usual = max(crops.values(), default=0)
        fewer = [name for name, count in crops.items() if count < usual]
        tell(problems, fewer, "", len(files), f"without all {usual} crops of '{folder.name}'")
    return found


def stream_of(path: PurePosixPath) -> str:
    """``rgb`` or ``flow`` for a file, by its path in a backbone's folder; else nothing.

    ``VIDEO_rgb.npy`` and ``VIDEO_flow__0.npy`` tell it, and folders such as RGB or FlowTest.
    """
    words = [_CROP.sub("", video_name(path.name)).rpartition("_")[2], *path.parent.parts]
    for word in words:
        if match := re.fullmatch(r"(rgb|flow)(?:[-_ ]?(?:train|test)\w*)?", word, re.IGNORECASE):
            return match[1].lower()
    return ""


def tell(problems: list[str], names: Sequence[str], split: str, total: int, what: str) -> None:
    """A line for each of up to three videos, or one for all; ``what`` follows "is" or "are"."""
    if len(names) <= 3:
        problems += [f"{split} video {name} is {what}".strip() for name in names]
    else:
        videos = f"{split} videos".strip()
        problems.append(f"{len(names)} of {total} {videos} are {what}, such as {names[0]}")

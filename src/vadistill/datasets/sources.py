"""Videos and frame folders on disk: finding them, and how many frames they really have."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from vadistill.errors import DataError, VideoError, printable
from vadistill.video import (
    PICTURES,
    FileSource,
    count_frames,
    natural_key,
    open_video,
    read_picture,
)

VIDEOS = (
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ogv", ".ts", ".webm", ".wmv"),
)
"""Endings by which a video file is recognised among others, in any case."""


def entries(folder: Path) -> list[Path]:
    """What a folder holds, in natural order and without hidden files; empty if it is no folder.

    Raises DataError where it may not be read.
    """
    if not folder.is_dir():
        return []
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"cannot list {folder} ({error.strerror})",
            expected="a folder that may be read",
            fix="change its permissions, or copy it elsewhere",
        ) from error
    return sorted(found, key=lambda path: natural_key(path.name))


def unused(root: Path, used: Iterable[Path]) -> list[Path]:
    """What lies in a data set's folder and is neither in ``used`` nor above it.

    Of a folder in ``used`` the pictures are; hidden files are left out.
    """
    known = set(used)
    above = {parent for path in known for parent in path.parents}

    def walk(folder: Path) -> Iterator[Path]:
        for entry in entries(folder):
            if folder in known and entry.name.lower().endswith(PICTURES):
                continue
            if entry in above or (entry in known and entry.is_dir()):
                yield from walk(entry)
            elif entry not in known:
                yield entry

    return list(walk(root))


MANY = 10
"""Files of one folder and ending that are listed; more are counted."""


def listed(root: Path, paths: Sequence[Path]) -> tuple[str, ...]:
    """Paths from ``root``, folders with a stroke at the end, many of a kind as one."""
    kinds = Counter(_kind(path) for path in paths)
    shown: dict[str, None] = {}
    for path in paths:
        count = kinds[_kind(path)]
        inside = path.relative_to(root)
        if path.is_dir():
            shown[f"{inside}/"] = None
        elif count > MANY:
            shown[f"{inside.with_name('*' + path.suffix)} ({count:,} files)"] = None
        else:
            shown[f"{inside}"] = None
    return tuple(map(printable, shown))


def _kind(path: Path) -> tuple[Path, str]:
    return path.parent, "/" if path.is_dir() else path.suffix


def folders(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if path.is_dir()]


def pictures(folder: Path) -> list[Path]:
    """The pictures of a frame folder, exactly those that ``open_video`` shows and in its order."""
    return [path for path in entries(folder) if path.name.lower().endswith(PICTURES)]


def is_frame_folder(folder: Path) -> bool:
    """Whether the pictures in a folder are one video's frames.

    They are not beside video files, nor above folders that hold videos or more pictures: a picture
    beside frame folders is no video.
    """
    here = len(pictures(folder))
    return here > 0 and not video_files(folder) and not _holds_more(folder, here)


def _holds_more(folder: Path, count: int, depth: int = 2) -> bool:
    return any(
        video_files(inside)
        or len(pictures(inside)) > count
        or (depth > 1 and _holds_more(inside, count, depth - 1))
        for inside in folders(folder)
    )


def misnumbered(paths: Sequence[Path]) -> list[str]:
    """What makes the order of a frame folder's pictures doubtful, a line each.

    These are decimal numbers (``2.10`` comes after ``2.9``), names unlike the others', as of copies
    and thumbnails, and one number twice.
    """
    decimal = {found[0]: path.name for path in paths if (found := _DECIMAL.search(path.stem))}
    if len(decimal) > 1:
        name = next(iter(decimal.values()))
        return [f"decimal numbers of frames, such as {name}, expected whole ones"]
    patterns = [_DIGITS.sub("#", path.stem) for path in paths]
    usual = Counter(patterns).most_common(1)[0][0] if patterns else ""
    odd = [path.name for path, each in zip(paths, patterns, strict=True) if each != usual]
    lines = []
    if odd and "#" in usual:
        lines.append(f"{len(odd)} frames not named as the others, such as {odd[0]}")
    keys = [(pattern, _numbers(path)) for pattern, path in zip(patterns, paths, strict=True)]
    times = Counter(keys)
    twice = [path.name for key, path in zip(keys, paths, strict=True) if times[key] > 1]
    if twice:
        lines.append(f"{len(twice)} frames that share their number, such as {twice[0]}")
    return lines


def missing_numbers(paths: Sequence[Path]) -> list[str]:
    """A line where a frame folder's numbers, even for the most part, have gaps."""
    columns = list(zip(*(_numbers(path) for path in paths), strict=False))
    varying = [column for column in columns if len(set(column)) > 1]
    if len(varying) != 1:
        return []
    known = sorted(set(varying[0]))
    steps = np.diff(np.array(known, object)).tolist()
    usual = Counter(steps).most_common(1)[0][0]
    gaps = [n for n, step in zip(known, steps, strict=False) if step > usual]
    if not gaps or steps.count(usual) <= len(steps) // 2:
        return []
    return [
        f"missing frames after number {gaps[0]}"
        + (f" and {len(gaps) - 1} others" if len(gaps) > 1 else "")
        + ", expected numbers without gaps"
    ]


def dim(paths: Sequence[Path]) -> list[str]:
    """A line where a frame folder's pictures have fewer than 13 bits in 16: they look black.

    The first, the middle and the last picture are looked at.
    """
    import cv2

    brightest = 0
    for path in {*paths[:1], *paths[len(paths) // 2 :][:1], *paths[-1:]}:
        picture = None
        if path.suffix.lower() in (".png", ".tif", ".tiff"):
            with contextlib.suppress(VideoError):
                picture = read_picture(path, cv2.IMREAD_UNCHANGED)
        if picture is None or picture.dtype != np.uint16:
            return []
        brightest = max(brightest, int(picture[..., :3].max()))
    if not 0 < brightest < 2**12:
        return []
    return [
        f"frames of 16 bits with values up to {brightest}, of which the high byte is seen,"
        " expected values up to 65535"
    ]


_DIGITS = re.compile(r"\d+")
_DECIMAL = re.compile(r"\d+\.\d+")


def _numbers(path: Path) -> tuple[int, ...]:
    return tuple(int(digits[-18:]) for digits in _DIGITS.findall(path.stem))


def video_files(folder: Path) -> list[Path]:
    return [path for path in entries(folder) if is_video(path)]


def is_video(path: Path) -> bool:
    return path.name.lower().endswith(VIDEOS) and path.is_file()


def named(folder: Path, *names: str) -> Path | None:
    """The sub-folder that has one of these lower-case names, in any case; the first name wins."""
    by_name = {path.name.lower(): path for path in reversed(folders(folder))}
    return next((by_name[name] for name in names if name in by_name), None)


def frame_count(source: Path) -> int:
    """Frames that ``open_video(source)`` yields; a file is only decoded where nothing else tells.

    Raises VideoError.
    """
    if source.is_dir():
        return len(pictures(source))
    return count_frames(open_video(source))


def frame_times(source: Path) -> Float64[np.ndarray, " t"]:
    """Seconds of each frame; a file's own, so a variable rate is followed.

    Raises VideoError.
    """
    video = open_video(source)
    if isinstance(video, FileSource):
        return video.times()
    return np.array([frame.time for frame in video], np.float64)

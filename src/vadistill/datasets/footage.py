"""The footage that a model learned from, as it is remembered, and videos that are unlike it."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vadistill.datasets.base import Video
from vadistill.datasets.snippets import FeatureSource
from vadistill.datasets.sources import pictures
from vadistill.errors import WeightsError
from vadistill.files import content_hash
from vadistill.progress import clock
from vadistill.video import Polygon, VideoInfo
from vadistill.video.polygons import flaw, tidy

SAMPLE = 2**16
"""Bytes at either end of a file that its hash is made of, beside its size."""

RATE = 0.1
"""Part by which a rate may differ from one that is known."""


def footage_of(videos: Iterable[Video]) -> dict[str, Any]:
    """What a model keeps of the videos that it learns from, as plain JSON; raises VideoError.

    ``sizes`` [w, h] and ``rates`` in frames/s (of pictures, so none of features), number of
    ``videos``, ``frames`` and ``seconds`` in all, ``dates`` of the oldest and the newest file, the
    parts of their pictures that are ``hidden``, if any, and a ``hash`` that changes with the
    videos' content, order, labels or hidden parts, not with their names.
    """
    found = list(videos)
    infos = [video.open().info for video in found]
    seen = [info for info in infos if info.width]
    days = sorted(datetime.date.fromtimestamp(when) for video in found for when in _times(video))
    return {
        "sizes": sorted({(info.width, info.height) for info in seen}),
        "rates": sorted({round(info.fps, 3) for info in seen}),
        "videos": len(found),
        "frames": sum(info.frames or 0 for info in infos),
        "seconds": round(sum((info.frames or 0) / info.fps for info in infos), 1),
        "dates": [day.isoformat() for day in (days[0], days[-1])] if days else [],
        "hash": footage_hash(found),
        **({"hidden": found[0].hidden} if found and found[0].hidden else {}),
    }


def footage_words(footage: Mapping[str, Any]) -> str:
    """Such as ``2 videos, 1:02.0, 360x240 at 15 frames/s``; raises WeightsError."""
    sizes, rates = sizes_and_rates(footage)
    videos = footage.get("videos", 0)
    parts = [f"{videos} video{'s' * (videos != 1)}", clock(footage.get("seconds", 0.0))]
    pictures = " or ".join(f"{width}x{height}" for width, height in sizes[:3])
    rate = " or ".join(f"{each:.3g}" for each in rates[:3])
    return ", ".join([*parts, *([f"{pictures} at {rate} frames/s"] if sizes else [])])


def footage_hash(videos: Iterable[Video]) -> str:
    """16 digits; files are told by their size and both ends, features by their files' dates."""
    parts: list[bytes | str] = []
    for video in videos:
        parts += [f"label {video.video_label}", *_content(video)]
        parts += [] if video.stretch is None else [f"frames {video.stretch}"]
        parts += [f"hidden {video.hidden}"] if video.hidden else []
    return content_hash(*parts)


def _content(video: Video) -> Iterator[bytes | str]:
    source = video.source
    if isinstance(source, np.ndarray):
        yield from (f"{source.shape}", source.tobytes())
    elif isinstance(source, Path) and source.is_dir():
        shown = pictures(source)
        yield from (f"{path.name} {path.stat().st_size}" for path in shown)
        yield from (_sample(path) for path in shown[:1])
    elif isinstance(source, Path):
        yield from (f"{source.stat().st_size}", _sample(source))
    elif isinstance(source, FeatureSource):
        yield source.identity
    else:
        yield f"{source.info}"


def _sample(path: Path) -> bytes:
    with path.open("rb") as file:
        begin = file.read(SAMPLE)
        file.seek(max(0, file.seek(0, os.SEEK_END) - SAMPLE))
        return begin + file.read()


def _times(video: Video) -> list[float]:
    """When the video's files were changed last, in unix seconds."""
    source = video.source
    if not isinstance(source, Path):
        return []
    return [path.stat().st_mtime for path in (pictures(source) if source.is_dir() else [source])]


def unlike(
    footage: Mapping[str, Any] | None,
    info: VideoInfo,
    fps: float | None = None,
    hidden: Sequence[Polygon] = (),
) -> str:
    """A line on a video of another size, rate or mask than a model's footage; '' if it is alike.

    ``fps`` is the rate at which it is scored, where that is not its own, ``hidden`` what is masked
    of it.  Raises WeightsError for a model whose footage cannot be read.
    """
    lines = (_other_form(footage or {}, info, fps), _other_mask(footage or {}, info, hidden))
    return "; ".join(filter(None, lines))


def hidden_of(footage: Mapping[str, Any] | None) -> tuple[Polygon, ...]:
    """The mask of a model's footage; raises WeightsError for one that cannot be read."""
    known = (footage or {}).get("hidden", ())
    if not isinstance(known, Sequence) or any(map(flaw, known)):
        raise WeightsError(
            f"a model whose footage hides {known!r:.60}",
            expected="polygons [[x, y], ...]",
            fix="fit it again",
        )
    return tuple(map(tidy, known))


def _other_mask(footage: Mapping[str, Any], info: VideoInfo, hidden: Sequence[Polygon]) -> str:
    known = hidden_of(footage)
    if not footage or sorted(known) == sorted(map(tidy, hidden)):
        return ""
    mine, its = ("a mask" if each else "no mask" for each in (hidden, known))
    its = "another one" if mine == its else its
    return f"{info.name} has {mine}, the model's footage {its}: fit one with the same mask"


def _other_form(footage: Mapping[str, Any], info: VideoInfo, fps: float | None) -> str:
    sizes, rates = sizes_and_rates(footage)
    if not sizes or not info.width:
        return ""
    rate = min(info.fps, fps or info.fps)
    known_rate = any(abs(rate - known) <= RATE * known for known in rates)
    if known_rate and (info.width, info.height) in sizes:
        return ""
    known = " or ".join(f"{width}x{height}" for width, height in sizes[:3])
    return (
        f"{info.name} has {info.width}x{info.height} pixels at {rate:.3g} frames/s, the model "
        f"knows {known} at {' or '.join(f'{each:.3g}' for each in rates[:3])}: scores and events "
        "may be wrong"
    )


def sizes_and_rates(footage: Mapping[str, Any]) -> tuple[list[tuple[int, int]], list[float]]:
    """Those of a model's footage, none where it tells none; raises WeightsError."""
    try:
        sizes = [(int(width), int(height)) for width, height in footage.get("sizes", ())]
        return sizes, [float(rate) for rate in footage.get("rates", ())]
    except (AttributeError, TypeError, ValueError):
        raise WeightsError(
            f"a model whose footage is {footage!r:.60}",
            expected="sizes [w, h] and rates in frames/s",
            fix="fit it again",
        ) from None

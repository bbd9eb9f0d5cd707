"""From videos to snippet features: data sets, whole videos at once, endless ones, or from disk."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float32

from vadistill.backbones import Crops, open_backbone
from vadistill.backbones.base import Backbone
from vadistill.backbones.store import FeatureStore, content_key
from vadistill.backbones.tally import Tally, timed
from vadistill.datasets import Video, open_dataset
from vadistill.datasets.places import is_stored
from vadistill.datasets.snippets import SNIPPET, FeatureSource
from vadistill.datasets.stores import at_hand, listed, named
from vadistill.devices import Device
from vadistill.errors import ConfigError, DataError, VideoError
from vadistill.progress import progress
from vadistill.video import Frame, VideoSource

T = TypeVar("T")

AHEAD = 8
"""Snippets that are decoded and prepared while the networks are busy."""


@dataclass
class Extracted:
    """What ``extract`` made of a data set."""

    name: str
    """Of the data set."""
    backbones: list[Backbone]
    rows: dict[str, int]
    """Snippets in the store, by backbone."""
    videos: int = 0
    """Videos that the store holds."""
    damaged: int = 0
    """Entries of the store that were made again."""
    failures: list[VideoError] = field(default_factory=list)
    """One for each video that cannot be read."""
    tally: Tally = field(default_factory=Tally)


def extract(
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    backbones: Sequence[str] = ("compact",),
    crops: Crops = 1,
    device: Device = "auto",
) -> Extracted:
    """Features of every 16 frames of a data set's videos, in the store ``out``.

    ``data``: a data set, or addresses of videos and patterns, each fetched and deleted in turn.
    What the store holds already is kept, so an interrupted run goes on where it was.  Raises
    DataError where there are no videos, ConfigError, WeightsError; an unreadable video is among
    the ``failures``.
    """
    name, videos = videos_of(data)
    store, found = FeatureStore(Path(out)), opened(backbones, device=device, crops=crops)
    made = Extracted(name, [*found.values()], dict.fromkeys(found, 0))
    lengths: dict[Video, int] = {}
    for video in videos:
        try:
            here = not is_stored(video.source)
            lengths[video] = (video.open().info.frames or 0) // SNIPPET if here else 0
        except VideoError as error:
            made.failures.append(error)
    with progress("snippets of 16 frames", sum(lengths.values()) or None) as advance:
        for video, expected in lengths.items():
            before = made.tally.snippets
            try:
                with at_hand(video) as local:
                    rows = features_of(
                        local, [*found], store, found.__getitem__, advance=advance, tally=made.tally
                    )
            except VideoError as error:
                # One bad recording must not cost the night that the others take.
                made.failures.append(error)
                continue
            finally:
                left = expected - (made.tally.snippets - before) if expected else 0
                advance(left, note=video.name)
            made.videos += 1
            for each in found:
                made.rows[each] += len(rows[each])
    store.note(store.entries)  # also what a run that was killed had not listed
    made.damaged = len(store.damaged)
    return made


def videos_of(data: str | Path | Sequence[str | Path]) -> tuple[str, list[Video]]:
    """Name and videos of a data set, or of addresses and patterns of some.

    Raises DataError for a data set without pictures, ConfigError for several or one beside
    addresses, and as ``stores.listed`` does.
    """
    given = [Path(each) for each in ([data] if isinstance(data, str | Path) else data)]
    if given and all(map(is_stored, given)):
        return "videos", [each for each in named(listed(given)) if isinstance(each, Video)]
    if len(given) != 1:
        raise ConfigError(
            f"{len(given)} data sets",
            expected="one, or addresses of videos alone",
            fix="extract them one after the other, into one store",
        )
    splits = open_dataset(given[0])
    videos = [*splits.train, *splits.test]
    if not videos or any(isinstance(video.source, FeatureSource) for video in videos):
        raise DataError(
            "the data set has features already" if videos else "the data set has no video",
            expected="videos",
            fix="check it with 'vadistill data check'",
        )
    return splits.train.name, videos


def opened(names: Sequence[str], *, device: Device, crops: Crops) -> dict[str, Backbone]:
    """Backbones by their names, each once; raises ConfigError, WeightsError."""
    if not names:
        raise ConfigError("no backbone", expected="one or more", fix="leave --backbones out")
    found = dict.fromkeys(names)
    return {name: open_backbone(name, device=device, crops=crops) for name in found}


def snippet_features(
    source: VideoSource,
    backbones: Sequence[Backbone],
    *,
    batch: int = 8,
    label: str = "",
    advance: Callable[..., None] | None = None,
    tally: Tally | None = None,
) -> dict[str, Float32[np.ndarray, "n d"]]:
    """One row a snippet of 16 frames, by backbone; what the last whole one leaves is dropped.

    The video is decoded once, in a thread.  ``batch`` snippets go through a network together.  With
    a ``label``, progress is shown; ``advance`` is told of each snippet.  ``tally`` is added to.
    Raises VideoError, also for a video shorter than one snippet.
    """
    tally = Tally() if tally is None else tally
    rows: dict[str, list[np.ndarray]] = {backbone.name: [] for backbone in backbones}
    held: list[list[np.ndarray]] = []

    def flush() -> None:
        for i, backbone in enumerate(backbones):
            with timed(tally.network, backbone.name):
                rows[backbone.name].append(backbone(np.stack([snippet[i] for snippet in held])))
            tally.extracted[backbone.name] += len(held)
        held.clear()

    first, total = tally.frames, (source.info.frames or 0) // SNIPPET or None
    with progress(label, total) if label else nullcontext(advance) as step:
        for prepared in _ahead(_prepared(source, backbones, tally), AHEAD):
            held.append(prepared)
            tally.snippets += 1
            if len(held) == batch:
                flush()
            if step is not None:
                step()
        if held:
            flush()
    if tally.frames - first < SNIPPET:
        raise too_short(source, tally.frames - first)
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def stream_features(
    source: VideoSource, backbones: Sequence[Backbone]
) -> Iterator[tuple[list[tuple[int, float]], list[Float32[np.ndarray, " _"]] | None]]:
    """Snippets of an endless video as they end: each frame's index and time, a row by backbone.

    The rows are those of ``snippet_features``; only one snippet is held in memory.  The frames
    behind the last whole one come at the end, without rows.  Raises VideoError, also at the end of
    a video that is shorter than one snippet.
    """
    for number, frames in enumerate(_snippets(source)):
        times = [(frame.index, frame.time) for frame in frames]
        if len(frames) == SNIPPET:
            pixels = np.stack([frame.image for frame in frames])
            yield times, [backbone(backbone.prepare(pixels)[None])[0] for backbone in backbones]
        elif number == 0:
            raise too_short(source, len(frames))
        else:
            yield times, None


def features_of(
    video: Video,
    names: Sequence[str],
    store: FeatureStore,
    open: Callable[[str], Backbone],
    *,
    batch: int = 8,
    label: str = "",
    advance: Callable[..., None] | None = None,
    tally: Tally | None = None,
) -> dict[str, Float32[np.ndarray, "n d"]]:
    """A data set's video as rows by backbone: its published features, the store's, or new ones.

    ``open`` is called where the video has pixels; let it remember what it opened, as
    ``functools.cache(open_backbone)`` does.  New rows go into the store.  Raises DataError for
    published features without one of ``names``, VideoError, and what ``open`` raises.
    """
    if isinstance(video.source, FeatureSource):
        return {name: video.source.features(name) for name in names}
    backbones = {name: open(name) for name in names}
    key = content_key(video)
    found = {name: store.get(key, backbone.fingerprint) for name, backbone in backbones.items()}
    missing = [backbones[name] for name, rows in found.items() if rows is None]
    if missing:
        tally = Tally() if tally is None else tally
        first, source = tally.frames, video.open()
        made = snippet_features(
            source, missing, batch=batch, label=label, advance=advance, tally=tally
        )
        for backbone in missing:
            store.put(
                key,
                backbone.fingerprint,
                made[backbone.name],
                name=video.name,
                backbone=backbone.name,
                frames=tally.frames - first,
            )
        found.update(made)
    return {name: rows for name in names if (rows := found[name]) is not None}


def too_short(source: VideoSource, frames: int) -> VideoError:
    """The error for a video of which no snippet can be made."""
    return VideoError(
        f"{source.info.name} has {frames} frame{'' if frames == 1 else 's'}",
        expected=f"at least {SNIPPET}, one snippet",
        fix="leave it out, or give a longer video",
    )


def _snippets(source: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Runs of 16 frames; the last one may be shorter."""
    held: list[Frame] = []
    for frame in source:
        held.append(frame)
        if len(held) == SNIPPET:
            yield held
            held = []
    if held:
        yield held


def _prepared(
    source: VideoSource, backbones: Sequence[Backbone], tally: Tally
) -> Iterator[list[np.ndarray]]:
    """Each whole snippet as every backbone wants it."""
    start = time.perf_counter()
    for frames in _snippets(source):
        tally.decode += time.perf_counter() - start
        tally.frames += len(frames)
        if len(frames) == SNIPPET:
            pixels = np.stack([frame.image for frame in frames])
            made = []
            for backbone in backbones:
                with timed(tally.prepare, backbone.name):
                    made.append(backbone.prepare(pixels))
            yield made
        start = time.perf_counter()


def _ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """``items`` as a thread makes them, at most ``count`` ahead of who takes them."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="decode")
    end = object()
    try:
        coming = deque(pool.submit(next, items, end) for _ in range(count))
        while (item := coming.popleft().result()) is not end:
            coming.append(pool.submit(next, items, end))
            yield item  # pyright: ignore[reportReturnType]
    finally:
        pool.shutdown(cancel_futures=True)

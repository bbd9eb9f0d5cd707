"""Videos through a model, one after the other, with one bar over all their frames."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from vadistill.addresses import redacted
from vadistill.datasets import Video
from vadistill.datasets.footage import unlike
from vadistill.datasets.places import is_file
from vadistill.datasets.snippets import FeatureSource
from vadistill.datasets.sources import dim, pictures
from vadistill.datasets.stores import at_hand
from vadistill.detector import Detector
from vadistill.errors import ConfigError, VadistillError
from vadistill.files import short_names
from vadistill.progress import progress
from vadistill.scores import Scores
from vadistill.video import Frame, VideoSource

Model = Detector | str | Path
"""A detector, or the folder of a saved one."""


class Scored(NamedTuple):
    """Raw scores by video, and what it took."""

    scores: dict[str, Scores]
    seconds: float

    @property
    def frames(self) -> int:
        """Frames of all videos."""
        return sum(map(len, self.scores.values()))

    @property
    def speed(self) -> float:
        """Frames per second, from decoding to score."""
        return self.frames / max(self.seconds, 1e-9)


def score_videos(
    model: Detector,
    videos: Sequence[Video],
    label: str,
    *,
    failures: list[VadistillError] | None = None,
    each: Callable[[Scores], None] = lambda scores: None,
    begin: Callable[[Video], None] = lambda video: None,
    maps: bool = True,
) -> Scored:
    """Raw scores of every video, with one bar named ``label`` over all frames.

    A video in a store is fetched when its turn comes, and deleted.  ``begin`` is handed each video
    before it is scored, and ``each`` the scores as it ends; without ``maps``, which take far more
    memory than all else.  Raises VadistillError, or with ``failures`` adds it there, with the
    video's name, and goes on with the next video.
    """
    found: dict[str, Scores] = {}
    started = time.monotonic()
    lengths = [_length(video, failures) for video in videos]
    total = None if None in lengths else sum(filter(None, lengths))
    with progress(label, total or None) as advance:
        for video in videos:
            advance(0, note=video.name)
            try:
                with at_hand(video, streams=True) as here:
                    begin(here)
                    source = here.open()
                    # Features have no frames to count: the bar moves at their end.
                    counted = isinstance(source, FeatureSource)
                    source = source if counted else _Watched(source, advance)
                    frames = model.stream(source)
                    if not maps:
                        frames = (replace(frame, map=None) for frame in frames)
                    scores = model.collect(source.info, frames)
            except VadistillError as error:
                if failures is None:
                    raise
                failures.append(of_video(video, error))
                continue
            advance(len(scores) if counted else 0)
            found[video.name] = scores
            each(scores)
    return Scored(found, time.monotonic() - started)


@contextlib.contextmanager
def all_at_hand(videos: Sequence[Video], failures: list[VadistillError]) -> Iterator[list[Video]]:
    """Videos whose pictures are looked at again: those in stores are fetched until the end.

    One that cannot be fetched is among the ``failures``, which name no file that was fetched.
    """
    found: list[Video] = []
    fetched: list[tuple[Video, str]] = []
    with contextlib.ExitStack() as held:
        for video in videos:
            try:
                here = held.enter_context(at_hand(video, streams=True))
            except VadistillError as error:
                failures.append(of_video(video, error))
                continue
            found.append(here)
            if here is not video:
                fetched.append((here, redacted(str(video.source))))
        yield found
    for number, error in enumerate(failures):
        for video, address in fetched:
            if str(video.source) in error.got:
                got = f"{video.name}: {error.got.replace(str(video.source), address)}"
                failures[number] = type(error)(got, expected=error.expected, fix=error.fix)


def doubts(video: Video, model: Detector) -> list[str]:
    """What to warn of before a video is scored, a line each; raises VideoError."""
    found = [unlike(model.footage, video.open().info, hidden=video.hidden)]
    if isinstance(video.source, Path) and video.source.is_dir():
        found += [f"{video.name}: {line}" for line in dim(pictures(video.source))]
    return [line for line in found if line]


def of_video(video: Video, error: VadistillError) -> VadistillError:
    """An error of one video among several, which names it."""
    if video.name in error.got or str(video.source) in error.got:
        return error
    return type(error)(f"{video.name}: {error.got}", expected=error.expected, fix=error.fix)


class _Watched(VideoSource):
    """A source that says when a frame of it was used."""

    def __init__(self, source: VideoSource, step: Callable[..., None]) -> None:
        self.source, self.info, self.step = source, source.info, step

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.source:
            yield frame
            self.step()
        self.corrupt_frames = self.source.corrupt_frames


def _length(video: Video, failures: list[VadistillError] | None) -> int | None:
    """Number of frames as far as it is known without decoding; None of a video in a store.

    A video that cannot be opened has none, where ``failures`` will have its error.
    """
    if video.frame_labels is not None:
        return len(video.frame_labels)
    if is_file(video.source):
        return None
    try:
        return video.open().info.frames or 0
    except VadistillError:
        if failures is None:
            raise
        return 0


def smoothing_of(model: Detector) -> str:
    """The smoothing that the model's settings name, ``raw`` where they name none."""
    return getattr(model.config, "smoothing", "raw")


def named_models(models: Model | Sequence[Model] | Mapping[str, Model]) -> dict[str, Model]:
    """Models by name: a folder's stem where that is unique, else its path; a detector's system.

    Raises ConfigError for none, or for two detectors of one name.
    """
    if isinstance(models, Mapping):
        found = dict(models)
    else:
        given = [models] if isinstance(models, Detector | str | Path) else list(models)
        folders = [Path(m) for m in given if not isinstance(m, Detector)]
        names = iter(short_names(folders))
        keys = [m.name if isinstance(m, Detector) else next(names) for m in given]
        found = dict(zip(keys, given, strict=True))
        if len(found) < len(given):
            raise ConfigError(
                f"two models named {next(k for k in keys if keys.count(k) > 1)}",
                expected="different models",
                fix='give them names, as {"name": model, …}',
            )
    if not found:
        raise ConfigError(
            "no model", expected="one or more model folders", fix="name them before --data"
        )
    return found

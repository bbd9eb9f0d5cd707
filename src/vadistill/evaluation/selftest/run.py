"""Planting, scoring, and what was found of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from vadistill.datasets import Dataset, Video
from vadistill.datasets.footage import footage_hash
from vadistill.datasets.sampling import length
from vadistill.detector import Detector
from vadistill.errors import DataError
from vadistill.evaluation.scoring import smoothing_of
from vadistill.evaluation.selftest.cutting import cut_walks
from vadistill.evaluation.selftest.figures import auc_of, blocks, wilson
from vadistill.evaluation.selftest.kinds import CONTROL, KINDS, Cast, Plant, plants_of
from vadistill.evaluation.selftest.planting import Planted, Planting, plan
from vadistill.evaluation.selftest.results import HIGH, KindFigure, Picture, SelfTest
from vadistill.objects.background import Background
from vadistill.progress import progress
from vadistill.scores import Scores
from vadistill.video import Frame, VideoSource

PLANTS = 8
"""Of each kind, where the footage has so many."""

CUT_FRAMES = 4000
"""Frames of normal footage, about, from which objects are cut."""

RESAMPLES = 300

WIDEST = 400
"""Pixels across a picture of a plant."""


def self_test(
    model: Detector,
    held: Dataset,
    source: Dataset | None = None,
    *,
    plants: int = PLANTS,
    false_alarms_per_day: float = 1.0,
    seed: int = 0,
    held_out: bool = True,
) -> SelfTest:
    """Plant anomalies into normal footage and say, by kind, what a fitted model finds of them.

    Args:
        model: a fitted detector that scores pixels.
        held: normal video, best such as training did not see (``hold_out``).
        source: normal video that objects are cut from; the default is ``held``.
        plants: of each kind, at most.
        false_alarms_per_day: of the level above which a plant counts as found.
        seed: of what is planted where.
        held_out: whether training has not seen ``held``.

    Raises DataError where no object can be cut out, VideoError, NotFittedError.
    """
    trial = Trial.of(held, source, plants=plants, seed=seed, held_out=held_out)
    return trial.result(trial.scores(model), model, false_alarms_per_day=false_alarms_per_day)


Place = tuple[int | None, str]
"""A copy of the held-out footage (None: the one without plants), and a video of it."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Plants in held-out footage, the same for every model that is tried on it."""

    held: Dataset
    placed: Sequence[Planting]
    left_out: dict[str, str]
    """Kinds that had no plant, and why."""
    seed: int
    held_out: bool
    seen: dict[Planting, tuple[Frame, UInt8[np.ndarray, "h w 3"]]]
    """Pictures of the plants, once a model has scored them."""

    @classmethod
    def of(
        cls,
        held: Dataset,
        source: Dataset | None = None,
        *,
        plants: int = PLANTS,
        seed: int = 0,
        held_out: bool = True,
    ) -> Trial:
        """Cut objects out, make abnormal ones of them, and place these, as ``self_test`` does."""
        rng = np.random.default_rng(seed)
        hidden = dict.fromkeys(polygon for video in held for polygon in video.hidden)
        cast = replace(_cast(source or held), hidden=tuple(hidden))
        made: list[Plant] = []
        left_out: dict[str, str] = {}
        for kind in KINDS:
            found = plants_of(cast, kind, plants, rng)
            made += found
            if not found:
                left_out[kind] = _WHY.get(kind, "no object of this footage lends itself")
        lengths = {video.name: (length(video), video.open().info.fps) for video in held}
        return cls(held, plan(made, lengths, rng), left_out, seed, held_out, {})

    def scores(self, model: Detector) -> dict[Place, Scores]:
        """What a fitted model says of the footage with the plants and without."""
        scores: dict[Place, Scores] = {}
        copies: list[int | None] = [None, *sorted({p.copy for p in self.placed})]
        label = f"self-test of {model.name}"
        with progress(label, len(copies) * len(self.held)) as advance:
            for copy in copies:
                for video in self.held:
                    own = [p for p in self.placed if p.copy == copy and p.video == video.name]
                    if own or copy is None:
                        shown = _Seen(Planted(video.open(), own), own, self.seen)
                        scores[copy, video.name] = model.score(shown)
                    advance(note=video.name)
        return scores

    def result(
        self, scores: dict[Place, Scores], model: Detector, *, false_alarms_per_day: float = 1.0
    ) -> SelfTest:
        """The figures of a model's ``scores``."""
        smoothing = smoothing_of(model)
        scores = {place: each.smooth(smoothing) for place, each in scores.items()}
        tested = [
            _Tested.of(p, scores, false_alarms_per_day) for p in self.placed if _shown(p, scores)
        ]
        normal = [scores[None, video.name] for video in self.held]
        figures, draws, left_out = [], [], dict(self.left_out)
        for kind in KINDS:
            own = [t for t in tested if t.planting.plant.kind == kind]
            if own:
                figure, drawn = _figure(kind, own, normal, self.seed)
                figures.append(figure)
                draws += [drawn] if kind != CONTROL else []
            elif kind not in left_out:
                left_out[kind] = "no held-out video is as long, or plays so far"
        return SelfTest(
            system=model.name,
            kinds=tuple(figures),
            left_out=left_out,
            false_alarms_per_day=false_alarms_per_day,
            videos=len(self.held),
            frames=sum(map(len, normal)),
            seconds=sum(len(s) / max(s.fps, 1e-6) for s in normal),
            held_out=self.held_out,
            seed=self.seed,
            pictures=tuple(_pictures(tested, self.seen)),
            draws=tuple(np.mean(draws, axis=0).tolist()) if draws else (),
            high=float((np.concatenate([s.calibrated for s in normal]) > HIGH).mean()),
            footage=footage_hash(self.held),
        )


_WHY = {
    "against the usual direction": "people go both ways here",
    "stops": "people stand here in normal footage",
    "unusual place": "no empty place of the size of a walk",
    CONTROL: "no object stands by itself for long enough",
}


def _cast(source: Dataset) -> Cast:
    """Objects of at most about ``CUT_FRAMES`` frames."""
    background = Background()
    background.fit(source)
    step = max(1, round(sum(map(length, source)) / CUT_FRAMES))
    some = replace(source, videos=tuple(map(_shortened, source.videos[::step])))
    walks = cut_walks(some, background)
    if not walks:
        raise DataError(
            f"no object of {source.name} stands by itself for a second",
            expected="normal video with people or things that move",
            fix="leave the self-test out (--selftest no)",
        )
    return Cast(tuple(walks))


def _shortened(video: Video) -> Video:
    first, end = video.stretch or (0, length(video))
    return replace(video, stretch=(first, min(end, first + CUT_FRAMES)))


class _Seen(VideoSource):
    """Keeps the frame in the middle of each plant while a video is scored."""

    def __init__(
        self,
        source: VideoSource,
        plantings: Sequence[Planting],
        seen: dict[Planting, tuple[Frame, UInt8[np.ndarray, "h w 3"]]],
    ) -> None:
        self.source, self.info, self.seen = source, source.info, seen
        self.wanted = {int(p.frames[len(p.frames) // 2]): p for p in plantings}

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.source:
            planting = self.wanted.get(frame.index)
            if planting is not None:
                self.seen[planting] = frame, _picture(frame, planting)
            yield frame
        self.corrupt_frames = self.source.corrupt_frames


def _picture(frame: Frame, planting: Planting) -> UInt8[np.ndarray, "h w 3"]:
    """The frame, small, with the plant framed."""
    cutout = planting.plant.cutouts[frame.index - planting.start]
    height, width = frame.image.shape[:2]
    scale = min(1.0, WIDEST / width)
    size = (round(width * scale), round(height * scale))
    small = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
    corner = (round(cutout.left * scale) - 2, round(cutout.top * scale) - 2)
    tall, wide = cutout.alpha.shape
    end = (round((cutout.left + wide) * scale) + 2, round((cutout.top + tall) * scale) + 2)
    return cv2.rectangle(small, corner, end, (255, 80, 160), 1)


def _shown(planting: Planting, scores: dict[Place, Scores]) -> bool:
    """Whether a video has all frames of a plant: some are shorter than their containers say."""
    both = (scores[place, planting.video] for place in (planting.copy, None))
    return int(planting.frames[-1]) < min(map(len, both))


@dataclass(frozen=True, eq=False)
class _Tested:
    """A plant and what the model said of it."""

    planting: Planting
    values: Float[np.ndarray, " t"]
    """Smoothed scores of its frames."""
    found: bool
    calibrated: float

    @classmethod
    def of(
        cls,
        planting: Planting,
        scores: dict[Place, Scores],
        false_alarms_per_day: float,
    ) -> _Tested:
        known = scores[planting.copy, planting.video]
        frames = planting.frames
        raw = known.raw[frames]
        # An alarm that the footage raises there without the plant does not count for it.
        before = scores[None, planting.video].raw[frames]
        level = known.event_level(false_alarms_per_day)
        alarm = np.zeros(len(known), bool)
        for event in known.events(false_alarms_per_day=false_alarms_per_day):
            alarm[event.first : event.last + 1] = True
        found = bool((alarm[frames] & (raw >= level.on) & (raw > before)).any())
        return cls(planting, known.values[frames], found, float(known.calibrated[frames].max()))


def _figure(
    kind: str, tested: Sequence[_Tested], normal: Sequence[Scores], seed: int
) -> tuple[KindFigure, list[float]]:
    """A kind's figure, and its AUC for each draw of plants and stretches of normal footage.

    The draws are those of any model that is tried on the same plants, so that they are paired.
    """
    calm = [block for scores in normal for block in blocks(scores)]
    values = [t.values for t in tested]
    rng = np.random.default_rng(seed)
    drawn = [
        auc_of([values[i] for i in rng.integers(len(values), size=len(values))],
               [calm[i] for i in rng.integers(len(calm), size=len(calm))])
        for _ in range(RESAMPLES)
    ]  # fmt: skip
    low, high = np.quantile(drawn, (0.025, 0.975))
    found = sum(t.found for t in tested)
    least, most = wilson(found, len(tested))
    auc = auc_of(values, calm)
    figure = KindFigure(kind, len(tested), found, least, most, auc, float(low), float(high))
    return figure, drawn


def _pictures(
    tested: Sequence[_Tested], seen: dict[Planting, tuple[Frame, UInt8[np.ndarray, "h w 3"]]]
) -> Iterator[Picture]:
    """The plants, those that scored lowest first."""
    for each in sorted(tested, key=lambda t: (t.found, float(np.max(t.values)))):
        if each.planting in seen:
            frame, image = seen[each.planting]
            kind, video = each.planting.plant.kind, each.planting.video
            yield Picture(kind, video, frame.time, each.found, each.calibrated, image)

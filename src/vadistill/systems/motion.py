"""``motion``: the baseline without weights that every learned system must beat.

specs: foreground boxes from a background model; an object is as anomalous as it is fast, a frame as
its fastest object.  How fast is told by three statistics of the optical flow in its box
(``objects.speeds``), each scaled by what normal footage shows, and the highest counts.  Fitting
learns the empty scene and those scales.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from vadistill import objects
from vadistill.config import Recipe, SystemConfig
from vadistill.datasets.sampling import frames_of
from vadistill.detector import Detector, Merge
from vadistill.errors import ConfigError, one_of
from vadistill.flow import FLOWS, build_flow
from vadistill.objects.ahead import located
from vadistill.objects.learning import fit_localiser
from vadistill.objects.speeds import (
    PERCENTILE,
    SPEED_FLOW,
    SPEED_SIDE,
    STATISTICS,
    TRAVEL,
    Scale,
    Steps,
    frames_of_travel,
    pixel_speeds,
    saved_scales,
    scaled,
    speeds_of,
    told,
)
from vadistill.progress import progress
from vadistill.scores import NO_TRAITS, Calibration, FrameScore
from vadistill.soundness import whole

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.devices import Device
    from vadistill.objects.speeds import Moment, Speeds
    from vadistill.video import VideoSource


CALIBRATED = 20_000
"""Training frames, about, that the calibration is of: the first ones of every video.  What is rare
in normal footage takes more of it than scales do."""


@dataclass(frozen=True)
class Config(SystemConfig):
    """Settings of the baseline."""

    localiser: str = "auto"
    """Any localiser of ``vadistill.objects``, such as ``background`` or ``boxes:FILE``; ``all:``
    before it keeps slivers at the picture's edge, too."""
    flow: str = SPEED_FLOW
    statistics: tuple[str, ...] = STATISTICS
    """Of an object's speed: percentile, mean, travel; the one that is most unusual counts."""
    percentile: float = PERCENTILE
    """Percentile of the flow speed within a box, 0 to 100."""
    unit: Literal["normal", "pixels"] = "normal"
    """normal: 0 is the median of normal frames and 1 what a hundredth of them pass.  pixels: pixels
    a frame of the one statistic, unscaled, as in models of earlier versions."""
    flow_side: int | None = SPEED_SIDE
    """The flow is computed on pictures whose longer side is at most so many pixels; None: as they
    are."""
    frames: int = 1000
    """Training frames that scales learn from: the first ones of every video."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("optical flow", self.flow, FLOWS)
        for name in self.statistics:
            one_of("statistic", name, STATISTICS)
        self.at_least(1, "frames")
        self.at_least(32, "flow_side")
        if not 0 <= self.percentile <= 100:
            raise ConfigError(
                f"percentile {self.percentile}", expected="0 to 100", fix="correct --percentile"
            )
        allowed = 1 if self.unit == "pixels" else len(STATISTICS)
        if not 1 <= len(set(self.statistics)) == len(self.statistics) <= allowed:
            raise ConfigError(
                f"statistics {', '.join(self.statistics) or 'none'} with unit {self.unit}",
                expected="one of them for pixels, else one or more, each once",
                fix="correct --statistics or --unit",
            )
        if self.unit == "pixels" and "travel" in self.statistics:
            raise ConfigError(
                "travel in pixels a frame", expected="percentile or mean", fix="use --unit normal"
            )

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> Config:
        """Also those of earlier versions, which knew one statistic, in pixels a frame."""
        first = {"statistics": ["percentile"], "unit": "pixels", "flow_side": None}
        return super().from_saved({**({} if "statistics" in saved else first), **saved})


RECIPES: dict[str, Recipe[Config]] = {"default": Recipe(Config, "any footage, to compare with")}


class Motion(Detector):
    """How unusual the speed of the fastest object of each frame is."""

    name = "motion"
    supervision = "one-class"
    RECIPES: ClassVar = RECIPES

    def __init__(self, config: Config | None = None, *, device: Device = "cpu") -> None:
        self.config = config or Config()
        self.localiser = objects.build_for_patches(self.config.localiser)
        self.flow = build_flow(self.config.flow)
        self.reach = 0
        """Frames of the footage learned from in ``TRAVEL`` seconds: how far ways are followed."""
        self.scales: list[Scale] = []
        """One a statistic."""
        self.tells_traits = self.config.unit == "normal"

    @property
    def lookahead(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of ``travel``, and the next one for the flow."""
        return max(self.reach, 1)

    @property
    def _travels(self) -> bool:
        return "travel" in self.config.statistics

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        fit_localiser(self.localiser, train, work)
        videos = [video.open() for video in train]
        if self._travels:
            fastest = max((source.info.fps for source in videos), default=0.0)
            self.reach = frames_of_travel(fastest) or 1
        most = max(CALIBRATED, self.config.frames)
        scaling, per_video = (-(-frames // len(train)) for frames in (self.config.frames, most))
        highest: list[np.ndarray] = []
        learned: list[np.ndarray] = []
        runs: list[int] = []
        with progress("calibration", frames_of(videos, per_video)) as advance:
            for source in videos:
                for _, _, speeds in islice(self._speeds(source), per_video):
                    highest.append(speeds.max(axis=0, initial=0.0))
                    advance()
                runs.append(len(highest) - sum(runs))
                learned += highest[len(highest) - runs[-1] :][:scaling]
        if self.config.unit == "normal":
            self.scales = [Scale.of(column) for column in np.transpose(learned)]
        values = self._scaled(np.array(highest)).max(axis=1)
        self.calibration = Calibration.fit(values.tolist(), runs=runs)

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        self.require_fitted()
        statistics = self.config.statistics
        for moment, boxes, speeds in self._speeds(source):
            still = self._scaled(np.zeros((1, len(statistics))))
            found = self._scaled(speeds)
            values = found.max(axis=1).astype(np.float32)
            top = found[values.argmax()] if len(values) else still[0]
            frame = moment.window.current
            yield FrameScore(
                index=frame.index,
                time=frame.time,
                score=float(max(values.max(initial=-np.inf), still.max())),
                boxes=boxes,
                box_scores=values,
                parts=dict(zip(statistics, map(float, top), strict=True)),
                reason=told(speeds, self.scales, statistics) if self.scales else "",
                traits=found.astype(np.float32) if self.scales else NO_TRAITS,
            )

    def _speeds(self, source: VideoSource) -> Iterator[tuple[Moment, np.ndarray, Speeds]]:
        """Each frame with its objects' boxes and their speeds by each statistic."""
        config, fps = self.config, source.info.fps
        fps = fps if fps > 0 else max(self.reach, 1) / TRAVEL
        reach = min(frames_of_travel(fps), self.reach)
        around = max(reach, 1)
        steps = Steps(self.flow, fps, reach, config.flow_side)
        localiser = self.localiser.clone()  # which it is alone with, while it finds objects ahead
        localiser.start(source.info)
        for window, found in located(source, localiser, before=around, after=around):
            moment = steps.moment(window)  # while boxes are looked for
            boxes = found()
            if config.unit == "normal":
                speeds = speeds_of(boxes, moment, config.statistics, config.percentile, reach)
            else:
                rank = config.percentile if "percentile" in config.statistics else None
                speeds = np.zeros((len(boxes), 1))
                if moment.step is not None:
                    pixels = pixel_speeds(boxes, moment.step, rank) * moment.step.scale
                    speeds = pixels[:, None]
            yield moment, boxes, speeds

    def _scaled(self, speeds: Speeds) -> Speeds:
        return scaled(speeds, self.scales) if self.scales else speeds

    def facts(self) -> dict[str, Any]:
        scales = [[scale.median, scale.top, scale.largest] for scale in self.scales]
        return {"reach": self.reach, "scales": scales}

    def rebuild(self, facts: dict[str, Any], frozen: dict[str, Any]) -> None:
        # A model of an earlier version has neither.
        self.reach = whole({"reach": 0, **facts}, "reach", least=int(self._travels))
        statistics = len(self.config.statistics) if self.config.unit == "normal" else 0
        self.scales = saved_scales(facts.get("scales") or np.zeros((0, 3)), statistics)

    def attach_batching(self, merge: Merge) -> None:
        self.localiser = self.localiser.clone()
        self.flow = build_flow(self.config.flow)  # it has buffers that threads must not share

"""fast_aed: a frame-level student of detectors that score objects (Ristea et al., 2022).

Teachers paint their scores of objects into anomaly maps; one small network learns to give these
maps for a whole frame at once, by plain and by adversarial distillation.  It needs no object
detector, and its cost does not grow with the number of people.

    symbol      here                                        paper
    T1, T2      systems aed, ssmtl; see Config.teachers     Sec. 3.1
    S           model.Student                               Fig. 3
    E, D        Student.features, blocks.Decoder            Eq. 2
    y^k, S^k    targets.MapStore, model.Maps                Eq. 3
    lambda_i    1                                           Eq. 4
    D_T         discriminator.Discriminator                 Eq. 5
    alpha       Config.alpha                                Eq. 7

Departures from the paper and readings of what it leaves open:
- ``lite``, the default, is a student of our own for CPUs, taught by ``cafe`` and ``motion``;
  ``reference`` is the public configuration, ``paper`` the text's, with stride 2 in every layer.
- The paper gives no epochs of the auto-encoder phase.  The rate is halved every 10 epochs.
- Eq. 5's second term is read as log(1 - D); the student's adversarial loss is non-saturating.
- A neighbour beyond a video's end is the current frame.
- The frame score is the mean over the heads of each map's maximum.
- Heads end in a leaky ReLU while they learn and in a ReLU when they score (``output``): with a
  plain ReLU some heads die, since the targets are nearly all 0.
- The last layer of a head starts with a bias of 0.1, so that every map has a gradient.
- Boxes are where the finest map, at its own resolution, exceeds a level that training frames set.
- The student learns teachers' maps as they are painted, before the teachers' own mean filter, on
  a scale of the training objects' median and 99 % (targets.py) in place of their least and most.
- D_T pools by average, continues maps beyond their edges and has leaky ReLUs (discriminator.py).
  It sees the student's maps as they score.  Of pseudo-abnormal windows, a teacher's maps are those
  with 1 where they were changed.
- ``lite`` has no adversarial loss by default; with it, alpha weighs gradients (``balanced``).
- ``lite`` sees small video enlarged, so that its objects are about 56 pixels tall
  (``object_height``), learns from parts of frames (``crops``), scores with a moving average of its
  weights (``average``) and leaves the 1x1 map out of a frame's score (``frame_map``): all ours.
- ``hurried``, ``pasted``, ``copied`` and ``mirrored``, ours: ``lite`` learns from changed windows.
- Batch, learning rate, its cosine and epochs of ``lite`` and ``quick`` are ours, for few frames on
  two cores.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from vadistill.datasets.sampling import Sample, data_key
from vadistill.detector import Detector, Merge
from vadistill.devices import Device, pick_device
from vadistill.errors import WeightsError
from vadistill.files import content_hash
from vadistill.objects.maps import MapBoxes
from vadistill.program import Arrays, Program
from vadistill.progress import progress
from vadistill.runtime import Merged, Runtime, open_runtime, pick_runtime
from vadistill.scores import Calibration, FrameScore
from vadistill.soundness import real, whole
from vadistill.systems.fast_aed.batches import Batches
from vadistill.systems.fast_aed.blocks import Decoder
from vadistill.systems.fast_aed.data import (
    HURRIES,
    Size,
    WindowFiles,
    enlarged,
    fit_size,
    planes,
    resized,
    windows_at,
)
from vadistill.systems.fast_aed.halves import finest
from vadistill.systems.fast_aed.model import FULL, Student
from vadistill.systems.fast_aed.recipes import RECIPES, Config
from vadistill.systems.fast_aed.scoring import as_program
from vadistill.systems.fast_aed.targets import MapStore, learn_maps
from vadistill.systems.fast_aed.teachers import (
    fingerprint,
    learn_shared_patches,
    open_teacher,
)
from vadistill.systems.fast_aed.training import distil, train_autoencoder
from vadistill.windows import Window, windows

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoSource


RANGES = 64
"""Training windows on which the ranges of 8-bit convolutions are measured."""


class FastAed(Detector):
    """Fast frame-level student by adversarial distillation."""

    name = "fast_aed"
    GRAPH: ClassVar = {
        "windows": "RGB frames, 0 to 255, resized to the input's height and width, one after the "
        "other on the second axis: t - 3, t, t + 3 unless config.json's architecture says else, "
        "and frame t for one that the video lacks",
        "scores": "of frame t, higher is more anomalous",
        "maps": "the anomaly map of frame t at the highest resolution",
        "before": "decode, resize each frame once (cv2.INTER_AREA to make it smaller, "
        "cv2.INTER_LINEAR larger), channels first",
        "after": "nothing: scores are raw scores",
    }
    supervision = "one-class"
    RECIPES: ClassVar = RECIPES

    student: Student
    runtime: Runtime
    boxes_at: MapBoxes
    teacher_facts: list[dict[str, str]]
    times: float = 1.0
    """How much larger than video that fits ``config.width`` the student sees frames."""

    def __init__(self, config: Config | None = None, *, device: Device = "auto") -> None:
        self.config = config or Config()
        self.architecture = self.config.network
        self.lookahead = self.lookback = self.reach
        self._asked: Device = device
        self.device = pick_device(device)
        self.decoder: Decoder | None = None

    @property
    def reach(self) -> int:
        """Frames before and after t that its window spans."""
        return max(self.architecture.offsets)

    @property
    def latency(self) -> int:
        """Frames from a frame's arrival to its score."""
        return self.reach + self.config.batch_frames - 1

    # -- training ------------------------------------------------------------------------------

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        config = self.config
        info = next(iter(train)).open().info
        size = fit_size(info.width, info.height, config.width)
        cells = finest(self.architecture.at(size).sizes)
        sample, data = Sample.of(train, config.frames, work), data_key(train)
        kept = content_hash(data, str(config.frames))
        offsets = self.architecture.offsets
        frames_key = content_hash(kept, repr((size, offsets, HURRIES)))
        window_files = WindowFiles(
            train, work / f"frames-{frames_key}", sample=sample, offsets=offsets, size=size
        )
        teachers = [
            open_teacher(name, train, work, localiser=config.localiser, device=self._asked)
            for name in config.teachers
        ]

        def maps_folder(teacher: Detector, folder: Path) -> Path:
            key = content_hash(kept, fingerprint(folder), repr(cells))
            return work / f"targets-{teacher.name}-{key}"

        patches = learn_shared_patches(
            [(t, maps_folder(t, folder) if t.calibration else None) for t, folder in teachers],
            train,
            work,
            frames=config.frames,
            windows=window_files,
        )
        self.teacher_facts, stores, taught = [], [], []
        for name, (teacher, saved), stored in zip(config.teachers, teachers, patches, strict=True):
            if teacher.calibration is None:
                teacher.fit(train, out=saved, work=work, part=True)
            facts = {"name": name, "system": teacher.name, "sha": fingerprint(saved)}
            self.teacher_facts.append(facts)
            folder = maps_folder(teacher, saved)
            stores.append(
                learn_maps(teacher, train, folder, sample=sample, size=cells, patches=stored)
            )
            taught.append(folder.name)
        store = window_files.open()
        folder = work / f"student-{content_hash(frames_key, config.training_settings(), *taught)}"
        self.times = self._times(size, stores)
        torch.manual_seed(config.seed)
        self.student = Student(self.architecture, enlarged(size, self.times)).to(self.device)
        batches = Batches.of(self.student, store, stores, config)
        if config.autoencoder_epochs:
            decoder = train_autoencoder(batches, config, self.device, folder)
            self.decoder = None if stores else decoder
        if stores:
            distil(self.student, batches, config, self.device, folder)
        rows = np.arange(len(store))
        sample = rows[:: max(1, len(rows) // RANGES)]
        parts = np.array_split(sample, max(1, len(sample) // 8))
        self.open_runtime((windows_at(store.windows(part), self.student.size),) for part in parts)
        scores, peaks = [], []
        with progress("calibration", len(rows)) as advance:
            for chunk in np.array_split(rows, max(1, len(rows) // 16)):
                score, shown = self.runtime(windows_at(store.windows(chunk), self.student.size))
                scores += score.tolist()
                peaks += shown.max((1, 2)).tolist()
                advance(len(chunk))
        self.calibration = Calibration.fit(scores)
        self.boxes_at = MapBoxes(float(np.quantile(peaks, config.box_level)))

    def _times(self, size: Size, stores: Sequence[MapStore]) -> float:
        """How much larger the student sees frames of ``size``, so that it sees their objects well.

        A map as large as the frame (``FULL``) stays as it is.
        """
        heights = next((store.heights for store in stores if len(store.heights)), None)
        if not self.config.object_height or heights is None or FULL in self.config.resolutions:
            return 1.0
        wanted = self.config.object_height / max(float(np.median(heights)) * size[0], 1.0)
        return round(max(1.0, min(wanted, self.config.width / size[1])), 3)

    # -- scoring -------------------------------------------------------------------------------

    def open_runtime(self, int8: bytes | Iterable[Arrays] = ()) -> None:
        name = "torch" if self.decoder else self.config.runtime
        program = self.program(int8, pick_runtime(name, self.device))
        self.runtime = open_runtime(program, name, self.device)

    def program(self, int8: bytes | Iterable[Arrays] = (), runtime: str = "onnx") -> Program:
        return as_program(self.student, runtime, self.decoder, int8, self.config.frame_map)

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        self.require_fitted()
        seen: dict[int, np.ndarray] = {}
        waiting: deque[Window] = deque()
        for window in windows(source, before=self.reach, after=self.reach):
            waiting.append(window)
            if len(waiting) == self.config.batch_frames:
                yield from self._score(waiting, seen)
        yield from self._score(waiting, seen)

    def _score(self, waiting: deque[Window], seen: dict[int, np.ndarray]) -> Iterator[FrameScore]:
        """Scores of the waiting windows; ``seen`` holds their frames, each resized once."""
        if not waiting:
            return
        offsets, size = self.architecture.offsets, self.student.size
        stacked = np.empty((len(waiting), len(offsets), 3, *size), np.uint8)
        for row, window in enumerate(waiting):
            for place, offset in enumerate(offsets):
                frame = window.at(offset, "current")
                if frame.index not in seen:
                    seen[frame.index] = planes(resized(frame.image, size))
                stacked[row, place] = seen[frame.index]
        scored = self.runtime(stacked.reshape(len(waiting), -1, *size))
        for window, score, shown in zip(waiting, *scored, strict=True):
            yield self._frame_score(window, float(score), shown)
        last = waiting[-1].current.index
        for index in [i for i in seen if i <= last - self.reach]:
            del seen[index]
        waiting.clear()

    def _frame_score(
        self, window: Window, score: float, finest: Float32[np.ndarray, "h w"]
    ) -> FrameScore:
        frame = window.current
        height, width = frame.image.shape[:2]
        boxes, box_scores = self.boxes_at(finest, width=width, height=height)
        return FrameScore(frame.index, frame.time, score, boxes, box_scores, finest)

    def attach_batching(self, merge: Merge) -> None:
        self.runtime = Merged(self.runtime, merge)

    # -- saving --------------------------------------------------------------------------------

    def modules(self) -> dict[str, nn.Module]:
        decoder = {} if self.decoder is None else {"decoder": self.decoder}
        return {"student": self.student, **decoder}

    def facts(self) -> dict[str, Any]:
        return {
            "size": list(self.student.size),
            "times": self.times,
            "box_level": self.boxes_at.level,
            "teachers": self.teacher_facts,
        }

    def rebuild(self, facts: dict[str, Any], frozen: dict[str, nn.Module]) -> None:
        height, width = (whole({"size": side}, "size", least=1) for side in facts["size"])
        self.times = real(facts, "times", above=0) if "times" in facts else 1.0
        known = (self.footage or {}).get("sizes", [])
        sizes = {
            enlarged(fit_size(across, high, self.config.width), self.times)
            for across, high in known
        }
        if sizes and (height, width) not in sizes:
            raise WeightsError(
                f"a student of {width}x{height} pixels",
                expected="the size at which it sees its training video, "
                + " or ".join(f"{w}x{h}" for h, w in sizes),
                fix="copy the model again, or fit it again",
            )
        self.student = Student(self.architecture, (height, width)).to(self.device)
        if not self.config.teachers:
            self.decoder = self.student.decoder().to(self.device)
        self.boxes_at, self.teacher_facts = MapBoxes(real(facts, "box_level")), facts["teachers"]

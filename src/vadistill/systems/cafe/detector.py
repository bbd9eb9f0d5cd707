"""CAFE: a consistency-aware feature extractor of normal events (Yu et al., ACM Multimedia 2022).

A student network S learns on normal foreground patches E to give the features of a pre-trained
teacher T.  Where it fails to (A_kd), where its features change between neighbouring frames (A_ca),
or where a low-level branch D rebuilds appearance or flow badly (A_lo), something abnormal happens.

    symbol      here                                        paper
    E, C-1, C+1 objects.patches.Patches[:, 1], [:, 0], [:, 2]  Sec. 3.1, 3.3.2
    O(E)        objects.patches.FlowPatches[:, 0]            Sec. 3.4.2
    T, S, D     backbones.teachers.ResNet, model.LowLevelBranch  Fig. 1, Fig. 3
    K, C        Config.layers, the last C layer groups      Sec. 3.2.2
    lambda      Config.lambda_kd, lambda_ca, lambda_lo      Eq. 8
    omega       Config.omega_kd, omega_ca, omega_lo         Eq. 12

Departures from the paper and readings of what it leaves open:
- Foreground comes from a background model by default, not from Cascade R-CNN (no weights needed); a
  detector or a file of boxes are one setting away.
- Optical flow is DIS (OpenCV) by default, RAFT by name; the paper has FlowNet2.
- Squared errors are averaged over a layer, not summed (``reduction``), so that layers weigh alike.
- Patches are normalised by the mean and deviation of the teacher's pre-training set, in both
  networks.
- C-1, E and C+1 go through the student as one batch, so batch norm sees them together.
- A frame without events gets the lowest score of the training events.
- The default is ``compact``, our own pair of quarter-width networks; the shipped teacher learned
  CIFAR-10, with a part of its pictures turned grey.  It and the ``quick`` recipes sample frames,
  train 10 to 20 epochs and lower the learning rate along a cosine (the default from 3e-3).
- Training and the teacher's targets use bf16 products where the processor has them, and targets are
  kept as fp16; scoring is fp32 unless ``runtime`` says otherwise.
- Pre-training uses Nesterov momentum, and teachers are stored as fp16.
- With both low-level branches A_lo is the sum of their errors, standardised once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vadistill import objects
from vadistill.backbones.teachers import PATCH, open_teacher, pack_network, restore_network
from vadistill.detector import Detector, Merge, below, pack_localiser, unpack_localiser
from vadistill.devices import Device, pick_device, pick_precision
from vadistill.distill import FrozenTeacher, TargetCache
from vadistill.files import content_hash
from vadistill.objects.patches import Cut, FramePatches, PatchStore, frame_patches, learn_patches
from vadistill.progress import progress
from vadistill.runtime import INT8, Arrays, Merged, Runtime, open_runtime
from vadistill.scores import Calibration, FrameScore
from vadistill.systems.cafe.losses import overall_score
from vadistill.systems.cafe.model import PatchScorer, as_program, scorer_inputs
from vadistill.systems.cafe.recipes import RECIPES, Config
from vadistill.systems.cafe.training import teacher_targets, train_student, untrained

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoSource


class Cafe(Detector):
    """Consistency-Aware high-level Feature Extractor."""

    name = "cafe"
    supervision = "one-class"
    lookahead = 1
    RECIPES: ClassVar = RECIPES

    scorer: PatchScorer
    runtime: Runtime
    mean: Tensor
    std: Tensor
    lowest: float
    teacher_facts: dict[str, Any]

    def __init__(self, config: Config | None = None, *, device: Device = "auto") -> None:
        self.config = config or Config()
        self.device = pick_device(device)
        self.localiser = objects.build_for_patches(self.config.localiser)
        flows = ((0, 1),) if self.uses_flow else ()
        self.cut = Cut(PATCH, (-1, 0, 1), flows, self.config.flow)

    @property
    def latency(self) -> int:
        """Frames from a frame's arrival to its score; the default scores 16 frames at a time."""
        return self.lookahead + self.config.batch_frames - 1

    @property
    def uses_flow(self) -> bool:
        """Whether a motion branch needs optical flow."""
        return self.config.low_level in ("flow", "both")

    # -- training ------------------------------------------------------------------------------

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        config = self.config
        network, self.teacher_facts = open_teacher(config.teacher)
        teacher = FrozenTeacher(network.to(self.device))
        self.scorer = untrained(teacher, config).to(self.device)
        store = learn_patches(
            train, work, localiser=self.localiser, cut=self.cut, frames=config.frames
        )
        arithmetic = f"{self.device.type} {pick_precision(self.device, config.precision)}"
        sampled = (store.key, arithmetic, self.teacher_facts["sha"])
        targets_key = content_hash(*sampled, str(config.layers))
        targets = TargetCache(work / f"targets-{targets_key}", key=targets_key, count=len(store))
        targets.fill(lambda rows: teacher_targets(teacher, store, rows, config, self.device))
        folder = work / f"student-{content_hash(targets_key, config.training_settings())}"
        train_student(self.scorer, store, targets, config, self.device, folder)
        self._standardise(store)

    def _standardise(self, store: PatchStore) -> None:
        """mu and sigma of Eq. 12 over the training events, the lowest score and the calibration."""
        rows = np.arange(len(store))
        sample = np.array_split(rows[:: max(1, len(rows) // 512)], 8)
        self._open_runtime(scorer_inputs(store.patches(r), store.flow(r)) for r in sample if r.size)
        parts = []
        with progress("calibration", len(rows)) as advance:
            for chunk in np.array_split(rows, max(1, len(rows) // 512)):
                parts += self.runtime(*scorer_inputs(store.patches(chunk), store.flow(chunk)))
                advance(len(chunk))
        scores = torch.from_numpy(np.concatenate(parts)).double()
        self.mean = scores.mean(0)
        self.std = scores.std(0).clamp_min(1e-12)
        overall = self._overall(scores)
        self.lowest = float(overall.min())
        self.calibration = Calibration.fit(store.frame_maxima(overall, self.lowest).tolist())

    # -- scoring -------------------------------------------------------------------------------

    def _open_runtime(self, int8: bytes | Iterable[Arrays]) -> None:
        program = as_program(self.scorer, int8)
        self.runtime = open_runtime(program, self.config.runtime, self.device)

    def _overall(self, scores: Tensor) -> np.ndarray:
        """Eq. 12 of events' A_kd, A_ca, A_lo, as float32."""
        config = self.config
        lo = config.omega_lo if self.scorer.branches else 0.0
        weights = torch.tensor([config.omega_kd, config.omega_ca, lo], dtype=torch.float64)
        return overall_score(scores.double(), self.mean, self.std, weights).float().numpy()

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        self.require_fitted()
        waiting: list[FramePatches] = []
        for events in frame_patches(source, self.localiser, self.cut):
            waiting.append(events)
            if len(waiting) == self.config.batch_frames:
                yield from self._score_frames(waiting)
                waiting = []
        yield from self._score_frames(waiting)

    def _score_frames(self, frames: list[FramePatches]) -> Iterator[FrameScore]:
        if not frames:
            return
        patches = np.concatenate([f.patches for f in frames])
        flow = np.concatenate([f.flow for f in frames])
        (parts,) = self.runtime(*scorer_inputs(patches, flow))
        overall = self._overall(torch.from_numpy(parts))
        ends = np.cumsum([len(f.boxes) for f in frames])
        for frame, scores in zip(frames, np.split(overall, ends[:-1]), strict=True):
            yield FrameScore(
                index=frame.index,
                time=frame.time,
                score=float(scores.max()) if len(scores) else self.lowest,
                boxes=frame.boxes,
                box_scores=scores,
            )

    def attach_batching(self, merge: Merge) -> None:
        self.localiser = self.localiser.clone()
        self.runtime = Merged(self.runtime, merge)

    # -- saving --------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, described = pack_localiser(self.localiser)
        for name in ("student", "branches"):
            module: nn.Module = getattr(self.scorer, name)
            tensors |= {f"{name}/{k}": v for k, v in module.state_dict().items()}
        tensors |= {"mean": self.mean, "std": self.std}
        tensors |= self.runtime.saved()
        assert isinstance(self.scorer.teacher, FrozenTeacher)
        packed, teacher = pack_network(self.scorer.teacher.network, self.teacher_facts)
        tensors |= {f"teacher/{key}": value for key, value in packed.items()}
        facts = {
            "config": asdict(self.config),
            "localiser": described,
            "teacher": teacher,
            "lowest": self.lowest,
        }
        return tensors, facts

    @classmethod
    def restore(
        cls, tensors: dict[str, Tensor], facts: dict[str, Any], *, device: str, path: Path
    ) -> Cafe:
        detector = cls(replace(Config(), **facts["config"]), device=device)  # pyright: ignore[reportArgumentType]
        detector.localiser = unpack_localiser(tensors, facts["localiser"])
        detector.teacher_facts = facts["teacher"]
        teacher = restore_network(facts["teacher"], below(tensors, "teacher/"), path)
        detector.scorer = untrained(FrozenTeacher(teacher), detector.config).to(detector.device)
        detector.scorer.student.load_state_dict(below(tensors, "student/"))
        detector.scorer.branches.load_state_dict(below(tensors, "branches/"))
        detector.scorer.eval()
        detector.mean, detector.std = tensors["mean"], tensors["std"]
        detector.lowest = facts["lowest"]
        detector._open_runtime(tensors[INT8].numpy().tobytes() if INT8 in tensors else ())
        return detector

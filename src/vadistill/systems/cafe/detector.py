"""CAFE: a consistency-aware feature extractor of normal events (Yu et al., ACM Multimedia 2022).

A student network S learns on normal foreground patches E to give the features of a pre-trained
teacher T.  Where it fails to (A_kd), where its features change between neighbouring frames (A_ca),
or where a low-level branch D rebuilds appearance or flow badly (A_lo), something abnormal happens.

    symbol      here                                        paper
    E, C-1, C+1 events.Patches[:, 1], [:, 0], [:, 2]        Sec. 3.1, 3.3.2
    O(E)        events.FlowPatches                          Sec. 3.4.2
    T, S, D     model.ResNet, model.LowLevelBranch          Fig. 1, Fig. 3
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
- ``compact``, the default, is our own pair of quarter-width networks; the shipped teacher learned
  CIFAR-10, with a part of its pictures turned grey.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from vadistill import objects
from vadistill.detector import Detector, pack_localiser, unpack_localiser
from vadistill.distill import FrozenTeacher, TargetCache
from vadistill.errors import ConfigError, WeightsError
from vadistill.files import content_hash
from vadistill.flow import build_flow
from vadistill.progress import progress
from vadistill.scores import Calibration, FrameScore
from vadistill.systems.cafe.events import EventStore, FrameEvents, extract_events, frame_events
from vadistill.systems.cafe.losses import (
    Reduction,
    consistency_loss,
    distillation_loss,
    low_level_loss,
    overall_score,
    total_loss,
)
from vadistill.systems.cafe.model import ARCHITECTURES, Architecture, LowLevelBranch, ResNet
from vadistill.systems.cafe.scorer import (
    EventScorer,
    OnnxRuntime,
    Runtime,
    ScoringRuntime,
    TorchRuntime,
    pick_runtime,
    to_int8,
    to_onnx,
    to_unit,
)
from vadistill.systems.cafe.teacher import SHIPPED, UpsampledImageNet, open_teacher
from vadistill.training import (
    Checkpoint,
    Device,
    Precision,
    RunLog,
    autocast,
    epoch_batches,
    pick_device,
)

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoSource

LowLevel = Literal["none", "flow", "image", "both"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class Config:
    """Settings of CAFE; the defaults are the compact pair for two CPU cores."""

    teacher: str = "compact"
    """``compact`` (shipped), ``imagenet`` (torchvision's ResNet-34), or a file of ``pretrain``."""
    student: str = "narrow9"
    """Student architecture: narrow9 for the compact teacher, resnet9 or resnet17 for ResNet-34."""
    layers: int = 4
    """C: the last layer groups whose features are imitated, 1 to 6 (Fig. 5)."""
    localiser: str = "background"
    """Where foreground boxes come from: background, motion, detector:NAME, boxes:FILE, or a+b."""
    low_level: LowLevel = "none"
    """Low-level branches: flow (LL-O), image (LL-E), both, or none (Table 1)."""
    flow: str = "dis"
    """Optical flow for LL-O: dis, raft_small, raft_large."""
    reduction: Reduction = "mean"
    """Squared errors of a layer are averaged or, literally as in Eq. 2, summed."""
    lambda_kd: float = 1.0
    lambda_ca: float = 0.1
    lambda_lo: float = 1.0
    omega_kd: float = 1.0
    omega_ca: float = 0.5
    omega_lo: float = 0.1
    epochs: int = 12
    consistency_after: int = 7
    """Epochs before L_ca enters (Sec. 3.5)."""
    batch: int = 256
    learning_rate: float = 3e-3
    """Adam's; 1e-3 in the paper."""
    schedule: Schedule = "cosine"
    """How the learning rate goes: constant (the paper's) or down to zero along a cosine."""
    frames: int | None = 640
    """Evenly spaced training frames whose events are learned from; None takes all."""
    smoothing: str = "average10"
    """The protocol's smoothing; applied by whoever evaluates, never by ``stream``."""
    runtime: Runtime = "auto"
    """How events are scored: torch, torch-bf16, onnx, onnx-int8; auto: onnx on CPUs, else torch."""
    batch_frames: int = 16
    """Frames whose events are scored together; 1 for the lowest delay on live video."""
    seed: int = 0
    precision: Precision = "auto"
    """Arithmetic of training; scoring has ``runtime``."""


def compact() -> Config:
    """The default: quarter-width networks, fitted in minutes on two CPU cores.

    Its score weights are those that the paper publishes for Avenue, on every data set.
    """
    return Config()


def demo() -> Config:
    """``compact`` with a shorter schedule, for small data sets."""
    return replace(Config(), epochs=8, consistency_after=5)


def ped2(*, quick: bool = False) -> Config:
    """The paper's networks, schedule and weights for UCSD Ped2.

    ``quick`` samples a quarter of the frames and trains 10 epochs along a cosine.
    """
    return _paper((0.5, 1.0, 0.1), "average10", quick)


def avenue(*, quick: bool = False) -> Config:
    """The paper's networks, schedule and weights for CUHK Avenue."""
    return _paper((1.0, 0.5, 0.1), "average20", quick)


def shanghaitech(*, quick: bool = False) -> Config:
    """The paper's networks, schedule and weights for ShanghaiTech."""
    return _paper((0.5, 1.0, 0.5), "average20", quick)


def _paper(omega: tuple[float, float, float], smoothing: str, quick: bool) -> Config:
    config = Config(
        teacher="resnet34.safetensors",
        student="resnet9",
        omega_kd=omega[0],
        omega_ca=omega[1],
        omega_lo=omega[2],
        epochs=50,
        consistency_after=30,
        learning_rate=1e-3,
        schedule="constant",
        frames=None,
        smoothing=smoothing,
    )
    if not quick:
        return config
    return replace(config, frames=640, epochs=10, consistency_after=6, schedule="cosine")


class Cafe(Detector):
    """Consistency-Aware high-level Feature Extractor."""

    name = "cafe"
    supervision = "one-class"
    lookahead = 1
    RECIPES: ClassVar[Mapping[str, Callable[[], Config]]] = {
        "compact": compact,
        "demo": demo,
        "quick": lambda: ped2(quick=True),  # the paper's networks on any data, in half an hour
        "ped2": ped2,
        "avenue": avenue,
        "avenue-quick": lambda: avenue(quick=True),
        "shanghaitech": shanghaitech,
        "shanghaitech-quick": lambda: shanghaitech(quick=True),
    }

    scorer: EventScorer
    runtime: ScoringRuntime
    mean: Tensor
    std: Tensor
    lowest: float
    teacher_facts: dict[str, Any]

    def __init__(self, config: Config | None = None, *, device: Device = "auto") -> None:
        self.config = config or Config()
        self.device = pick_device(device)
        self.localiser = objects.build(self.config.localiser)
        self.flow = build_flow(self.config.flow) if self.uses_flow else None
        self._int8: bytes | None = None

    @property
    def uses_flow(self) -> bool:
        """Whether a motion branch needs optical flow."""
        return self.config.low_level in ("flow", "both")

    # -- training ------------------------------------------------------------------------------

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        config = self.config
        network, self.teacher_facts = open_teacher(config.teacher)
        teacher = FrozenTeacher(network.to(self.device))
        self.scorer = self._networks(teacher)
        data = content_hash(train.name, *(_identity(clip.source) for clip in train))
        localiser_key = content_hash(data, repr(self.localiser.describe()))
        with progress("empty scene", None):
            self.localiser.fit(train)
        events_key = content_hash(localiser_key, str(config.frames), str(self.flow and config.flow))
        store = extract_events(
            train,
            work / f"events-{events_key}",
            localiser=self.localiser,
            flow=self.flow,
            frames=config.frames,
        )
        targets_key = content_hash(
            localiser_key, str(config.frames), self.teacher_facts["sha"], str(config.layers)
        )
        targets = TargetCache(work / f"targets-{targets_key}", key=targets_key, count=len(store))
        targets.fill(lambda rows: self._teacher_features(teacher, store, rows))
        train_key = content_hash(events_key, targets_key, repr(config))
        self._train(store, targets, work / f"student-{train_key}")
        self._standardise(store)

    def _networks(self, teacher: nn.Module) -> EventScorer:
        """The scorer with an untrained student and branches; raises ConfigError."""
        config = self.config
        if config.student not in ARCHITECTURES:
            raise ConfigError(
                f"student '{config.student}'",
                expected=f"one of {', '.join(ARCHITECTURES)}",
                fix="choose one of them",
            )
        inner = teacher.network if isinstance(teacher, FrozenTeacher) else teacher
        assert isinstance(inner, ResNet | UpsampledImageNet)
        architecture = ARCHITECTURES[config.student]
        if inner.architecture.width != architecture.width:
            raise ConfigError(
                f"a teacher of width {inner.architecture.width} with student '{config.student}' "
                f"of width {architecture.width}",
                expected="feature shapes that agree",
                fix="choose a student of the teacher's width",
            )
        if not 1 <= config.layers <= inner.GROUPS:
            raise ConfigError(
                f"{config.layers} layer groups",
                expected=f"1 to {inner.GROUPS} for this teacher",
                fix="change --layers",
            )
        torch.manual_seed(config.seed)
        mean, std = inner.mean.flatten().tolist(), inner.std.flatten().tolist()
        student = ResNet(architecture, mean, std)
        outputs = {"flow": {"motion": 2}, "image": {"appearance": 3}, "none": {}}
        wanted = outputs.get(config.low_level) or (
            outputs["flow"] | outputs["image"] if config.low_level == "both" else {}
        )
        branches = {n: LowLevelBranch(architecture.channels[-1], c) for n, c in wanted.items()}
        return EventScorer(
            teacher,
            student,
            nn.ModuleDict(branches),
            layers=config.layers,
            reduction=config.reduction,
        ).to(self.device)

    def _teacher_features(
        self, teacher: nn.Module, store: EventStore, rows: np.ndarray
    ) -> list[Tensor]:
        event = to_unit(torch.from_numpy(store.patches(rows)[:, 1]).to(self.device))
        with autocast(self.device, self.config.precision):
            features = teacher(event, self.config.layers)
        return [f.permute(0, 2, 3, 1) for f in features]  # kept as the student's lie in memory

    def _train(self, store: EventStore, targets: TargetCache, work: Path) -> None:
        """Minimise Eq. 8 over the student and the branches; L_ca enters late."""
        config = self.config
        student, branches = self.scorer.student, self.scorer.branches
        student.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        trained = nn.ModuleDict({"student": student, "branches": branches})
        optimizer = torch.optim.Adam(trained.parameters(), config.learning_rate)
        checkpoint = Checkpoint(work / "checkpoint.safetensors", {"networks": trained}, optimizer)
        position = checkpoint.load() or {"epoch": 0, "step": 0}
        log = RunLog(work / "losses.jsonl", resume_after=position["step"] - 1)
        step = position["step"]
        # Time left should count the dearer epochs with consistency as what they cost.
        cost = [3 if self._consistent(e) else 1 for e in range(config.epochs)]
        with progress("student", sum(cost)) as advance:
            advance(sum(cost[: position["epoch"]]))
            for epoch in range(position["epoch"], config.epochs):
                trained.train()
                batches = epoch_batches(len(store), config.batch, seed=config.seed, epoch=epoch)
                batches = [index for index in batches if len(index) > 1]  # batch norm needs two
                for index in batches:
                    if config.schedule == "cosine":
                        share = step / (config.epochs * len(batches))
                        rate = config.learning_rate * (1 + math.cos(math.pi * share)) / 2
                        optimizer.param_groups[0]["lr"] = rate
                    losses = self._losses(store, targets, np.sort(index.numpy()), epoch)
                    optimizer.zero_grad(set_to_none=True)
                    losses["total"].backward()
                    optimizer.step()
                    if step % 10 == 0:
                        log.write(step, **{name: value.item() for name, value in losses.items()})
                    step += 1
                    advance(cost[epoch] / len(batches), note=f"epoch {epoch + 1}/{config.epochs}")
                checkpoint.save(epoch=epoch + 1, step=step)
        trained.eval()

    def _consistent(self, epoch: int) -> bool:
        return self.config.lambda_ca > 0 and epoch >= self.config.consistency_after

    def _losses(
        self, store: EventStore, targets: TargetCache, rows: np.ndarray, epoch: int
    ) -> dict[str, Tensor]:
        """Every loss of one batch by name, with the ``total`` of Eq. 8."""
        config, n = self.config, len(rows)
        patches = torch.from_numpy(store.patches(rows)).to(self.device)
        event = to_unit(patches[:, 1])
        inputs = [event]
        if self._consistent(epoch):
            inputs += [to_unit(patches[:, 0]), to_unit(patches[:, 2])]
        with autocast(self.device, config.precision):
            features = self.scorer.student(torch.cat(inputs), config.layers)
            outputs = {
                name: branch(features[-1][:n]) for name, branch in self.scorer.branches.items()
            }
        own = [f[:n] for f in features]
        zero = torch.zeros((), device=self.device)
        teacher = (
            [t.to(self.device).permute(0, 3, 1, 2) for t in targets[rows]]
            if config.lambda_kd > 0
            else []
        )
        kd = distillation_loss(own, teacher, config.reduction) if teacher else zero
        ca = zero
        if self._consistent(epoch):
            before, after = [f[n : 2 * n] for f in features], [f[2 * n :] for f in features]
            ca = consistency_loss(before, own, after, config.reduction)
        lo = zero
        if outputs:
            goals: dict[str, Tensor] = {"appearance": event}
            flow = store.flow(rows)
            if flow is not None:
                goals["motion"] = torch.from_numpy(flow).float().to(self.device)
            lo = low_level_loss(outputs, goals, config.reduction)
        total = total_loss(
            kd,
            ca,
            lo,
            lambda_kd=config.lambda_kd,
            lambda_ca=config.lambda_ca,
            lambda_lo=config.lambda_lo,
        )
        return {"total": total, "kd": kd, "ca": ca, "lo": lo}

    def _standardise(self, store: EventStore) -> None:
        """mu and sigma of Eq. 12 over the training events, the lowest score and the calibration."""
        rows = np.arange(len(store))
        if pick_runtime(self.config.runtime, self.device) == "onnx-int8":
            sample = rows[:: max(1, len(rows) // 512)]
            self._int8 = to_int8(to_onnx(self.scorer), store.patches(sample), store.flow(sample))
        self._start_runtime()
        parts = []
        with progress("calibration", len(rows)) as advance:
            for chunk in np.array_split(rows, max(1, len(rows) // 512)):
                parts.append(self.runtime(store.patches(chunk), store.flow(chunk)))
                advance(len(chunk))
        scores = torch.from_numpy(np.concatenate(parts)).double()
        self.mean = scores.mean(0)
        self.std = scores.std(0).clamp_min(1e-12)
        overall = self._overall(scores)
        self.lowest = float(overall.min())
        self.calibration = Calibration.fit(store.frame_maxima(overall, self.lowest).tolist())

    # -- scoring -------------------------------------------------------------------------------

    def _start_runtime(self) -> None:
        runtime = pick_runtime(self.config.runtime, self.device)
        if runtime in ("torch", "torch-bf16"):
            precision = "bf16" if runtime == "torch-bf16" else "fp32"
            self.runtime = TorchRuntime(self.scorer, self.device, precision)
        elif runtime == "onnx":
            self.runtime = OnnxRuntime(to_onnx(self.scorer))
        else:
            assert self._int8 is not None
            self.runtime = OnnxRuntime(self._int8)

    def _overall(self, scores: Tensor) -> np.ndarray:
        """Eq. 12 of events' A_kd, A_ca, A_lo, as float32."""
        config = self.config
        lo = config.omega_lo if self.scorer.branches else 0.0
        weights = torch.tensor([config.omega_kd, config.omega_ca, lo], dtype=torch.float64)
        return overall_score(scores.double(), self.mean, self.std, weights).float().numpy()

    def stream(self, source: VideoSource) -> Iterator[FrameScore]:
        self.require_fitted()
        waiting: list[FrameEvents] = []
        for events in frame_events(source, self.localiser, self.flow):
            waiting.append(events)
            if len(waiting) == self.config.batch_frames:
                yield from self._score_frames(waiting)
                waiting = []
        yield from self._score_frames(waiting)

    def _score_frames(self, frames: list[FrameEvents]) -> Iterator[FrameScore]:
        if not frames:
            return
        patches = np.concatenate([f.patches for f in frames])
        flow = None
        if self.uses_flow:
            flow = np.concatenate([f.flow for f in frames if f.flow is not None])
        overall = self._overall(torch.from_numpy(self.runtime(patches, flow)))
        ends = np.cumsum([len(f.boxes) for f in frames])
        for frame, scores in zip(frames, np.split(overall, ends[:-1]), strict=True):
            yield FrameScore(
                index=frame.index,
                time=frame.time,
                score=float(scores.max()) if len(scores) else self.lowest,
                boxes=frame.boxes,
                box_scores=scores,
            )

    # -- saving --------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, described = pack_localiser(self.localiser)
        for name in ("student", "branches"):
            module: nn.Module = getattr(self.scorer, name)
            tensors |= {f"{name}/{k}": v for k, v in module.state_dict().items()}
        tensors |= {"mean": self.mean, "std": self.std}
        if self._int8 is not None:
            tensors["int8"] = torch.frombuffer(bytearray(self._int8), dtype=torch.uint8)
        teacher = dict(self.teacher_facts)
        if teacher["name"] not in SHIPPED:
            network = self.scorer.teacher.network
            assert isinstance(network, ResNet | UpsampledImageNet)
            tensors |= {f"teacher/{k}": _compressed(v) for k, v in network.state_dict().items()}
            teacher["architecture"] = asdict(network.architecture)
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
        teacher = _restore_teacher(facts["teacher"], _below(tensors, "teacher/"), path)
        detector.scorer = detector._networks(FrozenTeacher(teacher))
        detector.scorer.student.load_state_dict(_below(tensors, "student/"))
        detector.scorer.branches.load_state_dict(_below(tensors, "branches/"))
        detector.scorer.eval()
        detector.mean, detector.std = tensors["mean"], tensors["std"]
        detector.lowest = facts["lowest"]
        if "int8" in tensors:
            detector._int8 = tensors["int8"].numpy().tobytes()
        detector._start_runtime()
        return detector


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _compressed(tensor: Tensor) -> Tensor:
    """fp16 where that loses nothing, as with weights that were stored so."""
    if tensor.dtype != torch.float32 or not torch.equal(tensor.half().float(), tensor):
        return tensor
    return tensor.half()


def _restore_teacher(facts: dict[str, Any], tensors: dict[str, Tensor], path: Path) -> nn.Module:
    """The teacher of a saved detector: shipped (checked by hash) or from its tensors."""
    if facts["name"] in SHIPPED:
        network, shipped = open_teacher(facts["name"])
        if shipped["sha"] != facts["sha"]:
            raise WeightsError(
                f"{path} was fitted with teacher {facts['name']} {facts['sha']}, "
                f"this package ships {shipped['sha']}",
                expected="the same teacher weights",
                fix="fit again, or install the vadistill version that fitted it",
            )
        return network
    if facts["name"] == "imagenet":
        network = UpsampledImageNet(weights=None)
    else:
        architecture = facts["architecture"]
        network = ResNet(Architecture(tuple(architecture["blocks"]), architecture["width"]))
    network.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    )
    return network.eval()


def _identity(source: object) -> bytes:
    """What tells one clip's content from another's without decoding it."""
    if isinstance(source, np.ndarray):
        return source.tobytes()
    path = Path(str(source))
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return repr([(f.name, f.stat().st_size) for f in files]).encode()

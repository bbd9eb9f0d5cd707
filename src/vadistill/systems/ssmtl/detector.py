"""T2: anomaly detection by self-supervised multi-task learning.

Georgescu, Bărbălău, Ionescu, Khan, Popescu and Shah, "Anomaly detection in video via
self-supervised and multi-task learning", CVPR 2021: the second teacher of Ristea et al.,
"Lightning fast video anomaly detection via adversarial knowledge distillation", Sec. 3.

A 3-D convolutional network sees short clips of one object in a fixed box and learns four proxy
tasks on normal video.  Where it fails at them, something abnormal happens.

    task                      input                        score (model.TaskScorer)
    1 arrow of time           7 frames, or reversed        P(backward)
    2 motion irregularity     7 frames, or with gaps       P(irregular)
    3 middle-box prediction   6 frames around the middle   mean |middle - predicted|
    4 knowledge distillation  the middle frame             mean |Y - predicted|

    shared 3-D CNN, heads     model.SharedNetwork, VectorHead, MiddleDecoder
    clips of the tasks        tasks.compose
    L_1 … L_4, L              losses.arrow_loss … distillation_loss, total_loss
    Y                         tasks.ImageEmbedder, standardised
    object's score            losses.object_score, the mean of the four
    anomaly map               objects.maps.paint

Departures from the paper and readings of what it and the summary leave open:
- Objects come from a background model by default, not from YOLOv3 (no weights needed); a detector
  or a file of boxes are one setting away.  Localisers give boxes only, so Y has no detector's
  class outputs.
- Y are an image network's pooled features, not its class outputs, and by default those of the
  package's small CIFAR-10 network; ImageNet's ResNet-34 by name.  Each is standardised over
  training objects, so that all weigh alike in task 4.
- The errors of tasks 3 and 4 are divided by what 99 % of training objects stay below
  (losses.error_unit), so that they count like the probabilities beside them; the paper's plain sum
  depends on the scale of pixels and of Y.
- Irregular clips draw from eight stored offsets a side (tasks.REACHED): all twelve that gaps from
  1 to 4 can reach would take half as much disk again.  The regular clip is never drawn.
- Noise and a change of brightness lie over every frame of every clip, in training and in scoring
  (tasks.Veils): the codec's own noise grows with the distance of frames.
- Both classes of tasks 1 and 2 go through their head in one batch, and batch norm's statistics in
  the shared network are those of 7 frames (training.task_losses): in a batch each, batch norm alone
  told regular clips from irregular ones, and one clip when scoring from neither.
- A clip's end frames repeat for the 3x3x3 kernels (model.Convolution), so that one frame alone does
  not look different from a still clip to batch norm.
- Frames' features are averaged; layers of the heads, two convolutions a stage for ``deep``, epochs,
  learning rate and its cosine are ours.  ``strided-narrow``, the default, halves the resolution by
  strides in place of pooling: a quarter of the arithmetic.
- Training and the image network's targets use bf16 products where the processor has them, and
  targets are kept as fp16; scoring is fp32.
- The mean of the four is scaled by training statistics (object_centric.scaled_score), which keeps
  the order of objects; the score of a frame without objects is 0.
- Maps have one cell for 4x4 pixels, and no 3-D mean filter unless the recipe says so: it delays
  scores.  Filtered maps give the frame's score; boxes keep their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from vadistill.devices import Device, autocast, pick_precision
from vadistill.distill import TargetCache
from vadistill.files import content_hash
from vadistill.objects.learning import learn_patches
from vadistill.objects.patches import Cut, FlowPatches, Patches, PatchStore
from vadistill.program import Arrays, Program
from vadistill.soundness import real, require_array
from vadistill.systems.object_centric import ObjectPainter
from vadistill.systems.ssmtl.losses import error_unit, object_score
from vadistill.systems.ssmtl.model import SIDE, TaskScorer
from vadistill.systems.ssmtl.recipes import RECIPES, Config
from vadistill.systems.ssmtl.tasks import (
    REGULAR,
    STORED,
    ImageEmbedder,
    open_embedder,
)
from vadistill.systems.ssmtl.training import (
    standardise_targets,
    train_network,
    untrained,
)

if TYPE_CHECKING:
    from vadistill.datasets import Dataset

BATCH = 64
"""Objects that go through the network at once when scoring."""


class Ssmtl(ObjectPainter):
    """Object-centric self-supervised multi-task learning."""

    name = "ssmtl"
    GRAPH: ClassVar = {
        "clips": "RGB crops, 0 to 255, of one object's box at frames t - 3 to t + 3, each "
        "stretched to the square",
        "scores": "of the tasks of config.json: P(backward), P(irregular), the middle's error, the "
        "image network's",
        "before": "find objects, and cut each out",
        "after": "divide each by its unit in config.json; their mean is the object's score, and a "
        "frame's is its highest object's",
    }
    config: Config
    RECIPES: ClassVar = RECIPES

    scorer: TaskScorer
    embedder_facts: dict[str, Any]
    units: Float[np.ndarray, " tasks"]

    def __init__(self, config: Config | None = None, *, device: Device = "auto") -> None:
        config = config or Config()
        self.tasks = tuple(config.task_weights)
        super().__init__(config, Cut(SIDE, REGULAR), device=device)
        self.training_cut = Cut(SIDE, STORED)

    # -- training ------------------------------------------------------------------------------

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        config = self.config
        embedder, self.embedder_facts = None, {}
        if "distillation" in self.tasks:
            embedder, self.embedder_facts = open_embedder(config.image_network)
            embedder.to(self.device)
        store = learn_patches(
            train, work, localiser=self.localiser, cut=self.training_cut, frames=config.frames
        )
        targets = None if embedder is None else self._targets(embedder, store, work)
        network = untrained(config, 1 if targets is None else len(targets[np.arange(1)][0][0]))
        if targets is not None:
            standardise_targets(network, targets)
        self.scorer = TaskScorer(network, embedder, self.tasks).place(self.device)
        arithmetic = f"{self.device.type} {pick_precision(self.device, config.precision)}"
        sha = self.embedder_facts.get("sha", "")
        key = content_hash(store.key, arithmetic, sha, config.training_settings())
        folder = work / f"ssmtl-{key}"
        train_network(network, store, targets, config, self.device, folder)
        self.calibrate(store, train)

    def _targets(self, embedder: ImageEmbedder, store: PatchStore, work: Path) -> TargetCache:
        """The image network's outputs for the middle frames."""
        precision = self.config.precision

        def outputs(rows: np.ndarray) -> list[Tensor]:
            middle = torch.from_numpy(store.patches(rows)[:, STORED.index(0)])
            with autocast(self.device, precision):
                return [embedder(middle.to(self.device))]

        arithmetic = f"{self.device.type} {pick_precision(self.device, precision)}"
        key = content_hash(store.key, arithmetic, self.embedder_facts["sha"], f"pooled {SIDE}")
        return TargetCache(work / f"targets-{key}", key=key, count=len(store)).fill(outputs)

    # -- scoring -------------------------------------------------------------------------------

    def program(self, int8: bytes | Iterable[Arrays]) -> Program:
        clips = torch.zeros(2, len(REGULAR), SIDE, SIDE, 3, dtype=torch.uint8)
        return Program(self.scorer, {"clips": clips}, ("scores",), batch=BATCH, int8=int8)

    def inputs(self, patches: Patches, flow: FlowPatches) -> Arrays:
        return (patches,)

    def fit_parts(self, parts: Float32[np.ndarray, "n tasks"], store: PatchStore) -> None:
        """The errors' units."""
        errors = [task in ("middle", "distillation") for task in self.tasks]
        self.units = np.array(
            [
                error_unit(column) if error else 1.0
                for column, error in zip(parts.T.astype(np.float64), errors, strict=True)
            ]
        )

    def object_values(self, parts: Float32[np.ndarray, "n tasks"]) -> Float[np.ndarray, " n"]:
        """Mean of the tasks, the errors in units of training objects'."""
        return object_score(parts.astype(np.float64), self.units)

    # -- saving --------------------------------------------------------------------------------

    FROZEN: ClassVar = ("embedder",)

    def modules(self) -> dict[str, nn.Module]:
        return {"network": self.scorer.network}

    def frozen(self) -> dict[str, tuple[nn.Module, dict[str, Any]]]:
        if self.scorer.embedder is None:
            return {}
        return {"embedder": (self.scorer.embedder.network.network, self.embedder_facts)}

    def facts(self) -> dict[str, Any]:
        return {"units": self.units.tolist(), "low": self.low, "half": self.half}

    def rebuild(self, facts: dict[str, Any], frozen: dict[str, nn.Module]) -> None:
        self.low, self.half = real(facts, "low"), real(facts, "half", above=0)
        self.units = require_array(np.array(facts["units"]), "units", "f", len(self.tasks))
        if not (self.units > 0).all():
            raise ValueError(f"units {facts['units']}")
        self.embedder_facts = facts.get("embedder", {})
        embedder, outputs = None, 1
        if frozen:
            embedder = ImageEmbedder(frozen["embedder"])
            outputs = embedder.outputs
        network = untrained(self.config, outputs)
        self.scorer = TaskScorer(network, embedder, self.tasks).place(self.device)

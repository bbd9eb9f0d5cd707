"""T1: background-agnostic auto-encoders with adversarial training.

Georgescu, Ionescu, Khan, Popescu and Shah, "A background-agnostic framework with adversarial
training for abnormal event detection in video", TPAMI 44(9), 2022: the first teacher of Ristea et
al., "Lightning fast video anomaly detection via adversarial knowledge distillation", Sec. 3.

Each object is seen three ways: its picture, and its optical flow to the frames ``reach`` before and
after.  An auto-encoder a view learns to rebuild normal objects; pseudo-abnormal ones go through a
second, adversarial decoder behind a reversed gradient, so that the encoder unlearns to carry them.
Then a classifier a view tells normal from pseudo-abnormal objects by latent and error.

    symbol               here
    x, x-hat             model.Networks' views, AutoEncoder's second output
    z                    AutoEncoder's first output, 16x8x8
    D_adv                training.untrained's second value; not kept after training
    reversed gradient    model.reversed_gradient, Config.adversarial, .adversarial_motion
    pseudo-abnormal      pseudo.PseudoAppearance; motion.PseudoMotion: flow over Config.gaps frames
    p(abnormal)          losses.abnormality, mean of the three classifiers
    anomaly map          objects.maps.paint

Departures from the paper and readings of what it and the summary leave open:
- Objects come from a background model by default, not from YOLOv3 (no weights needed); a detector
  or a file of boxes are one setting away.  Optical flow is DIS, RAFT by name.
- Appearance is grey: it does for grey video too, where colour alone would give pictures away.
- Objects' segmentation plays no part: most localisers give boxes only.
- Flow is squashed by tanh (model.motion, ``flow_span``) and decoders end in tanh, so that the
  ascent is bounded.
- Adversarial decoders first learn alone (``adversarial_after``), as the paper has pseudo-abnormal
  objects rebuilt well before the gradient ascent; the main decoder never sees them in training.
- Flow is over three frames each way, as far as the student looks: over one, what walks and what
  rolls slowly differ by less than the flow's noise.
- Pseudo-abnormal motion is drawn from flow that is faster than 99 % of normal flow (motion.py), as
  much of that over larger gaps is not.
- Pseudo-abnormal appearance is made on the fly (textures, pasted and scrambled objects, pictures of
  solids: figures.py); published picture sets join by ``pictures``.
- The reversed gradient grows over 40 % of the training, and rests in a view whose adversarial
  decoder answers no better than with nothing.  Encoders of motion have none by default
  (``adversarial_motion``): it took one direction and left the other, and where it won, classifiers
  told normal objects worse.
- Strength of the reversed gradient, epochs, learning rate and its cosine, and the classifiers'
  layers are ours.
- The mean probability is scaled by training statistics (object_centric.scaled_score), which keeps
  the order of objects; the score of a frame without objects is 0.
- Maps have one cell for 4x4 pixels, and no 3-D mean filter unless the recipe says so: it delays
  scores.  Filtered maps give the frame's score; boxes keep their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import nn

from vadistill.devices import Device, pick_precision
from vadistill.files import content_hash
from vadistill.objects.learning import learn_patches
from vadistill.objects.patches import Cut, FlowPatches, Patches
from vadistill.program import Arrays, Program
from vadistill.soundness import real
from vadistill.systems.aed.losses import abnormality
from vadistill.systems.aed.model import SIDE, Networks, ObjectScorer
from vadistill.systems.aed.motion import PseudoMotion
from vadistill.systems.aed.pseudo import PseudoAppearance, foreign_pictures
from vadistill.systems.aed.recipes import RECIPES, Config
from vadistill.systems.aed.training import fast, flow_rms, train_networks, untrained
from vadistill.systems.object_centric import ObjectPainter

if TYPE_CHECKING:
    from vadistill.datasets import Dataset


def both_ways(frames: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pairs of frames of the motion views' flow, so many frames apart."""
    return (0, -frames), (0, frames)


class Aed(ObjectPainter):
    """Object-centric auto-encoders with adversarial training."""

    name = "aed"
    GRAPH: ClassVar = {
        "patches": "RGB crop, 0 to 255, of one object's box at frame t, stretched to the square",
        "flow": "optical flow in pixels cut out in the same way, x then y, from t to t - reach and "
        "from t to t + reach, as config.json has it",
        "logits": "of abnormal, of appearance and both directions of motion",
        "before": "find objects, and cut each out",
        "after": "the mean of the logits' sigmoids is the object's value; config.json has what "
        "scales it, and a frame's score is its highest object's",
    }
    config: Config
    RECIPES: ClassVar = RECIPES

    networks: Networks
    span: float

    def __init__(self, config: Config | None = None, *, device: Device = "auto") -> None:
        config = config or Config()
        cut = Cut(SIDE, (0,), both_ways(config.reach), config.flow)
        super().__init__(config, cut, device=device)
        wider = tuple(pair for gap in config.gaps for pair in both_ways(gap))
        self.training_cut = replace(cut, flows=cut.flows + wider)

    # -- training ------------------------------------------------------------------------------

    def learn(self, train: Dataset, work: Path, val: Dataset | None) -> None:
        config = self.config
        pictures = foreign_pictures(config.pictures, config.figures, SIDE, seed=config.seed)
        store = learn_patches(
            train, work, localiser=self.localiser, cut=self.training_cut, frames=config.frames
        )
        arithmetic = f"{self.device.type} {pick_precision(self.device, config.precision)}"
        foreign = "" if pictures is None else pictures.tobytes()
        key = content_hash(store.key, arithmetic, config.training_settings(), foreign)
        folder = work / f"aed-{key}"
        self.span = config.flow_span * flow_rms(store)
        networks, adversaries = untrained(config)
        self.networks = networks.to(self.device)
        train_networks(
            self.networks,
            adversaries.to(self.device),
            store,
            PseudoAppearance.parse(config.pseudo, pictures),
            PseudoMotion.of(store),
            self.span,
            config,
            self.device,
            folder,
        )
        self.calibrate(store, train)

    # -- scoring -------------------------------------------------------------------------------

    def program(self, int8: bytes | Iterable[Arrays]) -> Program:
        patches = torch.zeros(2, 1, SIDE, SIDE, 3, dtype=torch.uint8)
        flow = torch.zeros(2, len(self.cut.flows), 2, SIDE, SIDE, dtype=torch.float16)
        scorer = ObjectScorer(self.networks, self.span)
        return Program(scorer, {"patches": patches, "flow": flow}, ("logits",), int8=int8)

    def inputs(self, patches: Patches, flow: FlowPatches) -> Arrays:
        return patches, flow

    def object_values(self, parts: Float32[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Mean probability of abnormal of the three classifiers."""
        return abnormality(torch.from_numpy(parts)).numpy()

    # -- saving --------------------------------------------------------------------------------

    def modules(self) -> dict[str, nn.Module]:
        return {"networks": self.networks}

    def facts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("span", "low", "half")}

    def rebuild(self, facts: dict[str, Any], frozen: dict[str, nn.Module]) -> None:
        self.low, self.half = real(facts, "low"), real(facts, "half", above=0)
        self.span = real(facts, "span", above=0)
        self.networks = fast(Networks())

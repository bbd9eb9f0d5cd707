"""torchvision, also where its compiled operators do not fit the PyTorch that is installed.

A CPU-only PyTorch beside the torchvision wheel of the public index cannot load that wheel's
operators, and ``import torchvision`` then fails with "operator torchvision::nms does not exist".
Detectors need just that operator: RoI Align has a Python form inside torchvision.
"""

from __future__ import annotations

import importlib
import pickle
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vadistill.errors import ConfigError, WeightsError, one_of
from vadistill.fetching import Published, fetched

_library: torch.library.Library | None = None
"""Keeps the operator registered: PyTorch removes it when this object is collected."""


def import_torchvision() -> ModuleType:
    """The ``torchvision`` package, with a non-maximum suppression that runs.

    On an ordinary install this is ``import torchvision`` and nothing else.  Raises ConfigError when
    torchvision is missing or cannot be imported for another reason.
    """
    try:
        return importlib.import_module("torchvision")
    except ImportError as error:
        raise _broken(error) from error
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise _broken(error) from error
    # The failed import left submodules behind that belong to no package object.
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]
    _define_nms()
    try:
        torchvision = importlib.import_module("torchvision")
        boxes: Any = importlib.import_module("torchvision.ops.boxes")
        pooling: Any = importlib.import_module("torchvision.ops.roi_align")
    except (ImportError, RuntimeError) as error:
        raise _broken(error) from error
    # The guard asks for all compiled operators; this module's callers need the one defined here.
    boxes._assert_has_ops = lambda: None
    # The Python RoI Align compiles itself on its first call: half a minute, and a C++ compiler.
    pooling._roi_align = pooling._roi_align.__wrapped__
    return torchvision


def greedy_nms(
    boxes: Float[Tensor, "n 4"], scores: Float[Tensor, " n"], iou_threshold: float
) -> Int[Tensor, " kept"]:
    """Indices of the boxes that no better box overlaps by more than ``iou_threshold``, best first.

    Boxes are x1, y1, x2, y2; of equal scores the earlier box is the better one.
    """
    order = scores.argsort(descending=True, stable=True)
    ranked = boxes[order].float() if boxes.dtype == torch.half else boxes[order]
    areas = (ranked[:, 2] - ranked[:, 0]) * (ranked[:, 3] - ranked[:, 1])
    suppressed = torch.zeros(len(ranked), dtype=torch.bool, device=boxes.device)
    kept: list[int] = []
    for i in range(len(ranked)):
        if suppressed[i]:
            continue
        kept.append(i)
        rest = ranked[i + 1 :]
        corner = torch.maximum(rest[:, :2], ranked[i, :2])
        overlap = (torch.minimum(rest[:, 2:], ranked[i, 2:]) - corner).clamp(min=0).prod(1)
        suppressed[i + 1 :] |= overlap / (areas[i + 1 :] + areas[i] - overlap) > iou_threshold
    return order[torch.tensor(kept, dtype=torch.long, device=boxes.device)]


def _define_nms() -> None:
    global _library
    if _library is not None:
        return
    _library = torch.library.Library("torchvision", "FRAGMENT")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    # The quantised form is only declared: torchvision's import asks for it, nothing here calls it.
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    for backend in ("CPU", "CUDA"):
        _library.impl("nms", greedy_nms, backend)


def _broken(error: Exception) -> ConfigError:
    return ConfigError(
        f"torchvision cannot be imported ({str(error).splitlines()[0]})",
        expected="a torchvision release that goes with the installed PyTorch",
        fix="reinstall both together: pip install --upgrade torch torchvision",
    )


def pretrained(name: str, weights: str | Path | None = None, **arguments: object) -> nn.Module:
    """A torchvision model such as ``detection.ssdlite320_mobilenet_v3_large``, with weights.

    ``weights`` is a file with a state dict; without it torchvision's default weights are fetched.
    Never random weights: raises WeightsError where there are none, and ConfigError for an unknown
    name.
    """
    import_torchvision()
    group, _, builder = name.rpartition(".")
    models = importlib.import_module(f"torchvision.models.{group}".rstrip("."))
    from torchvision.models import get_model_builder, get_model_weights, list_models

    known = list_models(models)
    one_of("torchvision model", builder, known)
    build = get_model_builder(builder)
    if weights is not None:
        # The backbone's weights are named too, lest torchvision download them for nothing.
        extra = {"weights_backbone": None} if group == "detection" else {}
        model = build(weights=None, **extra, **arguments)
        load_state(model, Path(weights))
        return model.eval()
    default: Any = get_model_weights(builder).DEFAULT  # pyright: ignore[reportAttributeAccessIssue]
    fetch_weights(default, f"the weights of {builder}", instead="pass weights=FILE")
    return build(weights=default, **arguments).eval()


def fetch_weights(entry: Any, what: str, *, instead: str) -> None:
    """Have an entry of torchvision's enumerations of weights in the cache, where torchvision looks.

    ``what`` and ``instead`` are those of ``fetched``, which raises WeightsError.
    """
    fetched(published(entry), what=what, instead=instead)


def published(entry: Any) -> Published:
    """The file of such an entry, whose name has the beginning of its hash."""
    digits = re.search(r"-([0-9a-f]{8,})\.[a-z]+$", entry.url)
    return Published(entry.url, digits[1] if digits else "")


def load_state(model: nn.Module, path: Path) -> None:
    """Load a state dict file into ``model``; runs no code from the file; raises WeightsError."""
    if not path.is_file():
        raise WeightsError(
            f"no weight file at {path}", expected="a PyTorch state dict", fix="check the path"
        )
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{path} does not hold this model's weights ({(str(error).splitlines() or ['?'])[0]})",
            expected=f"a state dict of {type(model).__name__}, saved by torch.save",
            fix="choose the file of the named model",
        ) from error

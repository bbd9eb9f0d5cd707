"""Weights of a backbone: read from a file, downloaded, or drawn for tests; and their hash."""

from __future__ import annotations

import contextlib
import logging
import pickle
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vadistill.errors import WeightsError
from vadistill.fetching import SWITCHED_OFF, is_offline, or_allow
from vadistill.files import content_hash, read_safetensors

M = TypeVar("M", bound=nn.Module)

RANDOM = "random"
"""In place of a weight file: drawn with a fixed seed.  For tests and timing only."""

REVISION = 1
"""Raised when features change with neither weights nor settings: stored ones are then made anew."""

UNUSED = "num_batches_tracked"
"""Buffers of batch norm that count training steps: older files lack them, inference needs none."""


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or of a PyTorch state dict; runs no code from the file.

    Raises WeightsError.
    """
    if path.suffix == ".safetensors":
        return read_safetensors(path)[0]
    if not path.is_file():
        raise WeightsError(
            f"no weight file at {path}",
            expected="a PyTorch state dict or a .safetensors file",
            fix="check the path",
        )
    try:
        with warnings.catch_warnings(action="ignore"):
            state = torch.load(path, map_location="cpu", weights_only=True)
        if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
            state = state["state_dict"]  # as training scripts save it, beside other things
        if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
            raise TypeError(f"holds a {type(state).__name__} of other things than tensors")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, TypeError, KeyError) as error:
        reason = (str(error).splitlines() or ["?"])[0]
        if isinstance(error, pickle.UnpicklingError):
            # PyTorch's own words advise to run whatever code is in the file.
            reason = "it is no state dict of tensors alone"
        raise WeightsError(
            f"{path} cannot be read as weights ({reason})",
            expected="a state dict saved by torch.save, or a .safetensors file",
            fix="save the model's state_dict() alone, or download the file again",
        ) from error
    return dict(state)


def load_weights(network: nn.Module, state: Mapping[str, Tensor], path: Path, *, of: str) -> None:
    """Put ``state``, read from ``path``, into ``network``; raises WeightsError unless all fits.

    ``of`` names the model in the error.
    """
    own = network.state_dict()
    missing = [k for k in own if k not in state and not k.endswith(UNUSED)]
    others = [k for k in state if k not in own]
    shaped = [k for k in own if k in state and state[k].shape != own[k].shape]
    wrong = []
    if missing:
        wrong.append(f"{len(missing)} of {len(own)} tensors are missing, such as {missing[0]}")
    if others:
        wrong.append(f"{len(others)} do not belong to it, such as {others[0]}")
    if shaped:
        sizes = ["x".join(map(str, s[shaped[0]].shape)) or "1" for s in (state, own)]
        wrong.append(f"{len(shaped)} have another shape: {shaped[0]} {sizes[0]}, not {sizes[1]}")
    if wrong:
        raise WeightsError(
            f"{path} does not hold the weights of {of} ({'; '.join(wrong)})",
            expected=f"a state dict of {of}",
            fix="choose the file of the named model",
        )
    network.load_state_dict(dict(state), strict=False)


def drawn(build: Callable[[], M], seed: int = 0) -> M:
    """What ``build`` gives, with weights that depend on ``seed`` alone.

    Convolutions are drawn so that activations keep their size through a deep network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with quiet():
            network = build()
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network


@contextlib.contextmanager
def downloading(what: str, *, address: str, local: str) -> Iterator[None]:
    """Turns whatever a library raises in a download into one WeightsError.

    ``address``: where the file can be got by other means.  ``local``: the name that reads it.
    Where fetching is switched off, the library has looked into its own cache alone.
    """
    try:
        with quiet():  # the libraries log each attempt; the error below says it once
            yield
    # Each library has its own errors, down to bare RuntimeError and those of HTTP clients.
    except Exception as error:
        reason = textwrap.shorten(str(error) or type(error).__name__, 120, placeholder=" …")
        off = is_offline()
        lack = f"are not on this machine, and {SWITCHED_OFF}" if off else "could not be downloaded"
        raise WeightsError(
            f"the weights of {what} {lack} ({reason})",
            expected="the weights in a file" if off else "network access, or the weights in a file",
            fix=or_allow(f"download {address} on another machine and name the file as '{local}'"),
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences what libraries log and warn of while they build a network."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def fingerprint(settings: Mapping[str, Any], network: nn.Module | None = None) -> str:
    """A 16-digit hash of settings and of every weight, by name, whatever file they came from."""
    state = {} if network is None else network.state_dict()
    parts = [
        f"{name} {tuple(v.shape)} {content_hash(v.detach().cpu().contiguous().numpy().tobytes())}"
        for name, v in sorted(state.items())
        if not name.endswith(UNUSED)
    ]
    return content_hash(f"{REVISION} {sorted(settings.items())}", *parts)

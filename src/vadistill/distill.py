"""What every distillation shares: a teacher that cannot change, and its outputs computed once."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vadistill.errors import WeightsError
from vadistill.files import allocate, content_hash, unwritable, write_json
from vadistill.progress import progress


class FrozenTeacher(nn.Module):
    """Wraps a network so that it stays in eval mode, needs no gradient and is never in a graph."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> FrozenTeacher:
        """A teacher does not train: its mode stays eval, whatever its parent does."""
        return super().train(False)

    def forward(self, *args: object, **kwargs: object) -> Any:
        with torch.no_grad():
            return self.network(*args, **kwargs)

    @property
    def fingerprint(self) -> str:
        """A hash of every parameter and buffer."""
        state = self.network.state_dict()
        return content_hash(*(v.detach().cpu().numpy().tobytes() for v in state.values()))


class HeldTargets:
    """A teacher's outputs for N inputs as fp16, in the memory of the device that computes them."""

    def __init__(
        self,
        outputs: Callable[[np.ndarray], Sequence[Float[Tensor, "n ..."]]],
        *,
        count: int,
        batch: int = 256,
    ) -> None:
        self._layers: list[Tensor] = []
        with progress("teacher targets", count) as advance:
            for start in range(0, count, batch):
                rows = np.arange(start, min(start + batch, count))
                layers = [o.detach().half() for o in outputs(rows)]
                if not self._layers:
                    self._layers = [o.new_empty((count, *o.shape[1:])) for o in layers]
                for held, layer in zip(self._layers, layers, strict=True):
                    held[start : start + len(rows)] = layer
                advance(len(rows))

    def __getitem__(self, rows: Int[np.ndarray, " n"]) -> list[Float[Tensor, "n ..."]]:
        """Outputs of some rows, one float32 tensor a layer."""
        return [held[torch.from_numpy(rows).to(held.device)].float() for held in self._layers]

    @staticmethod
    def fit_in(device: torch.device, outputs: Sequence[Float[Tensor, "n ..."]], count: int) -> bool:
        """Whether a GPU has room for them twice over; ``outputs`` are those of some inputs."""
        if device.type != "cuda":
            return False
        each = sum(2 * o[0].numel() for o in outputs)
        return 2 * count * each <= torch.cuda.mem_get_info(device)[0]


class TargetCache:
    """A teacher's outputs for N inputs as fp16, memory-mapped, one file a layer.

    ``key`` names everything that the outputs depend on; a cache with another key is written anew.
    Filling is resumable: rows that were written and flushed before a kill are kept.
    """

    def __init__(self, folder: Path, *, key: str, count: int) -> None:
        self.folder, self.key, self.count = folder, key, count
        self._maps: list[np.memmap] = []

    def fill(
        self, outputs: Callable[[np.ndarray], Sequence[Float[Tensor, "n ..."]]], batch: int = 256
    ) -> TargetCache:
        """Compute missing rows with ``outputs(rows)``; raises WeightsError if the disk is full."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state_file = self.folder / "targets.json"
        state = json.loads(state_file.read_text()) if state_file.exists() else {}
        if state.get("key") != self.key or state.get("count") != self.count:
            state = {"key": self.key, "count": self.count, "done": 0, "shapes": []}
        try:
            with progress("teacher targets", self.count) as advance:
                advance(state["done"])
                for start in range(state["done"], self.count, batch):
                    rows = np.arange(start, min(start + batch, self.count))
                    layers = [o.detach().half().cpu().numpy() for o in outputs(rows)]
                    if not state["shapes"]:
                        state["shapes"] = [list(layer.shape[1:]) for layer in layers]
                        write_json(state_file, state)
                    self._open(state["shapes"], "r+")
                    for store, layer in zip(self._maps, layers, strict=True):
                        store[rows] = layer
                    state["done"] = int(rows[-1]) + 1
                    if start // batch % 16 == 15 or state["done"] == self.count:
                        for store in self._maps:
                            store.flush()
                        write_json(state_file, state)
                    advance(len(rows))
        except OSError as error:
            raise unwritable(self.folder, error) from error
        self._open(state["shapes"], "r")
        return self

    def _open(self, shapes: list[list[int]], mode: str) -> None:
        if self._maps and self._maps[0].mode == mode:
            return
        self._maps = []
        for j, shape in enumerate(shapes):
            path = self.folder / f"layer{j}.f16"
            size = self.count * int(np.prod(shape)) * 2
            if mode == "r+" and (not path.exists() or path.stat().st_size != size):
                path.unlink(missing_ok=True)
                allocate(path, size)
            self._maps.append(
                np.memmap(path, np.float16, mode=mode, shape=(self.count, *shape))  # pyright: ignore[reportArgumentType, reportCallIssue]
            )

    def __getitem__(self, rows: Int[np.ndarray, " n"]) -> list[Float[Tensor, "n ..."]]:
        """Outputs of some rows, one float32 tensor a layer; raises WeightsError before ``fill``."""
        if not self._maps:
            raise WeightsError(
                f"no targets at {self.folder}", expected="a filled cache", fix="call fill(…) first"
            )
        return [torch.from_numpy(store[rows].astype(np.float32)) for store in self._maps]


Targets = HeldTargets | TargetCache
"""A teacher's outputs by the rows of its inputs."""

"""Running a fitted network: PyTorch, ONNX Runtime and OpenVINO behind one interface, ``Runtime``.

Sessions are here and nowhere else; a further runtime is a class and an entry in ``RUNTIMES``.
Libraries are imported on first use, so that help stays fast.
"""

from __future__ import annotations

import io
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vadistill.devices import Precision, asked_threads, autocast
from vadistill.errors import lacking, one_of
from vadistill.int8 import Opener
from vadistill.program import Arrays, Program
from vadistill.race import VARIABLE, Race, present, settled

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

RuntimeName = Literal[
    "auto", "torch", "torch-bf16", "onnx", "onnx-int8", "openvino", "openvino-int8"
]
"""What runs the networks when scoring.

``torch``: plain PyTorch, fp32.  ``torch-bf16``: PyTorch with bf16 products, several times faster
where the processor has them (AMX, recent GPUs).  ``onnx``: ONNX Runtime on the CPU, fp32, batch
norm folded and operators fused.  ``openvino``: the same graph in OpenVINO on the CPU, fp32 (extra
``export``).  ``onnx-int8``, ``openvino-int8``: with 8-bit convolutions.  ``auto``: torch on a GPU;
on a CPU which of onnx, torch and openvino is the fastest there, of a network with an 8-bit graph
onnx-int8 and openvino-int8 too (``vadistill.race``).
"""

INT8 = "int8"
"""The name of a saved model's 8-bit graph."""


class Runtime(ABC):
    """A network ready to run: arrays in, arrays out, all with one row an item.

    ``batch`` rows go through the network at a time, so that memory stays small.
    """

    name: str
    precision: str
    """Of the arithmetic: fp32, bf16 or int8."""
    int8: bytes | None = None
    """The 8-bit graph, which saved models keep: its ranges are not in the weights."""
    race: Race | None = None
    """Which it won, where ``auto`` was asked for."""

    def __init__(self, name: str, precision: str, batch: int) -> None:
        self.name, self.precision, self.batch = name, precision, batch
        self._nothing: Arrays | None = None

    def __call__(self, *inputs: np.ndarray) -> Arrays:
        """The network's outputs; inputs of no rows give outputs of no rows."""
        rows = range(0, len(inputs[0]), self.batch)
        parts = [self.run([each[i : i + self.batch] for each in inputs]) for i in rows]
        if parts:
            return tuple(map(np.concatenate, zip(*parts, strict=True)))
        if self._nothing is None:
            made = self.run([np.zeros((1, *each.shape[1:]), each.dtype) for each in inputs])
            self._nothing = tuple(array[:0] for array in made)
        return self._nothing

    @abstractmethod
    def run(self, inputs: Sequence[np.ndarray]) -> Arrays:
        """The outputs for one batch."""

    def saved(self) -> dict[str, Tensor]:
        """Tensors that a saved model keeps for ``open_runtime``: the 8-bit graph, if any."""
        import torch

        if self.int8 is None:
            return {}
        return {INT8: torch.frombuffer(bytearray(self.int8), dtype=torch.uint8)}


def saved_int8(tensors: Mapping[str, Tensor]) -> bytes | tuple[()]:
    """The 8-bit graph among a saved model's tensors, if any: ``Program.int8``."""
    return tensors[INT8].numpy().tobytes() if INT8 in tensors else ()


class TorchRuntime(Runtime):
    """PyTorch on any device; outputs are fp32."""

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        *,
        precision: Precision = "fp32",
        batch: int = 256,
    ) -> None:
        super().__init__("torch-bf16" if precision == "bf16" else "torch", precision, batch)
        self._module, self._device = module.to(device).eval(), device
        self._arithmetic: Precision = precision

    def run(self, inputs: Sequence[np.ndarray]) -> Arrays:
        import torch

        with torch.inference_mode(), autocast(self._device, self._arithmetic):
            made = self._module(*(self._tensor(array) for array in inputs))
        outputs = made if isinstance(made, tuple) else (made,)
        return tuple(output.float().cpu().numpy() for output in outputs)

    def _tensor(self, array: np.ndarray) -> Tensor:
        import torch

        own = array if array.flags.writeable else np.array(array)
        return torch.from_numpy(own).to(self._device)


class OnnxRuntime(Runtime):
    """ONNX Runtime on the CPU, or where ``device`` is no CPU on a GPU if it can use one.

    ``inputs`` are the names of what is passed, in order (default: the graph's own); the exporter
    leaves out of a graph what has no effect.  ``waits``: between calls its threads sleep, rather
    than look out for the next one, which on a busy machine takes the time of what comes between.
    There are ``OMP_NUM_THREADS`` of them, as of PyTorch's; without it, as many as cores.
    """

    def __init__(
        self,
        graph: bytes | Path,
        inputs: Sequence[str] | None = None,
        *,
        precision: str = "fp32",
        batch: int = 256,
        device: str = "cpu",
        waits: bool = False,
    ) -> None:
        import onnxruntime

        super().__init__("onnx-int8" if precision == "int8" else "onnx", precision, batch)
        self.int8 = graph if precision == "int8" and isinstance(graph, bytes) else None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = asked_threads()
        if waits:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        wanted = ["CUDAExecutionProvider"] * (device != "cpu") + ["CPUExecutionProvider"]
        available = onnxruntime.get_available_providers()
        self.session = onnxruntime.InferenceSession(
            graph, options, providers=[p for p in wanted if p in available]
        )
        self._needed = [each.name for each in self.session.get_inputs()]
        self._inputs = tuple(inputs or self._needed)

    def run(self, inputs: Sequence[np.ndarray]) -> Arrays:
        given = dict(zip(self._inputs, inputs, strict=True))
        made: Any = self.session.run(None, {name: given[name] for name in self._needed})
        return tuple(made)


class OpenVino(Runtime):
    """OpenVINO on the CPU, in fp32 also where the processor has bf16; raises ConfigError without.

    ``graph`` is an ONNX graph, or a file that OpenVINO reads: IR, ONNX or TFLite.
    """

    def __init__(
        self,
        graph: bytes | Path,
        inputs: Sequence[str] | None = None,
        *,
        precision: str = "fp32",
        batch: int = 256,
    ) -> None:
        try:
            import openvino  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise lacking("runtime openvino", "export") from error
        super().__init__("openvino-int8" if precision == "int8" else "openvino", precision, batch)
        self.int8 = graph if precision == "int8" and isinstance(graph, bytes) else None
        model = openvino.Core().read_model(io.BytesIO(graph) if isinstance(graph, bytes) else graph)
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": asked_threads()}
        self.session = openvino.compile_model(model, "CPU", settings)
        names = [each.get_names() for each in self.session.inputs]  # several of one, folded
        self._needed = [min(own & set(inputs or own)) for own in names]
        self._inputs, self._one = tuple(inputs or self._needed), threading.Lock()

    def run(self, inputs: Sequence[np.ndarray]) -> Arrays:
        given = dict(zip(self._inputs, inputs, strict=True))
        with self._one:  # its compiled model has one request, whose results are copied
            made = self.session([given[name] for name in self._needed])
        return tuple(made[output] for output in self.session.outputs)


class Merged(Runtime):
    """A runtime whose calls are merged with other threads'."""

    def __init__(
        self, runtime: Runtime, merge: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> None:
        super().__init__(runtime.name, runtime.precision, runtime.batch)
        self._merged = merge(runtime)

    def __call__(self, *inputs: np.ndarray) -> Arrays:
        return self._merged(*inputs)

    def run(self, inputs: Sequence[np.ndarray]) -> Arrays:
        return self._merged(*inputs)


def _onnx(program: Program, graph: bytes, precision: str) -> Runtime:
    names, batch, waits = tuple(program.inputs), program.batch, program.waits
    return OnnxRuntime(graph, names, precision=precision, batch=batch, waits=waits)


RUNTIMES: dict[str, Callable[[Program, torch.device], Runtime]] = {
    "torch": lambda program, device: TorchRuntime(program.module, device, batch=program.batch),
    "torch-bf16": lambda program, device: TorchRuntime(
        program.module, device, precision="bf16", batch=program.batch
    ),
    "onnx": lambda program, _: _onnx(program, program.to_onnx(), "fp32"),
    "onnx-int8": lambda program, _: _onnx(program, program.to_int8(), "int8"),
    "openvino": lambda program, _: OpenVino(
        program.to_onnx(), tuple(program.inputs), batch=program.batch
    ),
    "openvino-int8": lambda program, _: OpenVino(
        program.to_int8(), tuple(program.inputs), precision="int8", batch=program.batch
    ),
}


TOLERANCE = {"fp32": 1e-3, "int8": 0.1}
"""The largest difference of scores that is let pass, as a share of their range."""


def pick_runtime(name: str, device: torch.device) -> str:
    """What ``auto`` stands for where there is no race; raises ConfigError for an unknown name."""
    on = "torch" if device.type == "cuda" else os.environ.get(VARIABLE) or "onnx"
    return one_of("runtime", on if name == "auto" else name, RUNTIMES)


def eight_bits(program: Program, names: Sequence[str]) -> bytes:
    """The program's 8-bit graph, as it scores well in all these runtimes; raises WeightsError."""
    import torch

    def opener(name: str) -> Opener:
        return lambda graph: RUNTIMES[name](replace(program, int8=graph), torch.device("cpu"))

    return program.to_int8([opener(name) for name in names])


def open_runtime(program: Program, name: str, device: torch.device) -> Runtime:
    """The program in the runtime of this name; ``auto`` on a CPU is the winner of a race.

    Raises ConfigError for an unknown name, WeightsError for 8 bits without ranges.
    """
    if name.endswith(f"-{INT8}") and name in RUNTIMES:
        program = replace(program, int8=eight_bits(program, [name]))
    if name != "auto" or device.type == "cuda" or os.environ.get(VARIABLE):
        runtime = RUNTIMES[pick_runtime(name, device)](program, device)
        if name == "auto" and isinstance(program.int8, bytes):
            runtime.int8 = program.int8  # which stays with the model for where there is a race
        return runtime
    opened = dict[str, Runtime]()

    def opener(each: str) -> Callable[[], Runtime]:
        return lambda: opened.setdefault(each, RUNTIMES[each](program, device))

    names, precision = present(), "fp32"
    if isinstance(program.int8, bytes):
        names += [f"{each}-int8" for each in names if f"{each}-int8" in RUNTIMES]
        precision = "int8"
    found = settled(
        program.key(), {each: opener(each) for each in names}, program.usual(), TOLERANCE[precision]
    )
    runtime = opener(found.winner)()
    runtime.race = found
    if isinstance(program.int8, bytes):
        runtime.int8 = program.int8  # which is saved, whatever won
    return runtime

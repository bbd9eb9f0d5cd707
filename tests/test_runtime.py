"""One interface over all runtimes: rows, names, 8 bits; and each system's networks."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from vadistill import int8, runtime
from vadistill.backbones.teachers import ARCHITECTURES, ResNet
from vadistill.distill import FrozenTeacher
from vadistill.errors import ConfigError, WeightsError
from vadistill.program import Arrays, Program
from vadistill.runtime import RUNTIMES, Merged, open_runtime, saved_int8
from vadistill.systems import aed, cafe, dakd, fast_aed, ssmtl
from vadistill.systems.aed.model import Networks
from vadistill.systems.aed.training import fast
from vadistill.systems.cafe.model import LowLevelBranch, PatchScorer
from vadistill.systems.dakd import model as dakd_model
from vadistill.systems.dakd import scoring as dakd_scoring
from vadistill.systems.dakd.temporal import RIVALS
from vadistill.systems.fast_aed import scoring
from vadistill.systems.fast_aed.model import Student
from vadistill.systems.object_centric import ObjectCentric
from vadistill.systems.ssmtl.model import TaskScorer
from vadistill.systems.ssmtl.training import untrained as untrained_tasks

CPU = torch.device("cpu")

OPENVINO = importlib.util.find_spec("openvino") is not None
NAMES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name.startswith("openvino") and not OPENVINO,
            reason="openvino is not installed (extra export)",
        ),
    )
    for name in RUNTIMES
]


class Small(nn.Module):
    """A convolution's mean and maximum, and an input that has no effect; counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.calls = nn.Conv2d(3, 4, 3), 0

    def forward(self, pictures: Tensor, unused: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        maps = self.conv(pictures.float() / 255)
        return maps.mean((1, 2, 3)), maps.amax((2, 3))


class Deep(nn.Module):
    """Three convolutions of three frames' bytes, as they come, to a score of what moves."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)
        self.layers = nn.Sequential(*layers)
        with torch.no_grad():
            layers[0].weight -= 0.9 * layers[0].weight.mean(1, keepdim=True)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures.float()).amax((1, 2, 3))


class Residual(nn.Module):
    """Three blocks with shortcuts, and a convolution, to a score."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 1, 3)
        pairs = [(nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1)) for _ in range(3)]
        self.blocks = nn.ModuleList(nn.Sequential(a, nn.ReLU(), b) for a, b in pairs)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.first(pictures.float() / 255).relu()
        for block in self.blocks:
            x = (x + block(x)).relu()
        return self.last(x).amax((1, 2, 3))


PICTURES = {"pictures": torch.zeros(2, 3, 8, 8, dtype=torch.uint8)}


def small(**settings: Any) -> Program:
    examples = {
        "pictures": torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        "unused": torch.zeros(2, 1),
    }
    return Program(Small(), examples, ("mean", "maximum"), **settings)


def pictures(count: int) -> Arrays:
    rng = np.random.default_rng(count)
    return rng.integers(0, 256, (count, 3, 8, 8), np.uint8), np.zeros((count, 1), np.float32)


class TestRuntimes:
    """What holds for each runtime."""

    @pytest.mark.parametrize("name", NAMES)
    def test_rows_in_rows_out(self, name: str) -> None:
        opened = open_runtime(small(batch=2, int8=[pictures(5)]), name, CPU)
        assert opened.name == name
        wanted = open_runtime(small(), "torch", CPU)(*pictures(5))
        # Processors without VNNI add products of 8 bits in 16, which saturate.
        tolerance = {"fp32": 1e-5, "bf16": 0.02, "int8": 0.1}[opened.precision]
        for count in (5, 2, 1):
            made = opened(*(each[:count] for each in pictures(5)))
            assert [x.shape for x in made] == [(count,), (count, 4)]
            assert {x.dtype for x in made} == {np.dtype(np.float32)}
            for one, other in zip(made, wanted, strict=True):
                np.testing.assert_allclose(one, other[:count], atol=tolerance)
        assert [x.shape for x in opened(*pictures(0))] == [(0,), (0, 4)]

    def test_a_batch_goes_through_the_network_at_a_time(self) -> None:
        program = small(batch=2)
        open_runtime(program, "torch", CPU)(*pictures(5))
        assert isinstance(program.module, Small) and program.module.calls == 3

    def test_read_only_rows_are_no_matter(self) -> None:
        rows = pictures(3)
        rows[0].flags.writeable = False
        open_runtime(small(), "torch", CPU)(*rows)

    def test_eight_bits_are_saved(self) -> None:
        program = small(int8=[pictures(4)])
        first = open_runtime(program, "onnx-int8", CPU)
        saved = first.saved()
        assert list(saved) == ["int8"] and saved["int8"].dtype == torch.uint8
        again = open_runtime(small(int8=saved_int8(saved)), "onnx-int8", CPU)
        for one, other in zip(again(*pictures(3)), first(*pictures(3)), strict=True):
            np.testing.assert_array_equal(one, other)
        assert open_runtime(program, "onnx", CPU).saved() == {} and saved_int8({}) == ()
        with pytest.raises(WeightsError, match="without the ranges"):
            open_runtime(small(), "onnx-int8", CPU)

    def test_eight_bits_leave_room_for_what_normal_footage_has_not(self) -> None:
        pixels, _ = pictures(16)
        still = np.repeat(pixels[:, :1], 3, axis=1)  # nothing moves
        program = Program(Deep(), PICTURES, ("scores",), int8=[(still,)])
        graph = onnx.load_from_string(program.to_int8()).graph
        made = {name: node.op_type for node in graph.node for name in node.output}
        weights = [made.get(node.input[1]) for node in graph.node if node.op_type == "Conv"]
        assert weights == ["DequantizeLinear", "DequantizeLinear", None], "the last is in fp32"
        constants = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
        inputs = [node.input for node in graph.node if node.op_type == "QuantizeLinear"]
        found = {made[name]: (constants[scale], constants[zero]) for name, scale, zero in inputs}
        assert found.pop("Cast") == (1, 0), "bytes are bytes"
        assert [zero for _, zero in found.values()] == [0], "no number is kept for below a ReLU's 0"
        whole, eight = (open_runtime(program, name, CPU) for name in ("onnx", "onnx-int8"))
        # What moves has far higher scores than any normal row.
        (highest,), (wanted,), (given,) = whole(still), whole(pixels), eight(pixels)
        assert wanted.max() > 3 * highest.max()
        np.testing.assert_allclose(given, wanted, atol=0.1 * np.ptp(wanted))

    @pytest.mark.parametrize("name", [n for n in NAMES if "int8" in str(n.values[0])])
    def test_shortcuts_are_not_rounded_anew_in_each_block(self, name: str) -> None:
        program = Program(Residual(), PICTURES, ("scores",), int8=[pictures(16)[:1]])
        graph = onnx.load_from_string(program.to_int8()).graph
        made = {name: node.op_type for node in graph.node for name in node.output}
        sums = [{made[name] for name in node.input} for node in graph.node if node.op_type == "Add"]
        # What an 8-bit convolution gave is in 8 bits: of the first sum that is all.
        assert sums == [{"DequantizeLinear"}, *[{"DequantizeLinear", "Relu"}] * 2]
        (wanted,) = open_runtime(program, "onnx", CPU)(*pictures(16)[:1])
        (given,) = open_runtime(program, name, CPU)(*pictures(16)[:1])
        np.testing.assert_allclose(given, wanted, atol=0.05 * np.ptp(wanted))

    @pytest.mark.parametrize("name", [n for n in NAMES if "int8" in str(n.values[0])])
    def test_what_differs_most_stays_in_fp32(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = Program(Residual(), PICTURES, ("scores",), int8=[pictures(16)[:1]])

        def kept(largest: float) -> int8.Kept:
            monkeypatch.setattr(int8, "LARGEST", largest)
            found = int8.kept_of(runtime.eight_bits(program, [name]))
            assert found is not None and found.difference is not None
            assert (found.convolutions, found.last) == (8, 1) and found.difference <= largest
            return found

        free = kept(1.0)
        assert free.difference and not free.fp32 and "7 of 8 convolutions" in free.words
        some = kept(free.difference / 2)
        assert 0 < len(some.fp32) < 7 and some.fp32[0] in some.words
        none = kept(0.0)
        assert len(none.fp32) == 7 and "nothing is left in 8 bits" in none.words

    def test_bytes_beside_other_numbers_are_no_bytes(self) -> None:
        make, kinds = onnx.helper.make_node, onnx.TensorProto
        graph = onnx.helper.make_graph(
            [
                make("Cast", ["pictures"], ["numbers"], to=kinds.FLOAT),
                make("Concat", ["numbers", "flow"], ["both"], axis=1),
                make("Concat", ["numbers", "numbers"], ["twice"], axis=1),
                make("Reshape", ["twice", "sides"], ["row"]),
            ],
            "mixed",
            [
                onnx.helper.make_tensor_value_info("pictures", kinds.UINT8, [1, 4]),
                onnx.helper.make_tensor_value_info("flow", kinds.FLOAT, [1, 4]),
                onnx.helper.make_tensor_value_info("sides", kinds.INT64, [1]),
            ],
            [onnx.helper.make_tensor_value_info("row", kinds.FLOAT, [8])],
        )
        assert int8.of_bytes(graph) == {"pictures", "numbers", "twice", "row"}

    @pytest.mark.parametrize(("asked", "threads"), [("3", 3), ("2,1", 2), ("", 0)])
    def test_onnx_keeps_to_the_threads_that_are_asked_for(
        self, asked: str, threads: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        opened = open_runtime(small(), "onnx", CPU)
        assert isinstance(opened, runtime.OnnxRuntime)
        assert opened.session.get_session_options().intra_op_num_threads == threads

    @pytest.mark.parametrize("name", ["onnx", "onnx-int8"])
    def test_onnx_leaves_cores_to_others_between_calls_where_it_is_to(self, name: str) -> None:
        made = {}
        for waits in (False, True):
            opened = open_runtime(small(waits=waits, int8=[pictures(5)]), name, CPU)
            assert isinstance(opened, runtime.OnnxRuntime)
            options = opened.session.get_session_options()
            if waits:
                found = options.get_session_config_entry("session.intra_op.allow_spinning")
                assert found == "0"
            made[waits] = opened(*pictures(5))
        for one, other in zip(made[False], made[True], strict=True):
            np.testing.assert_array_equal(one, other)

    def test_names(self) -> None:
        assert set(RUNTIMES) == {*get_args(runtime.RuntimeName)} - {"auto"}
        assert runtime.pick_runtime("auto", CPU) == "onnx"
        assert runtime.pick_runtime("auto", torch.device("cuda")) == "torch"
        with pytest.raises(ConfigError, match="did you mean 'onnx-int8'"):
            open_runtime(small(), "onnx-int9", CPU)

    def test_merged_asks_the_one_that_it_stands_for(self) -> None:
        asked: list[Callable[..., Any]] = []
        inner = open_runtime(small(), "torch", CPU)
        merged = Merged(inner, lambda function: asked.append(function) or function)
        for one, other in zip(merged(*pictures(3)), inner(*pictures(3)), strict=True):
            np.testing.assert_array_equal(one, other)
        assert asked == [inner] and merged.name == "torch"


def small_cafe(name: Any, inputs: Arrays) -> np.ndarray:
    detector = cafe.Cafe(cafe.Config(runtime=name, low_level="both"), device="cpu")
    branches = {"motion": LowLevelBranch(128, 2), "appearance": LowLevelBranch(128, 3)}
    teacher, student = (ResNet(ARCHITECTURES[each]) for each in ("narrow34", "narrow9"))
    detector.scorer = PatchScorer(
        FrozenTeacher(teacher), student, nn.ModuleDict(branches), layers=4, reduction="mean"
    ).eval()
    return parts(detector, inputs)


def small_aed(name: Any, inputs: Arrays) -> np.ndarray:
    detector = aed.Aed(aed.Config(runtime=name), device="cpu")
    detector.networks, detector.span = fast(Networks()).eval(), 2.0
    return detector.object_values(parts(detector, inputs))


def small_ssmtl(name: Any, inputs: Arrays) -> np.ndarray:
    detector = ssmtl.Ssmtl(ssmtl.Config(runtime=name, lambda_distillation=0), device="cpu")
    detector.scorer = TaskScorer(untrained_tasks(detector.config, 1), None, detector.tasks)
    detector.scorer.place(CPU)
    detector.units = np.ones(3)
    return detector.object_values(parts(detector, inputs))


def parts(detector: ObjectCentric, inputs: Arrays) -> np.ndarray:
    """Of objects with these patches and flow, of which the detector's cut is taken."""
    patches, flow = inputs
    side, cut = detector.cut.size, detector.cut
    patches = patches[:, : len(cut.offsets), :side, :side]
    flow = flow[:, : len(cut.flows), :, :side, :side]
    detector.open_runtime([detector.inputs(patches, flow)])
    return detector.runtime(*detector.inputs(patches, flow))[0]


def small_fast_aed(name: Any, inputs: Arrays) -> np.ndarray:
    student = Student(fast_aed.Config().network, (48, 64)).eval()
    windows = (inputs[0][:, :3, :48, :64].transpose(0, 1, 4, 2, 3).reshape(-1, 9, 48, 64),)
    program = scoring.as_program(student, name, int8=[windows])
    return open_runtime(program, name, CPU)(*windows)[0]


OBJECTS = {
    "cafe": small_cafe,
    "aed": small_aed,
    "ssmtl": small_ssmtl,
    "fast_aed": small_fast_aed,
}


EXPORTED = [name for name in RIVALS if name != "multihead"]


@pytest.mark.parametrize("system", OBJECTS)
def test_a_system_scores_alike_in_each_runtime(system: str) -> None:
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (5, 7, 64, 64, 3), np.uint8)
    flow = rng.normal(size=(5, 2, 2, 64, 64)).astype(np.float16)
    scores: dict[str, np.ndarray] = {}
    kinds = ("onnx", "openvino") if OPENVINO else ("onnx",)
    for name in ("torch", *kinds, *(f"{kind}-int8" for kind in kinds)):
        torch.manual_seed(0)
        scores[name] = OBJECTS[system](name, (patches, flow))
    scale = max(1, np.abs(scores["torch"]).max())
    for kind in kinds:
        np.testing.assert_allclose(scores[kind], scores["torch"], atol=1e-4 * scale)
        small = scores[f"{kind}-int8"]
        assert not np.array_equal(small, scores["torch"])
        np.testing.assert_allclose(small, scores["torch"], atol=0.1 * scale)


@pytest.mark.parametrize("temporal", ["tam", "baseline", *EXPORTED])
def test_dakd_scores_alike_in_each_runtime(temporal: str) -> None:
    torch.manual_seed(0)
    widths = [6, 4]
    if temporal == "baseline":
        network = dakd_model.Baseline(widths)
    else:
        network = dakd_model.Network(widths, temporal)
    program = dakd_scoring.as_program(network, widths, normalise=True)
    names = ("torch", "onnx", "openvino") if OPENVINO else ("torch", "onnx")
    exact, *others = (open_runtime(program, name, CPU) for name in names)
    rng = np.random.default_rng(0)
    for windows, length in ((1, 32), (40, 5), (3, 1)):
        features = [rng.normal(size=(windows, length, w)).astype(np.float32) for w in widths]
        (wanted,) = exact(*features)
        for other in others:
            (made,) = other(*features)
            assert made.shape == (windows, length)
            np.testing.assert_allclose(made, wanted, atol=1e-4)


def test_dakd_has_no_onnx_for_multihead() -> None:
    with pytest.raises(ConfigError, match="multihead"):
        dakd.Dakd(dakd.Config(temporal="multihead", runtime="onnx"))

"""The fast student: its equations by hand-computed values, its shapes, counts and gradients."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vadistill.errors import ConfigError
from vadistill.systems.fast_aed import losses
from vadistill.systems.fast_aed.attention import ConvAttention, CvTBlock
from vadistill.systems.fast_aed.blocks import Head, max_pool_to, standardise, upsampling_steps
from vadistill.systems.fast_aed.discriminator import Discriminator
from vadistill.systems.fast_aed.model import (
    ARCHITECTURES,
    FULL,
    Architecture,
    Student,
    count_macs,
    count_parameters,
    for_bytes,
    frame_score,
    localisation,
    macs_per_window,
)

SIZE = (72, 96)
PED2 = (1, 30, 60)
TINY = {
    name: replace(ARCHITECTURES[name], channels=(4, 4, 8, 8, 8), blocks=2, head_width=4)
    for name in ("reference", "paper")
}
TINY["lite"] = replace(ARCHITECTURES["lite"], channels=(4, 8, 8), blocks=2)


def student(architecture: Architecture, size: tuple[int, int] = SIZE, seed: int = 0) -> Student:
    """A student in eval mode whose batch norms have seen data."""
    torch.manual_seed(seed)
    network = Student(architecture, size)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics of this one batch
    with torch.no_grad():
        network(windows(architecture, size, n=4))
    return network.eval()


def windows(
    architecture: Architecture, size: tuple[int, int] = SIZE, n: int = 2, seed: int = 1
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (n, 3 * architecture.frames, *size)
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


def maps(*values: float) -> list[torch.Tensor]:
    """One window's maps of 1x1 and 2x2 cells, filled with the two values."""
    return [torch.full((1, 1, 1), values[0]), torch.full((1, 2, 2), values[1])]


class Mean(nn.Module):
    """A discriminator whose logit is ``weight`` times the mean of the finest map."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        return self.weight * maps[-1].mean((1, 2))[:, None]


class Linear(nn.Module):
    """A discriminator of three classes with logits (0, x, 2x), x the 1x1 map."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.0, 1.0, 2.0]))

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        return maps[0][:, 0] * self.weight


class TestEquations:
    def test_eq1_attention_is_the_softmax_of_scaled_products(self) -> None:
        torch.manual_seed(0)
        attention = ConvAttention(6, 2, 4, shared_kv=False).eval()
        x = torch.randn(2, 6, 5, 7)
        heads = []
        q = attention.query(attention.query_tokens(x)).flatten(2)
        k = attention.key(attention.key_tokens(x)).flatten(2)
        assert attention.value_tokens is not None
        v = attention.value(attention.value_tokens(x)).flatten(2)
        assert q.shape[2] == 35 and k.shape[2] == v.shape[2] == 12
        for i in (slice(0, 4), slice(4, 8)):
            weights = (q[:, i].transpose(1, 2) @ k[:, i] / math.sqrt(4)).softmax(-1)
            heads.append((weights @ v[:, i].transpose(1, 2)).transpose(1, 2))
        expected = attention.output(torch.cat(heads, 1).unflatten(2, (5, 7)))
        torch.testing.assert_close(attention(x), expected, atol=1e-6, rtol=1e-5)

    def test_eq2_reconstruction(self) -> None:
        frame = torch.zeros(1, 3, 2, 2)
        reconstruction = frame.clone()
        reconstruction[0, 1, 0, 1] = 3.0
        assert losses.reconstruction_loss(reconstruction, frame) == pytest.approx(9 / 12)

    def test_eq3_sums_resolutions_and_averages_cells(self) -> None:
        ours = maps(0.5, 0.0)
        ours[1][0, 0, 0] = 1.0
        assert losses.teacher_distillation_loss(maps(1.0, 0.0), ours) == pytest.approx(0.25 + 0.25)

    def test_eq4_weighs_teachers(self) -> None:
        teachers, ours = [maps(1.0, 0.0), maps(0.0, 2.0)], maps(0.0, 0.0)
        assert losses.distillation_loss(teachers, ours) == pytest.approx(1 + 4)
        assert losses.distillation_loss(teachers, ours, [0.5, 2.0]) == pytest.approx(0.5 + 8)

    def test_eq5_labels_the_teachers_maps_genuine_and_the_students_fake(self) -> None:
        loss = losses.discriminator_loss(Mean(1.0), maps(0.0, 2.0), maps(0.0, -1.0))
        real, fake = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))
        assert loss.item() == pytest.approx(-math.log(real) - math.log(1 - fake))

    def test_eq6_sums_the_non_saturating_losses_of_all_discriminators(self) -> None:
        loss = losses.adversarial_loss([Mean(1.0), Mean(-2.0)], maps(0.0, 0.5))
        expected = math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(1.0))
        assert loss == pytest.approx(expected)

    def test_eq7_total(self) -> None:
        kd, akd = torch.tensor(2.0), torch.tensor(3.0)
        assert losses.total_loss(kd, akd) == pytest.approx(2.3)
        assert losses.total_loss(kd, akd, alpha=0.0) == pytest.approx(2.0)

    def test_balance_is_that_of_the_gradients_at_the_maps(self) -> None:
        ours = [m.requires_grad_() for m in maps(0.5, 2.0)]
        kd, akd = (torch.stack([(k * m).sum() for m in ours]).sum() for k in (1.0, -4.0))
        assert losses.balance(kd, akd, ours) == pytest.approx(0.25)
        assert losses.balance(kd, 0 * akd, ours, most=50.0) == 50.0

    def test_table6_joint_discriminator(self) -> None:
        teachers, ours = [maps(0.0, 0.0), maps(1.0, 0.0)], maps(1.0, 0.0)
        z = 1 + math.e + math.e**2  # of the logits 0, 1, 2; the first teacher's are all 0
        expected = math.log(z) + math.log(3) + (math.log(z) - 2)
        loss = losses.joint_discriminator_loss(Linear(), teachers, ours)
        assert loss.item() == pytest.approx(expected)
        assert losses.joint_adversarial_loss(Linear(), ours) == pytest.approx(
            -math.log(1 - 1 / z), abs=1e-6
        )

    def test_targets_keep_each_cells_maximum(self) -> None:
        full = torch.zeros(1, 4, 4)
        full[0, 0, 3] = 0.7
        coarse, fine = losses.pool_targets(full, [(1, 1), (2, 2)])
        assert coarse.tolist() == [[[pytest.approx(0.7)]]]
        assert fine[0].tolist() == [[0, pytest.approx(0.7)], [0, 0]]

    def test_frame_score_and_localisation(self) -> None:
        outputs = [torch.tensor([[[0.6]]]), torch.tensor([[[0.1, 0.2], [0.0, 0.9]]])]
        assert frame_score(outputs).tolist() == [pytest.approx(0.75)]
        assert frame_score(outputs, frame_map=False).tolist() == [outputs[1].max()]
        assert frame_score(outputs[:1], frame_map=False).tolist() == [outputs[0].max()]
        assert localisation(outputs[::-1]) is outputs[1]


class TestGradients:
    def gradients(self, module: nn.Module) -> list[bool]:
        return [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters()]

    @pytest.fixture
    def nets(self) -> tuple[Student, Discriminator, list[torch.Tensor]]:
        torch.manual_seed(0)
        network = Student(TINY["reference"], SIZE)
        return network, Discriminator.of(TINY["reference"]), network(windows(TINY["reference"]))

    def test_fakes_teach_the_discriminator_and_not_the_student(self, nets) -> None:
        network, discriminator, outputs = nets
        # A teacher whose maps are zero: weights on the input have a gradient from fakes alone.
        zeros = [torch.zeros_like(m) for m in outputs]
        losses.discriminator_loss(discriminator, zeros, outputs).backward()
        assert all(self.gradients(discriminator))
        assert discriminator.convolutions[0].weight.grad.abs().sum() > 0
        assert not any(self.gradients(network))

    def test_adversarial_loss_teaches_the_student_alone(self, nets) -> None:
        network, discriminator, outputs = nets
        losses.adversarial_loss([discriminator], outputs).backward()
        assert not any(p.grad is not None for p in discriminator.parameters())
        assert sum(self.gradients(network)) > 0.8 * len(list(network.parameters()))
        joint = Discriminator.of(TINY["reference"], outputs=3)
        losses.joint_adversarial_loss(joint, network(windows(TINY["reference"]))).backward()
        assert not any(p.grad is not None for p in joint.parameters())

    def test_a_step_on_the_adversarial_loss_fools_the_discriminator(self, nets) -> None:
        network, discriminator, outputs = nets
        before = losses.adversarial_loss([discriminator], outputs)
        before.backward()
        with torch.no_grad():
            for p in network.parameters():
                p -= 0.1 * p.grad if p.grad is not None else 0
        after = losses.adversarial_loss([discriminator], network(windows(TINY["reference"])))
        assert after < before

    @pytest.mark.parametrize("name", TINY)
    def test_distillation_reaches_every_weight(self, name: str) -> None:
        torch.manual_seed(0)
        network = Student(TINY[name], SIZE)
        outputs = network(windows(TINY[name]))
        losses.distillation_loss([[torch.ones_like(m) for m in outputs]], outputs).backward()
        assert all(p.grad is not None for p in network.parameters())
        assert sum(self.gradients(network)) > 0.9 * len(list(network.parameters()))

    def test_a_head_below_zero_can_recover(self) -> None:
        for leaky in (True, False):
            torch.manual_seed(0)
            head = Head(2, 2, (4, 4), (8, 8), output="leaky" if leaky else "relu")
            last = head.layers[-2]
            assert isinstance(last, nn.Conv2d) and last.bias is not None
            nn.init.constant_(last.bias, -9.0)
            head(torch.randn(1, 2, 8, 8)).sum().backward()
            assert any(self.gradients(head)) == leaky
            assert head.eval()(torch.randn(1, 2, 8, 8)).abs().max() == 0


class TestCounts:
    def test_macs_by_hand(self) -> None:
        convolution = nn.Conv2d(3, 8, 3, 2, 1)
        depthwise = nn.Conv2d(8, 8, 5, padding=2, groups=8)
        image = torch.zeros(1, 3, 10, 12)
        assert count_macs(convolution, image) == (3 * 9 * 8) * (5 * 6)
        assert count_macs(depthwise, torch.zeros(1, 8, 5, 6)) == (25 * 8) * 30
        assert count_macs(nn.Linear(7, 5), torch.zeros(4, 7)) == 4 * 7 * 5

    def test_macs_of_a_block_by_hand(self) -> None:
        block = CvTBlock(8, 2, 4, shared_kv=True, dense="pointwise").eval()
        queries, keys = 6 * 4, 3 * 2
        expected = (
            queries * (8 * 9 + 8 * 8)  # Q
            + keys * (8 * 9 + 2 * 8 * 8)  # K and V with one depthwise convolution
            + 2 * queries * keys * 8  # Q K^T and its product with V, over both heads
            + queries * (8 * 8 + 2 * 8 * 32)
        )
        assert count_macs(block, torch.zeros(1, 8, 6, 4)) == expected

    def test_reference_has_the_published_size(self) -> None:
        network = Student(ARCHITECTURES["reference"], (360, 640))
        assert count_parameters(network) == 4_997_747  # 99 below 4,997,846: see model.py
        assert round(macs_per_window(network) / 1e9, 2) == 7.05
        with torch.device("meta"):
            p = network.to("meta").features(torch.zeros(1, 9, 360, 640))
        assert p.shape == (1, 256, 23, 40)

    def test_lite_is_small(self) -> None:
        network = Student(ARCHITECTURES["lite"], (360, 640))
        assert macs_per_window(network) < 0.5e9

    def test_every_cell_counts_for_the_discriminator(self) -> None:
        torch.manual_seed(0)
        maps = [torch.rand(2, 30, 30), torch.rand(2, 60, 60)]
        judge = Discriminator([(30, 30), (60, 60)])
        gradients = torch.autograd.grad(judge([m.requires_grad_() for m in maps]).sum(), maps)
        for gradient in gradients:
            assert (gradient != 0).float().mean() > 0.9
        flat = [torch.full((1, 30, 30), 0.3), torch.full((1, 60, 60), 0.3)]
        inner = judge.convolutions[0](flat[1][:, None])
        torch.testing.assert_close(inner, inner[..., :1, :1].expand_as(inner), msg="an edge shows")

    def test_discriminator_is_about_a_thousand(self) -> None:
        for resolutions in ((1, 4, 16), PED2):
            architecture = Architecture(resolutions=resolutions)
            assert count_parameters(Discriminator.of(architecture)) == 40 + 368 + 500 + 51


class TestResolutions:
    @pytest.mark.parametrize("name", ARCHITECTURES)
    @pytest.mark.parametrize("resolutions", [(1, 4, 16), PED2])
    def test_no_cell_is_a_copy(self, name: str, resolutions: tuple[int, ...]) -> None:
        size = (240, 360)
        architecture = replace(TINY[name], resolutions=resolutions)
        network = student(architecture, size)
        with torch.no_grad():
            outputs = network(windows(architecture, size, n=1))
        for m, side in zip(outputs, resolutions, strict=True):
            assert m.shape == (1, side, side)
            # A replicated row or column is equal to its neighbour in every cell.
            assert not (m[:, 1:] == m[:, :-1]).all(2).any()
            assert not (m[:, :, 1:] == m[:, :, :-1]).all(1).any()

    @pytest.mark.parametrize("feature", [(23, 40), (15, 23), (8, 12)])
    @pytest.mark.parametrize("side", [4, 16, 30, 60])
    def test_every_cell_covers_positions_of_its_own(
        self, feature: tuple[int, int], side: int
    ) -> None:
        steps = upsampling_steps(feature, (side, side), "transposed")
        head = Head(2, 2, (side, side), (999, 999), steps=steps)
        enlarged = head.layers(torch.zeros(1, 2, *feature)).shape[-2:]
        assert enlarged == (feature[0] << steps, feature[1] << steps)
        assert min(enlarged) >= side
        assert steps == 0 or min(enlarged[0], enlarged[1]) < 2 * side  # and no more than needed
        ramp = torch.arange(enlarged[0] * enlarged[1]).view(1, 1, *enlarged).float()
        assert len(max_pool_to(ramp, (side, side)).unique()) == side * side

    @pytest.mark.parametrize("size", [(23, 40), (60, 92), (9, 9), (1, 5)])
    @pytest.mark.parametrize("target", [(1, 1), (4, 4), (16, 16), (7, 3)])
    def test_pooling_equals_pytorchs(self, size: tuple[int, int], target: tuple[int, int]) -> None:
        x = torch.randn(2, 3, *size)
        assert torch.equal(max_pool_to(x, target), F.adaptive_max_pool2d(x, target))

    def test_copies_are_refused_without_upsampling(self) -> None:
        architecture = replace(TINY["reference"], upsampling="none")
        Student(architecture, (360, 640))
        with pytest.raises(ConfigError, match=r"16x16 anomaly map from a 15x22.5 feature map"):
            Student(architecture, (240, 360))

    @pytest.mark.parametrize("name", ["reference", "lite"])
    def test_cells_cover_the_part_of_the_frame_that_a_teachers_do(self, name: str) -> None:
        """360 pixels are 22.5 positions of the feature map: half of the 23rd is beyond them."""
        network = student(replace(TINY[name], resolutions=PED2), (240, 360))
        heads = network.get_submodule("branches.0").children()
        extents = [head.extent for head in heads if isinstance(head, Head)]
        assert extents[-2:] == [(30, 45), (60, 90)]
        head = network.get_submodule("branches.0.2")
        assert isinstance(head, Head)
        head.layers = nn.Sequential(nn.Upsample(scale_factor=4))
        features = torch.arange(23.0).expand(1, 1, 15, 23)
        frame = F.interpolate(features, scale_factor=16)[..., :360]
        assert torch.equal(head(features), losses.pool_targets(frame[:, 0], [(60, 60)])[0])

    def test_table3_has_the_frames_own_resolution(self) -> None:
        architecture = replace(TINY["reference"], resolutions=(FULL,))
        network = student(architecture)
        (full,) = network(windows(architecture))
        assert full.shape == (2, *SIZE) == (2, *network.architecture.sizes[0])
        assert Discriminator.of(network.architecture)([full]).shape == (2, 1)


class TestWindows:
    @pytest.mark.parametrize("name", TINY)
    def test_the_order_of_frames_matters(self, name: str) -> None:
        network = student(TINY[name])
        window = windows(TINY[name])
        backwards = window.unflatten(1, (3, 3)).flip(1).flatten(1, 2)
        assert not torch.allclose(network(window)[-1], network(backwards)[-1], atol=1e-4)

    def test_offsets_are_past_to_future(self) -> None:
        assert Architecture().offsets == (-3, 0, 3)
        assert Architecture(frames=1).offsets == (0,)
        assert Architecture(frames=5).offsets == (-6, -3, 0, 3, 6)

    def test_bytes_and_floats_and_half_precision(self) -> None:
        network, window = student(TINY["lite"]), windows(TINY["lite"])
        assert torch.equal(network(window)[-1], network(window.float())[-1])
        half = network.to(torch.bfloat16)(window)
        assert half[-1].dtype == torch.bfloat16
        assert standardise(torch.tensor([127.0, 255.0])).tolist() == [0.0, 1.0]

    @pytest.mark.parametrize("name", TINY)
    def test_the_first_convolution_can_standardise(self, name: str) -> None:
        network, window = student(TINY[name]), windows(TINY[name])
        for ours, folded in zip(network(window), for_bytes(network)(window), strict=True):
            torch.testing.assert_close(ours, folded, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("name", TINY)
    def test_onnx_gives_the_same_maps(self, name: str) -> None:
        onnxruntime = pytest.importorskip("onnxruntime")
        network, buffer = student(TINY[name]), io.BytesIO()
        example = windows(TINY[name], n=1).float()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(network, (example,), buffer, opset_version=17, dynamo=False)  # pyright: ignore[reportArgumentType]
        session = onnxruntime.InferenceSession(buffer.getvalue())
        outputs = session.run(None, {session.get_inputs()[0].name: example.numpy()})
        for ours, exported in zip(network(example), outputs, strict=True):
            torch.testing.assert_close(ours.detach(), torch.from_numpy(exported))


class TestSettings:
    @pytest.mark.parametrize("name", TINY)
    def test_decoder_restores_the_frame(self, name: str) -> None:
        for size in ((72, 96), (75, 101)):
            network = student(TINY[name], size)
            decoder = network.decoder()
            window = windows(TINY[name], size)
            frame = decoder(network.features(window))
            assert frame.shape == (2, 3, *size)
            assert count_parameters(decoder) > 0
        deepest = TINY[name].channels[-1]
        assert decoder.layers[0].in_channels == deepest

    def test_reference_standardises_channels_at_every_position(self) -> None:
        norms = {name: ARCHITECTURES[name].norm for name in ("reference", "paper")}
        assert norms == {"reference": "layer", "paper": "batch"}
        torch.manual_seed(0)
        block = CvTBlock(8, 2, 4, shared_kv=True, dense="pointwise", norm="layer")
        seen = block.norm1(3 + 5 * torch.randn(2, 8, 3, 4))
        torch.testing.assert_close(seen.mean(1), torch.zeros(2, 3, 4), atol=1e-5, rtol=0)
        torch.testing.assert_close(
            seen.var(1, unbiased=False), torch.ones(2, 3, 4), atol=1e-3, rtol=0
        )

    def test_linear_layers_are_pointwise_convolutions(self) -> None:
        torch.manual_seed(0)
        pointwise = CvTBlock(8, 2, 4, shared_kv=False, dense="pointwise").eval()
        linear = CvTBlock(8, 2, 4, shared_kv=False, dense="linear").eval()
        state = pointwise.state_dict()
        linear.load_state_dict({k: v.view(linear.state_dict()[k].shape) for k, v in state.items()})
        x = torch.randn(2, 8, 5, 6)
        torch.testing.assert_close(pointwise(x), linear(x))

    @pytest.mark.parametrize("frames", [1, 3, 5])
    @pytest.mark.parametrize("name", TINY)
    def test_input_frames(self, name: str, frames: int) -> None:
        architecture = replace(TINY[name], frames=frames)
        assert [m.shape for m in student(architecture)(windows(architecture))] == [
            (2, 1, 1),
            (2, 4, 4),
            (2, 16, 16),
        ]

    def test_blocks_and_heads_change_the_count(self) -> None:
        counts = {
            count_parameters(Student(replace(TINY["paper"], blocks=m, heads=s), SIZE))
            for m, s in ((3, 5), (4, 5), (5, 5), (5, 3), (5, 7))
        }
        assert len(counts) == 5

    def test_branches_give_their_maximum(self) -> None:
        architecture = replace(TINY["reference"], branches=2)
        network = student(architecture)
        first, second = network.branch_maps(network.features(windows(architecture)))
        assert not torch.equal(first[-1], second[-1])
        for out, a, b in zip(network(windows(architecture)), first, second, strict=True):
            assert torch.equal(out, torch.maximum(a, b))

    def test_frame_head_is_a_switch(self) -> None:
        linear = student(TINY["reference"])
        convolution = student(replace(TINY["reference"], frame_head="convolution"))
        assert 0 < float(linear(windows(TINY["reference"]))[0].detach().min()) < 1
        assert count_parameters(linear) != count_parameters(convolution)

    def test_discriminator_sees_every_map(self) -> None:
        torch.manual_seed(0)
        architecture = Architecture(resolutions=PED2)
        discriminator = Discriminator.of(architecture)
        outputs = [torch.rand(1, r, r) for r in PED2]
        logit = discriminator(outputs)
        for i in range(3):
            changed = [m + (j == i) for j, m in enumerate(outputs)]
            assert not torch.equal(discriminator(changed), logit)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: Architecture(frames=2), "frames=2"),
            (lambda: Architecture(first_stride=4), "first_stride=4 for a cvt student"),
            (lambda: Architecture("lite", first_stride=4), "three widths"),
            (lambda: Architecture(resolutions=()), "at least one resolution"),
            (lambda: Architecture(resolutions=(1, -1)), "none below 1"),
            (lambda: Architecture(blocks=0), "at least 1"),
            (lambda: Student(TINY["paper"], (16, 16)), "at least 2x2 positions"),
            (lambda: student(TINY["lite"])(windows(TINY["lite"], (72, 72))), "96x72"),
            (lambda: student(TINY["lite"])(windows(Architecture(frames=1))), "RGB of 3 frames"),
        ],
    )
    def test_wrong_settings_say_what_is_right(
        self, make: Callable[[], object], message: str
    ) -> None:
        with pytest.raises(ConfigError, match=message):
            make()

"""Backbones: their networks, what they see of a clip, and their weights."""

from __future__ import annotations

import functools
import hashlib
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from support.feature_clips import opened, pixels
from support.file_server import FileServer
from vadistill import backbones
from vadistill.backbones import BACKBONES, detectors, open_backbone, videos
from vadistill.backbones.base import NetworkBackbone, View, evenly
from vadistill.backbones.flow import DIRECTIONS, GRID, STATISTICS
from vadistill.backbones.pretrained import drop_classifier
from vadistill.backbones.weights import drawn
from vadistill.errors import ConfigError, WeightsError
from vadistill.fetching import OFFLINE, Published
from vadistill.torchvision_cpu import import_torchvision

FIXTURES = Path(__file__).parent

WIDTHS = {
    "compact": 384,
    "flow": 192,
    "i3d:random": 1024,
    "s3d:random": 1024,
    "torchvision:resnet18@random": 512,
    "torchvision:r3d_18@random": 512,
    "timm:vit_tiny_patch16_224@random": 192,
}


@pytest.fixture(scope="module", autouse=True)
def torchvision_runs() -> None:
    """Tests import torchvision by themselves, also where its compiled operators do not load."""
    import_torchvision()


class TestI3D:
    def test_names_and_shapes_are_those_of_the_public_port(self) -> None:
        lines = (FIXTURES / "i3d_names.txt").read_text().splitlines()
        port = {n: tuple(map(int, s)) for n, *s in (line.split() for line in lines)}
        network = videos.I3D()
        ours = {k: tuple(v.shape) for k, v in network.state_dict().items()}
        assert {k: v for k, v in ours.items() if not k.endswith("num_batches_tracked")} == port
        assert sum(p.numel() for p in network.parameters()) == 12_697_264

    def test_same_padding_is_tensorflows(self) -> None:
        x = torch.ones(1, 1, 16, 224, 7)
        padded = videos.same_padded(x, (7, 7, 3), (2, 2, 2))
        assert padded.shape == (1, 1, 21, 229, 9)
        assert padded[0, 0, :, 100, 4].nonzero().flatten().tolist() == list(range(2, 18))
        # 7 = 2 x 3 + 1 pixels at stride 2: one zero on either side.
        assert padded[0, 0, 10, 100].tolist() == [0, *[1] * 7, 0]
        assert videos.same_padded(x, (1, 1, 1), (1, 1, 1)) is x

    def test_pooling_halves_and_rounds_up(self) -> None:
        x = torch.rand(1, 2, 4, 7, 8)
        pooled = videos.max_pool(x, (1, 3, 3), (1, 2, 2))
        assert pooled.shape == (1, 2, 4, 4, 4)
        assert torch.equal(pooled[..., 0, 0], x[..., :2, :3].amax((-1, -2)))

    def test_logits_are_the_classifier_on_the_features(self) -> None:
        network = drawn(lambda: videos.I3D(7)).eval()
        clips = torch.rand(1, 3, 16, 64, 64) * 2 - 1
        head = network.logits.conv3d
        assert head.bias is not None
        with torch.inference_mode():
            features, logits = network.features(clips), network(clips)
            expected = features @ head.weight.flatten(1).T + head.bias
        assert features.shape == (1, 1024)
        torch.testing.assert_close(logits, expected)


class TestView:
    def test_frames_lie_in_the_middle_of_their_shares(self) -> None:
        assert evenly(4).tolist() == [2, 6, 10, 14]
        assert evenly(16).tolist() == list(range(16))
        assert evenly(1).tolist() == [8]

    def test_boxes_of_the_crops(self) -> None:
        view = View((0,), (224, 224), 256, 5)
        assert view.boxes(512, 1024) == [
            (32, 480, 288, 736),
            (0, 448, 0, 448),
            (0, 448, 576, 1024),
            (64, 512, 0, 448),
            (64, 512, 576, 1024),
        ]
        assert View((0,), (112, 112), (128, 171)).boxes(128, 171) == [(8, 120, 29, 141)]
        assert View.whole((0,), (64, 96)).boxes(7, 300) == [(0, 7, 0, 300)]

    @pytest.mark.parametrize("size", [(1, 1), (5, 400), (333, 7), (225, 225)])
    def test_any_size_becomes_the_same_shape(self, size: tuple[int, int]) -> None:
        clip = np.full((16, *size, 3), 77, np.uint8)
        for view in (View((2, 14), (24, 32), 36, 10), View.whole((0, 8), (24, 32))):
            out = view(clip)
            assert out.shape == view.shape
            assert (out == 77).all()

    def test_ten_crops_are_five_and_their_mirror_images(self) -> None:
        out = View((3,), (24, 24), 32, 10)(pixels(16))
        assert (out[5:, :, :, ::-1] == out[:5]).all()
        assert not (out[0] == out[1]).all()


class TestBackbones:
    @pytest.mark.parametrize(("name", "width"), WIDTHS.items(), ids=list(WIDTHS))
    def test_one_finite_row_a_clip_whatever_the_batch(self, name: str, width: int) -> None:
        backbone = opened(name)
        assert (backbone.name, backbone.dim) == (name, width)
        assert len(backbone.fingerprint) == 16
        clips = [pixels(16, 37, 54, 0), pixels(16, 90, 122, 1)]
        prepared = np.stack([backbone.prepare(clip) for clip in clips])
        rows = backbone(prepared)
        assert rows.shape == (2, width) and rows.dtype == np.float32
        assert np.isfinite(rows).all() and not np.allclose(rows[0], rows[1])
        np.testing.assert_allclose(backbone(prepared[1:])[0], rows[1], rtol=1e-4, atol=1e-5)

    def test_clip(self) -> None:
        backbone = opened("clip:random")
        prepared = backbone.prepare(pixels(16))
        assert prepared.shape == (1, 4, 224, 224, 3) and prepared.dtype == np.uint8
        assert backbone(prepared[None]).shape == (1, backbone.dim) == (1, 512)

    @pytest.mark.parametrize(
        ("name", "gmacs"),
        [
            # Tables of torchvision for the video networks; 4 frames of 1.814 for the image network.
            ("torchvision:r3d_18@random", 40.70),
            ("torchvision:resnet18@random", 4 * 1.814),
            ("timm:vit_tiny_patch16_224@random", 4 * 1.254),
            pytest.param("s3d:random", 17.98, marks=pytest.mark.slow),
        ],
    )
    def test_arithmetic_is_the_published_one(self, name: str, gmacs: float) -> None:
        assert opened(name).macs / 1e9 == pytest.approx(gmacs, rel=0.01)
        assert opened("flow").macs == 0

    def test_crops_are_averaged(self) -> None:
        name = "torchvision:resnet18@random"
        one, five = opened(name), open_backbone(name, device="cpu", crops=5)
        assert one.fingerprint != five.fingerprint
        prepared = five.prepare(pixels(16))
        assert prepared.shape[0] == 5
        each = np.concatenate([one(crop[None, None]) for crop in prepared])
        np.testing.assert_allclose(five(prepared[None])[0], each.mean(0), rtol=1e-4, atol=1e-4)
        assert five.macs == 5 * one.macs

    def test_flow_tells_direction_and_place(self) -> None:
        backbone = opened("flow")
        still, right = np.repeat(pixels(1, 96, 128), 16, 0), pixels(16, 96, 128)
        moving = np.concatenate([still[:, :, :64], right[:, :, 64:]], 2)
        prepared = np.stack([backbone.prepare(clip) for clip in (still, moving)])
        rows = backbone(prepared).reshape(2, GRID, GRID, STATISTICS)
        assert np.abs(rows[0]).max() < 0.05
        mean, direction = rows[1, ..., 0], rows[1, ..., -DIRECTIONS:]
        assert (mean[:, 0] < 0.3).all() and (mean[:, 2:] > 1).all()
        assert (direction[:, 2:].argmax(-1) == 0).all()
        np.testing.assert_allclose(direction.sum(-1), mean, rtol=1e-4, atol=1e-5)

    def test_compact_and_flow_have_no_crops(self) -> None:
        for name in ("compact", "flow"):
            assert open_backbone(name, crops=10).fingerprint == opened(name).fingerprint

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("compcat", "did you mean 'compact'"),
            ("resnet18", "torchvision:NAME"),
            ("i3d:", "nothing behind its colon"),
            ("flow:x.pt", "no weights"),
            ("compact:x.pt", "shipped"),
            ("torchvision", "torchvision:resnet18"),
            ("torchvision:resnet81@random", "resnet18"),
            ("torchvision:raft_small@random", "classifier"),
            ("timm:resnet81@random", "resnet18"),
        ],
    )
    def test_wrong_names_are_answered_in_one_line(self, name: str, said: str) -> None:
        with pytest.raises(ConfigError, match=said) as caught:
            open_backbone(name)
        assert "\n" not in str(caught.value)

    def test_wrong_crops(self) -> None:
        with pytest.raises(ConfigError, match="crops=3"):
            open_backbone("flow", crops=3)

    @pytest.mark.parametrize(("name", "module"), [("clip", "open_clip"), ("timm:x", "timm")])
    def test_missing_extra_is_one_pip_install(
        self, name: str, module: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, module, None)
        extra = name.split(":")[0]
        with pytest.raises(ConfigError, match=rf"pip install .*\[{extra}\]"):
            open_backbone(name)

    def test_classifiers_of_any_form_are_dropped(self) -> None:
        from torchvision import models

        expected = {"squeezenet1_1": 512, "mobilenet_v3_small": 1024, "convnext_tiny": 768}
        for name, width in {**expected, "vit_b_32": 768, "densenet121": 1024}.items():
            with torch.device("meta"):
                network = models.get_model(name, weights=None).eval()
                assert drop_classifier(network) == width
                assert network(torch.zeros(1, 3, 224, 224)).shape == (1, width)

    def test_every_name_is_documented(self) -> None:
        assert all(f"``{name}" in (backbones.__doc__ or "") for name in BACKBONES)


class TestWeights:
    @pytest.fixture
    def network(self) -> videos.I3D:
        """With other weights than those of ``i3d:random``."""
        return drawn(lambda: videos.I3D(11), seed=1).eval()

    def test_i3d_by_path_in_every_format(self, network: videos.I3D, tmp_path: Path) -> None:
        state = network.state_dict()
        old = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
        torch.save(state, tmp_path / "a.pt")
        torch.save(old, tmp_path / "b.pt", _use_new_zipfile_serialization=False)
        save_file(old, tmp_path / "c.safetensors")
        made = [open_backbone(f"i3d:{tmp_path / x}") for x in ("a.pt", "b.pt", "c.safetensors")]
        assert len({backbone.fingerprint for backbone in made}) == 1
        assert made[0].fingerprint != opened("i3d:random").fingerprint
        prepared = made[0].prepare(pixels(16))
        clip = torch.from_numpy(prepared[0]).permute(3, 0, 1, 2)[None] / 127.5 - 1
        with torch.inference_mode():
            expected = network.features(clip).numpy()
        np.testing.assert_allclose(made[1](prepared[None]), expected, rtol=1e-3, atol=1e-4)

    @pytest.mark.parametrize(
        ("form", "of"),
        [("s3d:{}", "s3d:random"), ("torchvision:resnet18@{}", "torchvision:resnet18@random")],
    )
    def test_torchvision_by_path(self, form: str, of: str, tmp_path: Path) -> None:
        from torchvision import models

        build = functools.partial(models.get_model, of.split("@")[0].split(":")[-1], weights=None)
        if of.startswith("s3d"):
            build = functools.partial(models.get_model, "s3d", weights=None)
        path = tmp_path / "weights.pth"
        torch.save(drawn(build).state_dict(), path)
        assert open_backbone(form.format(path)).fingerprint == opened(of).fingerprint
        torch.save(drawn(build, seed=3).state_dict(), path)
        assert open_backbone(form.format(path)).fingerprint != opened(of).fingerprint

    def test_timm_by_path_with_and_without_its_head(self, tmp_path: Path) -> None:
        import timm

        model = "vit_tiny_patch16_224"
        whole = drawn(lambda: timm.create_model(model))
        headless = {k: v for k, v in whole.state_dict().items() if not k.startswith("head.")}
        save_file(whole.state_dict(), tmp_path / "whole.safetensors")
        torch.save(headless, tmp_path / "headless.pt")
        first, second = (
            open_backbone(f"timm:{model}@{tmp_path / file}")
            for file in ("whole.safetensors", "headless.pt")
        )
        assert first.fingerprint == second.fingerprint
        prepared = first.prepare(pixels(16))[None]
        assert isinstance(first, NetworkBackbone)
        x = torch.from_numpy(prepared[0, 0]).permute(0, 3, 1, 2) / 127.5 - 1
        with torch.inference_mode():
            expected = whole.eval().forward_head(whole.forward_features(x), pre_logits=True)  # pyright: ignore[reportCallIssue]
        np.testing.assert_allclose(
            first(prepared)[0], expected.mean(0).numpy(), rtol=1e-3, atol=1e-4
        )

    @pytest.mark.slow
    def test_clip_by_path_whole_or_its_encoder_alone(self, tmp_path: Path) -> None:
        reference = opened("clip:random")
        assert isinstance(reference, NetworkBackbone)
        state = reference.network.state_dict()
        torch.save(state, tmp_path / "encoder.pt")
        whole = {f"visual.{k}": v for k, v in state.items()} | {"logit_scale": torch.ones(())}
        save_file(whole, tmp_path / "whole.safetensors")
        for file in ("encoder.pt", "whole.safetensors"):
            backbone = open_backbone(f"clip:{tmp_path / file}")
            assert backbone.fingerprint == reference.fingerprint

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, "no weight file"),
            (b"no weights", "cannot be read as weights"),
            ({"epoch": 3}, "other things than tensors"),
            ({"fc.weight": torch.zeros(2, 2)}, "tensors are missing"),
            ({"logits.conv3d.weight": torch.zeros(5, 7, 1, 1, 1)}, "another shape"),
        ],
        ids=["absent", "garbage", "not tensors", "another model", "another shape"],
    )
    def test_wrong_files_are_answered_in_one_line(
        self, content: object, said: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "w.pt"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            torch.save(content, path)
        with pytest.raises(WeightsError, match=said) as caught:
            open_backbone(f"i3d:{path}")
        assert "w.pt" in str(caught.value) and "\n" not in str(caught.value)

    def test_i3d_alone_says_where_its_weights_are(self) -> None:
        with pytest.raises(WeightsError, match=r"no official download.*i3d:/path/rgb_imagenet\.pt"):
            open_backbone("i3d")

    def test_failed_downloads_name_the_address_and_the_local_form(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import open_clip
        import timm

        def offline(*_: object, **__: object) -> None:
            raise URLError("no network\nat all")

        monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
        monkeypatch.setattr(open_clip, "create_model", offline)
        monkeypatch.setattr(timm, "create_model", offline)
        expected = {
            "s3d": r"download\.pytorch\.org/models/s3d.*'s3d:FILE'",
            "clip": r"huggingface\.co/timm/vit_base_patch16_clip_224\.openai.*'clip:FILE'",
            "torchvision:resnet18": r"resnet18-.*\.pth.*'torchvision:resnet18@FILE'",
            "timm:resnet18": r"huggingface\.co/timm/resnet18.*'timm:resnet18@FILE'",
        }
        off = f"fetching is switched off by {OFFLINE}"
        for name, said in expected.items():
            with pytest.raises(WeightsError, match=said) as caught:
                open_backbone(name)
            line = str(caught.value)
            assert "\n" not in line and off in line and "network access" not in line
        monkeypatch.delenv(OFFLINE)
        for name in ("clip", "timm:resnet18"):
            with pytest.raises(WeightsError, match=expected[name]) as caught:
                open_backbone(name)
            line = str(caught.value)
            assert "could not be downloaded (<urlopen" in line and off not in line

    def test_random_weights_leave_the_seed_alone(self) -> None:
        torch.manual_seed(5)
        before = torch.random.get_rng_state()
        again = videos.open_i3d("i3d:random", "random", device="cpu", crops=1)
        assert torch.equal(torch.random.get_rng_state(), before)
        assert again.fingerprint == opened("i3d:random").fingerprint


class TestDetector:
    """Feature maps of a real ONNX detector."""

    def test_maps_of_a_yolox(self, detector_files: Path) -> None:
        file = detector_files / "yolox_nano_coco.onnx"
        backbone = open_backbone(f"detector:{file}", device="cpu")
        assert backbone.dim == 3 * 64 * 3 * 2
        clips = np.stack([backbone.prepare(pixels(16, 60, 90)), backbone.prepare(pixels(16))])
        rows = backbone(clips)
        assert rows.shape == (2, backbone.dim) and np.isfinite(rows).all()
        np.testing.assert_allclose(backbone(clips[1:])[0], rows[1], rtol=1e-4, atol=1e-5)
        fewer = open_backbone(f"detector:{file}@*/stems.2/act/Mul*", device="cpu")
        assert fewer.dim == 384 and fewer.fingerprint != backbone.fingerprint

    def test_wrong_files(self) -> None:
        with pytest.raises(ConfigError, match="without a file"):
            open_backbone("detector")
        with pytest.raises(WeightsError, match="no detector at"):
            open_backbone("detector:nowhere.onnx")

    def test_a_pattern_that_names_no_map(self, detector_files: Path) -> None:
        file = detector_files / "fastestdet_coco.onnx"
        with pytest.raises(ConfigError, match=r"no feature map of .* is where a YOLOX's heads"):
            open_backbone(f"detector:{file}")
        with pytest.raises(ConfigError, match=r"no feature map of .* is called 'nothing'"):
            open_backbone(f"detector:{file}@nothing")

    def test_the_same_maps_under_other_names(
        self, detector_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As earlier exporters name tensors, whose files YOLOX's authors publish: by numbers.
        onnx = pytest.importorskip("onnx")
        model = onnx.load(detector_files / "yolox_nano_coco.onnx")
        kept = {each.name for each in (*model.graph.input, *model.graph.output)}
        numbers: dict[str, str] = {}
        for node in model.graph.node:
            for tensors in (node.input, node.output):
                for place, tensor in enumerate(tensors):
                    if tensor and tensor not in kept:
                        tensors[place] = numbers.setdefault(tensor, str(len(numbers)))
        for named in (*model.graph.initializer, *model.graph.value_info):
            named.name = numbers.get(named.name, named.name)
        data = model.SerializeToString()
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
        monkeypatch.delenv(OFFLINE, raising=False)
        with FileServer({"yolox_nano.onnx": data}) as server:
            sha, address = hashlib.sha256(data).hexdigest(), f"{server.address}/yolox_nano.onnx"
            published = Published(address, sha, len(data))
            monkeypatch.setitem(detectors.PUBLISHED, "yolox_nano", published)
            numbered = open_backbone("detector:yolox_nano", device="cpu")
        usual = open_backbone(f"detector:{detector_files / 'yolox_nano_coco.onnx'}", device="cpu")
        clips = np.stack([usual.prepare(pixels(16, 60, 90))])
        np.testing.assert_allclose(numbered(clips), usual(clips), rtol=1e-5, atol=1e-6)

"""Prompts: how they are written, what CLIP says of them, and a baseline that scores by them."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from support.tiny_clip import coloured, tiny_clip
from vadistill.backbones import open_backbone
from vadistill.backbones.clip import TEMPLATES, load_clip
from vadistill.backbones.prompts import LISTS, NORMAL, ORDINARY, Prompts, read_prompts
from vadistill.datasets import Video, ucf_crime, xd_violence
from vadistill.datasets.published import FeatureFile
from vadistill.datasets.snippets import FeatureSource
from vadistill.errors import ConfigError, VadistillError, WeightsError
from vadistill.systems.prompted import Prompted

WORDS = "a fire, water=the sea, normal=a lawn"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def prompts(folder: Path) -> Prompts:
    return Prompts(WORDS, str(folder), device="cpu")


class TestWords:
    def test_kinds_and_their_prompts(self) -> None:
        found = read_prompts("a fight, fire = flames,fire=smoke,, a fall")
        assert found == {
            NORMAL: ORDINARY,
            "a fight": ("a fight",),
            "fire": ("flames", "smoke"),
            "a fall": ("a fall",),
        }
        assert read_prompts("a fight, normal=a hall, normal=a door")[NORMAL] == ("a hall", "a door")

    def test_lists_have_a_prompt_for_each_class_of_the_labels(self) -> None:
        assert tuple(LISTS["ucf_crime"]) == ucf_crime.CLASSES
        assert set(LISTS["xd_violence"]) == set(xd_violence.CODES.values())
        assert list(read_prompts("ucf_crime")) == [NORMAL, *ucf_crime.CLASSES]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ("", "words for one or more events"),
            (" , ", "words for one or more events"),
            ("normal=a hall", "words for one or more events"),
            ("fire=", "words for one or more events"),
            ("ucf_crimes", "did you mean 'ucf_crime'"),
        ],
    )
    def test_what_is_no_prompt(self, words: str, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            read_prompts(words)


class TestClip:
    def test_shares_are_those_of_open_clip(self, folder: Path, prompts: Prompts) -> None:
        """The softmax over the prompts of its own logits, of templates and frames averaged."""
        import open_clip

        network: Any = open_clip.create_model(f"local-dir:{folder}").eval()
        tokenize = open_clip.get_tokenizer(f"local-dir:{folder}")
        snippet = coloured(("the sea", 6), ("a fire", 10))
        prepared = prompts.backbone.prepare(snippet)
        with torch.inference_mode():
            pixels = torch.from_numpy(prepared[0]).permute(0, 3, 1, 2) / 127.5 - 1
            image = network.encode_image(pixels).mean(0)
            texts = []
            for words in ("a lawn", "a fire", "the sea"):
                rows = network.encode_text(tokenize([t.format(words) for t in TEMPLATES]))
                texts.append((rows / rows.norm(dim=-1, keepdim=True)).mean(0))
            cosines = torch.stack([torch.cosine_similarity(image, text, dim=0) for text in texts])
            expected = (network.logit_scale.exp() * cosines).softmax(0).numpy()
        (shares,) = prompts.shares(prompts.backbone(prepared[None]))
        assert prompts.kinds == (NORMAL, "a fire", "water")
        np.testing.assert_allclose(shares, expected, rtol=1e-3, atol=1e-5)

    def test_prompts_of_a_kind_are_added(self, folder: Path, prompts: Prompts) -> None:
        both = Prompts("either=a fire, either=the sea, normal=a lawn", str(folder), device="cpu")
        rows = np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)
        each, added = prompts.shares(rows), both.shares(rows)
        np.testing.assert_allclose(added, np.stack([each[:, 0], each[:, 1:].sum(1)], 1), atol=1e-6)
        np.testing.assert_allclose(added.sum(1), 1, atol=1e-6)

    def test_features_of_another_width(self, prompts: Prompts) -> None:
        with pytest.raises(WeightsError, match="512 wide: expected 16"):
            prompts.shares(np.zeros((2, 512), np.float32))

    def test_a_folder_is_a_backbone_wherever_it_lies(self, folder: Path, tmp_path: Path) -> None:
        moved = shutil.copytree(folder, tmp_path / "elsewhere")
        one, other = (open_backbone(f"clip:{path}", device="cpu") for path in (folder, moved))
        assert one.dim == 16 and one.fingerprint == other.fingerprint
        config = json.loads((moved / "open_clip_config.json").read_text())
        config["preprocess_cfg"]["mean"] = [0.4, 0.5, 0.5]
        (moved / "open_clip_config.json").write_text(json.dumps(config))
        assert open_backbone(f"clip:{moved}", device="cpu").fingerprint != one.fingerprint

    @pytest.mark.slow
    def test_random_weights_and_a_file_of_all_of_it(self, tmp_path: Path) -> None:
        clip = load_clip("random")
        assert clip.texts(["a fight", "a fall"]).shape == (2, 512)
        save_file(clip.network.state_dict(), tmp_path / "whole.safetensors")
        again = load_clip(str(tmp_path / "whole.safetensors"))
        assert again.has_texts and torch.equal(again.texts(["a fall"]), clip.texts(["a fall"]))
        save_file(clip.network.visual.state_dict(), tmp_path / "encoder.safetensors")
        with pytest.raises(WeightsError, match=r"encoder\.safetensors holds .* alone"):
            Prompts(WORDS, str(tmp_path / "encoder.safetensors"))

    def test_folders_that_hold_no_model(self, folder: Path, tmp_path: Path) -> None:
        bare = tmp_path / "bare"
        bare.mkdir()
        bad = shutil.copytree(folder, tmp_path / "bad")
        (bad / "open_clip_config.json").write_text('{"model_cfg": {"embed_dim": 16}}')
        cut = shutil.copytree(folder, tmp_path / "cut")
        state = load_file(folder / "open_clip_model.safetensors")
        state.pop("visual.class_embedding")
        save_file(state, cut / "open_clip_model.safetensors")
        said = {bare: "no open_clip_model", bad: "cannot|can be read", cut: "1 of .* missing"}
        for path, words in said.items():
            with pytest.raises(WeightsError, match=words) as caught:
                open_backbone(f"clip:{path}")
            assert str(path) in str(caught.value) and "\n" not in str(caught.value)

    def test_without_the_extra(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "open_clip", None)
        with pytest.raises(ConfigError, match=r"pip install .*\[clip\]"):
            Prompts(WORDS, str(folder))


class TestBaseline:
    def test_scores_names_and_events_of_a_video(self, prompts: Prompts) -> None:
        parts = (("a lawn", 32), ("a fire", 32), ("a lawn", 64), ("the sea", 21))
        scores = Prompted(prompts).score(Video("mixed", coloured(*parts), fps=25))
        assert len(scores) == 149 and scores.calibration is None
        fire, sea = scores.events()
        assert (fire.first, fire.last, fire.name) == (32, 63, "a fire")
        # What is behind the last whole snippet has its score.
        assert (sea.first, sea.last, sea.name) == (128, 148, "water")
        assert set(scores.frames[0].parts) == {"a fire", "water"}
        assert sum(scores.frames[40].parts.values()) == pytest.approx(scores.frames[40].score)

    def test_features_at_hand_are_scored_alike(self, prompts: Prompts, tmp_path: Path) -> None:
        frames = coloured(("a lawn", 16), ("a fire", 20))
        snippets = [prompts.backbone.prepare(frames[i : i + 16]) for i in (0, 16)]
        np.save(tmp_path / "v.npy", prompts.backbone(np.stack(snippets)))
        source = FeatureSource(
            "v", {"clip": FeatureFile(tmp_path / "v.npy")}, snippets=2, frames=36
        )
        model = Prompted(prompts)
        found, expected = model.score(source), model.score(Video("v", frames, fps=source.info.fps))
        np.testing.assert_allclose(found.raw, expected.raw, rtol=1e-4)
        assert [f.name for f in found] == [f.name for f in expected]
        other = replace(Video("v", frames), source=FeatureSource("v", {}, snippets=2))
        with pytest.raises(VadistillError, match="no features of 'clip'"):
            model.score(other)

    def test_it_learns_nothing(self, prompts: Prompts, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="learn nothing"):
            Prompted(prompts).fit([coloured(("a lawn", 16))], out=tmp_path / "m.vad")

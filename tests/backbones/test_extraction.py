"""The feature store, extraction of whole and endless videos, and the verb."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.feature_clips import Means, opened, pixels
from vadistill.backbones.base import Backbone
from vadistill.backbones.extraction import (
    Tally,
    extract,
    features_of,
    snippet_features,
    stream_features,
)
from vadistill.backbones.store import FeatureStore, content_key
from vadistill.cli import main
from vadistill.datasets import Video
from vadistill.datasets.snippets import FeatureSource
from vadistill.errors import ConfigError, DataError, VideoError
from vadistill.video import Frame, VideoInfo, VideoSource, VideoWriter, open_video


class TestStore:
    ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)

    def put(self, store: FeatureStore, video: str = "v" * 16, key: str = "f" * 16) -> Path:
        store.put(video, key, self.ROWS, name="entrance", backbone="means", frames=50)
        return store.path(video, key)

    def test_keeps_rows_and_says_whose_they_are(self, tmp_path: Path) -> None:
        store = FeatureStore(tmp_path / "store")
        assert store.get("v" * 16, "f" * 16) is None
        self.put(store)
        again = FeatureStore(tmp_path / "store")
        rows = again.get("v" * 16, "f" * 16)
        assert rows is not None and rows.dtype == np.float32
        np.testing.assert_array_equal(rows, self.ROWS)
        assert again.get("v" * 16, "0" * 16) is None
        manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
        assert manifest == {
            f"{'f' * 16}/{'v' * 16}": {
                "video": "entrance",
                "backbone": "means",
                "clips": 3,
                "dim": 4,
                "frames": 50,
            }
        }

    def test_damage_is_found_and_mended(self, tmp_path: Path) -> None:
        store = FeatureStore(tmp_path)
        path = self.put(store)
        whole = path.read_bytes()
        for damaged in (whole[:-4], whole[:-1] + b"\x40", b"", whole[:20]):
            path.write_bytes(damaged)
            assert store.get("v" * 16, "f" * 16) is None
        assert store.damaged == [path] * 4
        self.put(store)
        assert store.get("v" * 16, "f" * 16) is not None

    def test_an_entry_in_anothers_place_is_found_out(self, tmp_path: Path) -> None:
        store = FeatureStore(tmp_path)
        path = self.put(store)
        other = store.path("w" * 16, "f" * 16)
        path.rename(other)
        assert store.get("w" * 16, "f" * 16) is None

    def test_a_lost_manifest_is_made_anew(self, tmp_path: Path) -> None:
        store = FeatureStore(tmp_path)
        self.put(store)
        before = store.manifest()
        (tmp_path / "manifest.json").write_text("{")
        assert store.manifest() == before
        self.put(store, "w" * 16)
        assert len(json.loads((tmp_path / "manifest.json").read_text())) == 2

    def test_a_file_is_no_store(self, tmp_path: Path) -> None:
        (tmp_path / "x").touch()
        with pytest.raises(ConfigError, match="is a file"):
            FeatureStore(tmp_path / "x")

    def test_content_key_is_of_the_content(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        big, copy = tmp_path / "big.mp4", tmp_path / "copy.mp4"
        data = np.random.default_rng(0).bytes(40_000)
        big.write_bytes(data)
        copy.write_bytes(data)
        assert content_key(Video("a", big)) == content_key(Video("b", copy))
        for edge, whole in ((True, 10_000), (False, 64 << 20)):
            monkeypatch.setattr("vadistill.backbones.store.WHOLE", whole)
            monkeypatch.setattr("vadistill.backbones.store.BLOCK", 1000)
            key = content_key(Video("a", big))
            copy.write_bytes(data[:-1] + b"?" if edge else data[:1500] + b"?" + data[1501:])
            assert content_key(Video("a", copy)) != key
            copy.write_bytes(data + b"?")
            assert content_key(Video("a", copy)) != key

    def test_content_key_of_folders_pixels_and_streams(self, tmp_path: Path) -> None:
        frames = pixels(3)
        folder = tmp_path / "frames"
        folder.mkdir()
        for i, frame in enumerate(frames):
            assert cv2.imwrite(str(folder / f"{i}.png"), frame)
        key = content_key(Video("a", folder))
        assert content_key(Video("b", folder, fps=10)) == key
        (folder / "2.png").rename(folder / "3.png")
        assert content_key(Video("a", folder)) != key
        assert content_key(Video("a", frames)) == content_key(Video("b", frames.copy()))
        assert content_key(Video("a", frames)) != content_key(Video("a", frames[:2]))
        assert content_key(Video("a", open_video(frames))) == content_key(
            Video("a", open_video(frames))
        )
        with pytest.raises(DataError, match="Breaking"):
            content_key(Video("a", Breaking(20)))


class Breaking(VideoSource):
    """Ends with an error after some frames."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.info = VideoInfo("breaking", 64, 48, 25.0, None)

    def __iter__(self) -> Iterator[Frame]:
        yield from open_video(pixels(self.frames))
        raise VideoError("it broke", expected="more", fix="mend it")


class Rows:
    """A published feature array."""

    identity = "rows"

    def read(self) -> np.ndarray:
        return np.ones((2, 5), np.float32)


class TestExtraction:
    def test_rows_are_in_order_whatever_the_batch(self) -> None:
        video, means = pixels(16 * 7 + 5), Means()
        rows = snippet_features(open_video(video), [means], batch=3)["means"]
        assert means.batches == [3, 3, 1]
        expected = video[: 16 * 7].mean((1, 2, 3)).reshape(7, 16)
        np.testing.assert_allclose(rows, expected, rtol=1e-5)

    @pytest.mark.parametrize("name", ["compact", "flow", "timm:vit_tiny_patch16_224@random"])
    def test_stream_and_batch_agree_on_odd_sizes(self, name: str) -> None:
        source, backbone = open_video(pixels(39, 37, 53), fps=10), opened(name)
        rows = snippet_features(source, [backbone])[name]
        streamed = list(stream_features(source, [backbone]))
        assert [len(frames) for frames, _ in streamed] == [16, 16, 7]
        assert [index for frames, _ in streamed for index, _ in frames] == list(range(39))
        assert streamed[-1][1] is None and streamed[1][0][0] == (16, pytest.approx(1.6))
        together = np.stack([row for _, each in streamed if each for row in each])
        np.testing.assert_allclose(together, rows, rtol=1e-5, atol=1e-5)

    def test_several_backbones_share_one_decode(self) -> None:
        both, tally = [Means("a"), Means("b")], Tally()
        rows = snippet_features(open_video(pixels(40)), both, tally=tally)
        assert set(rows) == {"a", "b"} and (tally.frames, tally.snippets) == (40, 2)
        assert tally.rate("a") > 0 and np.isnan(tally.rate("c"))
        (_, streamed), (_, end) = list(stream_features(open_video(pixels(20)), both))
        assert streamed is not None and len(streamed) == 2 and end is None

    @pytest.mark.parametrize("frames", [1, 15])
    def test_too_short_a_video_is_one_line(self, frames: int) -> None:
        source = open_video(pixels(frames), name="blink")
        said = f"blink has {frames} frames?: expected at least 16"
        with pytest.raises(VideoError, match=said):
            snippet_features(source, [Means()])
        with pytest.raises(VideoError, match=said):
            list(stream_features(source, [Means()]))

    def test_errors_in_the_decoding_thread_arrive(self) -> None:
        with pytest.raises(VideoError, match="it broke"):
            snippet_features(Breaking(40), [Means()])

    def test_features_of_goes_on_where_it_was(self, tmp_path: Path) -> None:
        clip, store = Video("a", pixels(40)), FeatureStore(tmp_path)
        made = {"a": Means("a"), "b": Means("b", "1" * 16)}
        first = features_of(clip, ["a"], store, made.__getitem__)
        both = features_of(clip, ["a", "b"], store, made.__getitem__)
        assert (made["a"].batches, made["b"].batches) == ([2], [2])
        np.testing.assert_array_equal(first["a"], both["a"])
        # Other weights, other key; a damaged entry is made again.
        other = Means("a", "2" * 16)
        features_of(clip, ["a"], store, lambda _: other)
        store.path(content_key(clip), "1" * 16).write_bytes(b"damaged")
        again = features_of(clip, ["b"], store, made.__getitem__)
        assert (other.batches, made["b"].batches) == ([2], [2, 2])
        np.testing.assert_array_equal(again["b"], both["b"])
        assert {facts["frames"] for facts in store.manifest().values()} == {40}

    def test_published_features_need_no_backbone(self, tmp_path: Path) -> None:
        def refuse(name: str) -> Backbone:
            raise AssertionError(name)

        clip = Video("a", FeatureSource("a", {"i3d": Rows()}, snippets=2))
        rows = features_of(clip, ["i3d"], FeatureStore(tmp_path), refuse)
        assert rows["i3d"].shape == (2, 5)
        with pytest.raises(DataError, match="no features of 'clip'"):
            features_of(clip, ["clip"], FeatureStore(tmp_path), refuse)
        assert not list(tmp_path.iterdir())

    def test_real_video(self, shared_data: Path, tmp_path: Path) -> None:
        clip = Video("fi013", shared_data / "surveillance_fights" / "fi013.mp4")
        names, store = ["compact", "flow"], FeatureStore(tmp_path)
        rows = features_of(clip, names, store, opened)
        assert rows["compact"].shape == (3, 384) and rows["flow"].shape == (3, 192)
        assert all(np.isfinite(r).all() and (r.std(0) > 0).mean() > 0.9 for r in rows.values())
        for name in names:
            each = [row for _, row in stream_features(clip.open(), [opened(name)]) if row]
            streamed = np.concatenate(each)
            np.testing.assert_allclose(streamed, rows[name], rtol=1e-4, atol=1e-5)


class TestVerb:
    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        """Two videos of 40 and 20 frames."""
        folder = tmp_path / "videos"
        folder.mkdir()
        for name, frames in {"long": 40, "short": 20}.items():
            with VideoWriter(folder / f"{name}.mp4", 32, 48, 10) as writer:
                for frame in pixels(frames, 48, 32):
                    writer.write(frame)
        return folder

    def test_extracts_and_goes_on(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store = tmp_path / "store"
        argv = ["extract", str(data), "--backbones", "compact", "flow", "--out", str(store)]
        argv += ["--device", "cpu"]
        assert main(argv) == 0
        out = capsys.readouterr().out
        assert "holds 2 of 2 videos" in out and "3 snippets were new" in out
        assert "384" in out and "1.75" in out
        files = {path: path.stat().st_mtime_ns for path in store.glob("*/*.safetensors")}
        assert len(files) == 4
        next(iter(files)).write_bytes(b"damaged")
        assert main(argv) == 0
        out = capsys.readouterr().out
        assert "1 damaged entries were made again" in out
        same = [p for p, before in files.items() if p.stat().st_mtime_ns == before]
        assert len(same) == 3
        assert main(argv) == 0
        assert "0 snippets were new" in capsys.readouterr().out

    def test_the_same_from_python(self, data: Path, tmp_path: Path) -> None:
        made = extract(data, tmp_path / "store", backbones=("flow",), device="cpu")
        assert (made.videos, made.tally.snippets, made.rows) == (2, 3, {"flow": 3})
        assert not made.failures and len(list((tmp_path / "store").glob("*/*"))) == 2
        with pytest.raises(ConfigError, match="no backbone"):
            extract(data, tmp_path / "store", backbones=())

    def test_entries_that_a_killed_run_had_not_listed_are_listed(
        self, data: Path, tmp_path: Path
    ) -> None:
        store, manifest = tmp_path / "store", tmp_path / "store" / "manifest.json"
        extract(data, store, backbones=("compact",), device="cpu")
        before = manifest.read_text()
        manifest.write_text("{}")
        extract(data, store, backbones=("compact",), device="cpu")
        assert manifest.read_text() == before != "{}"

    def test_a_bad_video_does_not_stop_the_others(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with VideoWriter(data / "blink.mp4", 32, 48, 10) as writer:
            writer.write(pixels(1, 48, 32)[0])
        argv = ["extract", str(data), "--backbones", "flow", "--out", str(tmp_path / "store")]
        assert main(argv) == 2
        shown = capsys.readouterr()
        assert "holds 2 of 3 videos" in shown.out
        assert "error: blink has 1 frame: expected at least 16" in shown.err

    @pytest.mark.parametrize(
        ("extra", "said"),
        [
            (["--backbones", "flwo"], "did you mean 'flow'"),
            (["--backbones", "i3d"], "no official download"),
            (["--backbones", "s3d:nothing.pt"], "no weight file at nothing.pt"),
        ],
    )
    def test_wrong_requests_are_one_line(
        self,
        extra: list[str],
        said: str,
        data: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert main(["extract", str(data), "--out", str(tmp_path / "store"), *extra]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and said in lines[0]
        assert not (tmp_path / "store").exists()

"""Feature files as data sets publish them, whole and damaged."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from scipy.io import savemat

from support.dataset_files import text
from support.feature_files import rows, save
from vadistill.datasets.agreement import crops_first, wrong_widths
from vadistill.datasets.arrays import FORMATS
from vadistill.datasets.published import FeatureCrops, FeatureFile, FeatureStreams
from vadistill.datasets.snippets import FeatureArray, FeatureSource
from vadistill.errors import ConfigError, DataError


class TestFiles:
    @pytest.mark.parametrize("ending", FORMATS)
    def test_rows(self, ending: str, tmp_path: Path) -> None:
        file = FeatureFile(save(tmp_path / f"a{ending}", rows(7)))
        assert isinstance(file, FeatureArray)
        assert file.shape() == (7, 1, 4)
        read = file.read()
        assert read.dtype == np.float32 and read == pytest.approx(rows(7), rel=1e-6)

    @pytest.mark.parametrize("ending", [".npy", ".npz", ".mat", ".pt", ".h5"])
    @pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
    def test_crops(self, ending: str, kind: Any, tmp_path: Path) -> None:
        crops = rows(60, 3).reshape(6, 10, 3).astype(kind)
        file = FeatureFile(save(tmp_path / f"a{ending}", crops))
        assert file.shape() == (6, 10, 3)
        assert file.read() == pytest.approx(crops.astype(np.float64), abs=1e-6)
        first = FeatureFile(save(tmp_path / f"b{ending}", crops.swapaxes(0, 1)), crops_first=True)
        assert first.shape() == (6, 10, 3) and first.read().tolist() == file.read().tolist()
        assert first.identity.endswith("crops first")
        source = FeatureSource("a", {"i3d": file}, snippets=6)
        assert source.crops("i3d").tolist() == file.read().tolist()
        assert source.features("i3d") == pytest.approx(file.read().mean(1), abs=1e-6)

    def test_a_text_of_one_row(self, tmp_path: Path) -> None:
        file = FeatureFile(text(tmp_path / "a.txt", "1 2 3", ""))
        assert file.shape() == (1, 1, 3) and file.read().tolist() == [[1, 2, 3]]

    def test_a_member_of_several(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "a.npz", x=rows(2), y=rows(3))
        savemat(tmp_path / "a.mat", {"x": rows(2), "y": rows(3)})
        tensors = {"x": torch.from_numpy(rows(2)), "y": torch.from_numpy(rows(3)), "epoch": 3}
        torch.save(tensors, tmp_path / "a.pt")
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["x"], file["y"], file["fps"] = rows(2), rows(3), 25.0
        for ending in ("npz", "mat", "pt", "h5"):
            assert FeatureFile(tmp_path / f"a.{ending}", "y").shape() == (3, 1, 4)
            assert len(FeatureFile(tmp_path / f"a.{ending}", "x").read()) == 2
            with pytest.raises(DataError, match=r"2 arrays of numbers \(x, y\)"):
                FeatureFile(tmp_path / f"a.{ending}").shape()
            with pytest.raises(DataError, match="no array 'z'"):
                FeatureFile(tmp_path / f"a.{ending}", "z").read()

    def test_identity_tells_content_apart(self, tmp_path: Path) -> None:
        one = FeatureFile(save(tmp_path / "a.npy", rows(2))).identity
        assert FeatureFile(save(tmp_path / "a.npy", rows(3))).identity != one
        assert (
            FeatureFile(tmp_path / "a.npy", "x").identity
            != FeatureFile(tmp_path / "a.npy").identity
        )

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (np.zeros(8), "1 dimension"),
            (np.zeros((2, 2, 2, 2)), "4 dimensions"),
            (np.zeros((0, 4)), "no rows"),
            (np.zeros((4, 0)), "no rows"),
            (np.zeros((10, 31, 4)), "31 crops a snippet"),
            (np.array([["a", "b"]]), "values"),
            (np.zeros((2, 2), complex), "complex128 values"),
            (np.array([[1, "a"]], object), "objects"),
            (b"\x93NUMPY", "cannot read"),
            (b"", "cannot read"),
            (b"hello", "cannot read"),
        ],
    )
    @pytest.mark.parametrize("ending", ["npy", "npz"])
    def test_what_cannot_be_features(
        self, content: Any, message: str, ending: str, tmp_path: Path
    ) -> None:
        path = tmp_path / f"a.{ending}"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif ending == "npz":
            np.savez(path, content)
        else:
            np.save(path, content)
        for attempt in (FeatureFile(path).shape, FeatureFile(path).read):
            with pytest.raises(DataError) as caught:
                attempt()
            assert "\n" not in str(caught.value) and str(path) in str(caught.value)
        with pytest.raises(DataError, match=message):
            FeatureFile(path).shape()

    @pytest.mark.parametrize("keep", [200, 128, 40])
    def test_cut_off(self, keep: int, tmp_path: Path) -> None:
        path = save(tmp_path / "a.npy", rows(20))
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(DataError, match="cannot read"):
            FeatureFile(path).shape()

    def test_other_unreadable_files(self, tmp_path: Path) -> None:
        ragged = text(tmp_path / "a.txt", "1 2 3", "4 5")
        words = text(tmp_path / "b.txt", "1 2 x")
        newer = tmp_path / "c.mat"
        newer.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600))
        for path in (ragged, words, tmp_path / "absent.npy", text(tmp_path / "d.mat", "hello")):
            with pytest.raises(DataError, match=f"cannot read {path}"):
                FeatureFile(path).read()
        with pytest.raises(DataError, match=r"v7\.3"):
            FeatureFile(newer).shape()
        with pytest.raises(DataError, match="no rows"):
            FeatureFile(text(tmp_path / "e.txt", "")).read()
        with pytest.raises(DataError, match="no feature file"):
            FeatureFile(tmp_path / "a.csv").shape()

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ({"x": rows(3), "y": Path()}, "other things than tensors"),
            (torch.zeros(1, 4).expand(10**9, 4), "its bytes do not hold"),
            (torch.zeros(8), "0 arrays of numbers"),
            (torch.zeros(2, 4).to_sparse(), "cannot read"),
            ([torch.zeros(2, 4)], "0 arrays of numbers"),
            (torch.zeros(2, 4, dtype=torch.complex64), "complex64 values"),
        ],
        ids=["objects", "expanded", "flat", "sparse", "list", "complex"],
    )
    def test_tensors_that_cannot_be_features(
        self, content: object, said: str, tmp_path: Path
    ) -> None:
        torch.save(content, tmp_path / "a.pt")
        for attempt in (FeatureFile(tmp_path / "a.pt").shape, FeatureFile(tmp_path / "a.pt").read):
            with pytest.raises(DataError, match=said) as caught:
                attempt()
            assert "a.pt" in str(caught.value) and "\n" not in str(caught.value)

    def test_tensors_of_brain_floats_and_of_old_files(self, tmp_path: Path) -> None:
        tensor = torch.from_numpy(rows(5)).bfloat16().requires_grad_()
        torch.save(tensor, tmp_path / "a.pt")
        assert FeatureFile(tmp_path / "a.pt").read() == pytest.approx(rows(5), rel=1e-2)
        old = torch.from_numpy(rows(5))
        torch.save(old, tmp_path / "b.pt", _use_new_zipfile_serialization=False)
        assert FeatureFile(tmp_path / "b.pt").read().tolist() == rows(5).tolist()

    def test_hdf5_whose_numbers_lie_elsewhere_or_nowhere(self, tmp_path: Path) -> None:
        (tmp_path / "secret.bin").write_bytes(rows(5).tobytes())
        save(tmp_path / "other.h5", rows(5))
        with h5py.File(tmp_path / "outside.h5", "w") as file:
            outside = [(str(tmp_path / "secret.bin"), 0, 80)]
            file.create_dataset("x", (5, 4), "f4", external=outside)
        with h5py.File(tmp_path / "virtual.h5", "w") as file:
            layout = h5py.VirtualLayout((5, 4), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "group/features", (5, 4))
            file.create_virtual_dataset("x", layout)
        with h5py.File(tmp_path / "linked.h5", "w") as file:
            file["x"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "group/features")
        with h5py.File(tmp_path / "empty.h5", "w") as file:
            file.create_dataset("x", (10**9, 1024), "f4", chunks=True)
        said = {
            "outside": "in other files",
            "virtual": "in other files",
            "linked": "0 arrays of numbers",
            "empty": "0 bytes do not hold",
        }
        for name, words in said.items():
            path = tmp_path / f"{name}.h5"
            for attempt in (FeatureFile(path).shape, FeatureFile(path).read):
                with pytest.raises(DataError, match=words) as caught:
                    attempt()
                assert str(path) in str(caught.value)

    def test_hdf5_without_the_extra(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = FeatureFile(save(tmp_path / "a.h5", rows(5)))
        monkeypatch.setitem(sys.modules, "h5py", None)
        with pytest.raises(ConfigError, match=r"a\.h5 needs h5py.*\[hdf5\]"):
            file.shape()

    @pytest.mark.parametrize("ending", ["pt", "h5"])
    @pytest.mark.parametrize("keep", [600, 200, 40, 0])
    def test_cut_off_containers(self, ending: str, keep: int, tmp_path: Path) -> None:
        path = save(tmp_path / f"a.{ending}", rows(200))
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(DataError, match="cannot read"):
            FeatureFile(path).shape()

    def test_crop_files(self, tmp_path: Path) -> None:
        files = [FeatureFile(save(tmp_path / f"a__{i}.npy", rows(5, seed=i))) for i in range(3)]
        crops = FeatureCrops(tuple(files))
        assert isinstance(crops, FeatureArray) and crops.shape() == (5, 3, 4)
        assert crops.read().tolist() == np.stack([rows(5, seed=i) for i in range(3)], 1).tolist()
        save(tmp_path / "a__1.npy", rows(6))
        with pytest.raises(DataError, match="6 snippets of width 4: expected 5 of width 4, as a"):
            crops.read()

    def test_streams_of_one_backbone(self, tmp_path: Path) -> None:
        colour = FeatureFile(save(tmp_path / "a_rgb.npy", rows(6, 3)))
        flow = FeatureFile(save(tmp_path / "a_flow.npy", rows(5, 2)))
        both = FeatureStreams((colour, flow))
        assert both.shape() == (5, 1, 5)
        assert both.read()[:, 0].tolist() == np.hstack([rows(6, 3)[:5], rows(5, 2)]).tolist()
        crops = FeatureCrops((flow, flow))
        with pytest.raises(DataError, match=r"a_flow.npy holds 5 snippets of 2 crops: expected 6"):
            FeatureStreams((colour, crops)).read()
        save(tmp_path / "a_flow.npy", rows(3, 2))
        with pytest.raises(DataError, match=r"a_flow.npy holds 3 snippets of 1 crops: expected 6"):
            both.shape()

    @pytest.mark.parametrize(
        ("axes", "lengths", "first"),
        [
            ([(10, 25)], {}, True),  # 10 is a usual number of crops, 25 is not
            ([(25, 10)], {}, False),
            ([(10, 7), (10, 5)], {}, True),  # videos differ in snippets
            ([(7, 10), (5, 10)], {}, False),
            ([(10, 5)], {}, None),
            ([(10, 5)], {"v0": 5}, True),  # other features or frames tell
            ([(10, 5)], {"v0": 9}, False),
            ([(25, 10)], {"v0": 11}, True),
            ([(12, 20)], {}, False),
        ],
    )
    def test_the_order_of_axes(
        self, axes: list[tuple[int, int]], lengths: dict[str, int], first: bool | None
    ) -> None:
        found, unsure = crops_first({f"v{i}": each for i, each in enumerate(axes)}, lengths)
        assert (found, unsure) == ((False, "v0") if first is None else (first, None))

    def test_wrong_widths(self) -> None:
        lines = wrong_widths([("a", 4), ("b", 4), ("c", 5)], backbone="i3d")
        assert lines == ["features of 'i3d' in c have the width 5, expected 4"]
        assert wrong_widths([("a", 4)], backbone="i3d", width=5)[0].endswith("4, expected 5")
        many = wrong_widths([*((f"a{i}", 4) for i in range(9)), *(("b", i) for i in range(5))],
                            backbone="clip")  # fmt: skip
        assert len(many) == 4 and many[-1] == "1 more files of 'clip' have another width"

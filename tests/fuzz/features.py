"""Feature files, and data sets of features: what they hold is read whole, or it is told why not."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import h5py
import numpy as np
import torch
from scipy.io import loadmat, savemat

from fuzz.judging import Reader
from fuzz.mutations import array_of, bytes_of, nested, text_of, tree_of
from vadistill.backbones.store import FeatureStore
from vadistill.datasets import open_dataset
from vadistill.datasets.published import FeatureFile
from vadistill.datasets.shanghaitech import read_frame_masks
from vadistill.datasets.snippets import FeatureSource
from vadistill.errors import DataError, VadistillError

ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def npy(array: np.ndarray, *, pickled: bool = True) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def npz(arrays: dict[str, np.ndarray], *, small: bool = False) -> bytes:
    """As numpy writes it, but for the time of day."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            how = zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), npy(array), how)
    return file.getvalue()


def mat(arrays: dict[str, object]) -> bytes:
    """As scipy writes it, but for the time of day."""
    file = io.BytesIO()
    savemat(file, arrays)
    return b"MATLAB 5.0 MAT-file".ljust(116) + file.getvalue()[116:]


def pt(held: object) -> bytes:
    file = io.BytesIO()
    torch.save(held, file)
    return file.getvalue()


def h5(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as made:
        made.create_dataset("features", data=array, chunks=True, compression="gzip")
    return file.getvalue()


def files() -> dict[str, bytes]:
    text = "\n".join(" ".join(f"{cell:.6f}" for cell in row) for row in ROWS) + "\n"
    crops = np.stack([ROWS, ROWS + 1], axis=1)
    return {
        "a.npy": npy(ROWS),
        "fortran.npy": npy(np.asfortranarray(crops.astype(">f8"))),
        "a.npz": npz({"features": ROWS}),
        "small.npz": npz({"features": crops.astype(np.float16)}, small=True),
        "a.txt": text.encode(),
        "a.mat": mat({"features": ROWS, "fps": 25.0, "name": "video"}),
        "a.pt": pt({"features": torch.from_numpy(ROWS), "epoch": 3}),
        "a.h5": h5(ROWS),
    }


def changed(random: Random, data: bytes, other: bytes) -> bytes:
    """Another array in a sound file, or a damaged file."""
    if random.random() < 0.4:
        return bytes_of(random, data, other)
    if data[:6] == b"\x93NUMPY":
        array = array_of(random, np.load(io.BytesIO(data)))
        made = npy(array)
        if random.random() < 0.2:  # a header of another length of the same array
            made = made.replace(b"(6,", random.choice((b"(5,", b"(9,", b"(-6", b"(0,")), 1)
        return made
    if data[:2] == b"PK" and b".npy" in data[:60]:
        with np.load(io.BytesIO(data)) as archive:
            arrays = {name: archive[name] for name in archive.files}
        name = random.choice(list(arrays))
        arrays[name] = array_of(random, arrays[name])
        if random.random() < 0.3:
            arrays[random.choice(("x", "y", "frame_labels"))] = arrays[name]
        return npz(arrays, small=random.random() < 0.5)
    if data[:6] == b"MATLAB":
        tables = {k: v for k, v in loadmat(io.BytesIO(data)).items() if not k.startswith("__")}
        name = random.choice(list(tables))
        tables[name] = array_of(random, tables[name])
        if random.random() < 0.3:
            tables[random.choice(("x", "y"))] = tables[name]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return mat(tables)
        except (TypeError, ValueError, AttributeError):
            return bytes_of(random, data, other)
    if data[:2] == b"PK" or data[:4] == b"\x89HDF":
        return bytes_of(random, data, other)
    return text_of(random, data, other)


def features(path: Path) -> None:
    """The header tells what is read, and all numbers are finite."""
    file = FeatureFile(path)
    shape = file.shape()
    with np.errstate(all="ignore"):
        source = FeatureSource(path.stem, {"net": file}, snippets=shape.snippets)
        rows = source.features("net")
    assert rows.shape == (shape.snippets, shape.width) and rows.dtype == np.float32
    assert np.isfinite(rows).all()
    whole: Callable[[], np.ndarray] | None = None
    if path.suffix == ".npy":
        whole = lambda: np.load(path)  # noqa: E731
        assert len(npy(whole())) == path.stat().st_size, "rows beyond the header's are passed over"
    elif path.suffix == ".txt":
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
        assert len(lines) == len(rows), f"{len(rows)} of {len(lines)} lines"
        assert all(len(line.split()) == shape.width for line in lines)


# -- data sets of features -------------------------------------------------------------------------

PETS = [{"name": "one", "label": 0, "clips": 2}, {"name": "two", "label": 1, "clips": 3}]


def pets_archive() -> dict[str, np.ndarray]:
    arrays = {}
    for number, scene in enumerate(PETS):
        arrays[f"{number:02d}.features"] = ROWS[: scene["clips"]]
        labels = np.zeros(16 * scene["clips"], np.uint8)
        labels[20:30] = scene["label"]
        arrays[f"{number:02d}.frame_labels"] = labels
    return arrays


def pets_files() -> dict[str, bytes]:
    found = {"test_view1.npz": npz(pets_archive())}
    return found | {"test_view1.json": json.dumps(PETS).encode()}


def json_of(random: Random, data: bytes, other: bytes) -> bytes:
    """JSON with other values or types in it, nested too deeply, or damaged as text."""
    kind = random.random()
    if kind < 0.03:
        return nested(data.decode()).encode()
    if kind < 0.15:
        return text_of(random, data, other)
    if kind < 0.2:
        return bytes_of(random, data, other)
    return json.dumps(tree_of(random, json.loads(data))).encode()


def json_or_arrays(random: Random, data: bytes, other: bytes) -> bytes:
    return (changed if data[:2] == b"PK" else json_of)(random, data, other)


def place_pets(folder: Path, name: str, data: bytes) -> Path:
    for split in ("train", "test"):
        for view in range(1, 5):
            (folder / f"{split}_view{view}.npz").write_bytes(pets_files()["test_view1.npz"])
            (folder / f"{split}_view{view}.json").write_text(json.dumps(PETS))
    (folder / name).write_bytes(data)
    return folder / name


def problems(path: Path, root: Path, kind: str, *names: str):
    """The splits at ``root``; a problem that names ``path`` is raised, or else the first."""
    splits = open_dataset(root, kind, tolerant=True)
    if splits.problems:
        told = [line for line in splits.problems if any(name in line for name in names)]
        got = (told or [*splits.problems])[0]
        assert got.count("\n") == 0
        raise DataError(got, expected="a sound data set", fix="mend it")
    return splits


def pets(path: Path) -> None:
    splits = problems(path, path.parent, "pets", path.name, path.stem, "view1")
    for video in splits.test:
        assert isinstance(video.source, FeatureSource) and video.frame_labels is not None
        assert len(video.frame_labels) == 16 * video.source.snippets
        assert int(video.frame_labels.any()) == video.video_label
        assert video.source.features("view1").shape == (video.source.snippets, 4)
    assert [(v.name, v.video_label) for v in splits.test] == [("one", 0), ("two", 1)]


def own_files() -> dict[str, bytes]:
    return {
        "train.csv": b"file,label\na,0\nb,1\n",
        "test.csv": b"file,label\nc.mp4,0\nd,1\n",
        "intervals.csv": b"file,start,end\nd,16,40\nc,,\n",
        "classes.csv": b"file,class\nb,fight\nd,fall\n",
    }


def place_own(folder: Path, name: str, data: bytes) -> Path:
    (folder / "features/net").mkdir(parents=True)
    for video in "abcd":
        (folder / f"features/net/{video}.npy").write_bytes(npy(ROWS))
    for each, text in own_files().items():
        (folder / each).write_bytes(text)
    (folder / name).write_bytes(data)
    return folder / name


def own(path: Path) -> None:
    splits = problems(path, path.parent, "features", path.name)
    for video in splits.test:
        assert video.frame_labels is not None and len(video.frame_labels) == 96
        assert int(video.frame_labels.any()) == video.video_label
    text = path.read_text(encoding="utf-8-sig")
    kept = {video.name for video in (*splits.train, *splits.test)}
    if path.name in ("train.csv", "test.csv"):
        assert all(name in kept for name in ("ab" if path.name == "test.csv" else "cd"))
        lines = [line for line in text.split("\n") if line.strip().strip(" ,;\t\"'")][1:]
        own = splits.train if path.name == "train.csv" else splits.test
        assert '"' in text or len(own) == len(lines) or not lines, "a row is passed over"


def masks_files() -> dict[str, bytes]:
    masks = {"01_0014": np.r_[np.zeros(8), np.ones(4)].astype(np.uint8), "02_0128": np.zeros(6)}
    return {"masks.npz": npz({k: v.astype(np.uint8) for k, v in masks.items()})}


def masks(path: Path) -> None:
    for mask in read_frame_masks(path).values():
        assert mask.dtype == np.uint8 and mask.ndim == 1 and np.isin(mask, (0, 1)).all()


def store_files() -> dict[str, bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(Path(folder))
        store.put("0123", "net", ROWS, name="a", backbone="net", frames=96)
        return {"0123.safetensors": store.path("0123", "net").read_bytes()}


def place_store(folder: Path, name: str, data: bytes) -> Path:
    (folder / "net").mkdir()
    (folder / "net" / name).write_bytes(data)
    return folder / "net" / name


def stored(path: Path) -> None:
    """What is damaged counts as absent, and is remembered as such."""
    store = FeatureStore(path.parent.parent)
    rows = store.get("0123", "net")
    assert store.manifest() in ({}, {"net/0123": store.manifest().get("net/0123")})
    if rows is not None:
        np.testing.assert_array_equal(rows, ROWS)
        return
    assert store.damaged == [path]
    raise VadistillError(f"{path} is damaged", expected="a checksum that fits", fix="put it anew")


READERS = (
    Reader(
        "features",
        features,
        slots=10,
        mutate=changed,
        made=files,
        named=lambda path: (path.name, f" {path.stem} "),
    ),
    Reader(
        "pets",
        pets,
        slots=1,
        mutate=json_or_arrays,
        made=pets_files,
        place=place_pets,
        named=lambda path: (path.name, path.stem, "view1", "one", "two"),
    ),
    Reader(
        "own features",
        own,
        slots=3,
        made=own_files,
        place=place_own,
        named=lambda path: (path.name, ".csv line ", " video "),
    ),
    Reader("frame masks", masks, slots=1, mutate=changed, made=masks_files),
    Reader("store", stored, slots=1, mutate=bytes_of, made=store_files, place=place_store),
)

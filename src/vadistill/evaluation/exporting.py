"""A fitted model for another runtime: its folder, the bare graph, and how alike they score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
from scipy.stats import rankdata

from vadistill.datasets import Dataset, Splits, open_dataset
from vadistill.detector import Detector, in_the_way
from vadistill.errors import ConfigError, DataError, one_of
from vadistill.evaluation.frame_level import micro_auc
from vadistill.files import content_hash, read_json, replacing, write_json
from vadistill.int8 import Kept, kept_of
from vadistill.program import Arrays, Program
from vadistill.progress import progress
from vadistill.race import present
from vadistill.runtime import TOLERANCE, Runtime, eight_bits
from vadistill.systems import load

To = Literal["onnx", "openvino", "auto"]

RANGES = 256
"""Rows of normal footage on which ranges of 8 bits are measured, at most."""


@dataclass(frozen=True)
class Parity:
    """Frame scores of the exported model beside those of the model in PyTorch, in fp32."""

    frames: int
    largest: float
    """Difference of two scores of a frame."""
    range: float
    """Of the scores in PyTorch."""
    rank: float
    """Spearman's correlation; NaN where all scores are the same."""
    auc: tuple[float, float] | None = None
    """Micro AUC in [0, 1] of these frames, in PyTorch and exported, where labels are known."""

    @property
    def share(self) -> float:
        """The largest difference as a share of the range."""
        return self.largest / self.range if self.range > 0 else float(self.largest > 0)

    @property
    def words(self) -> str:
        """In a line."""
        told = (
            f"{self.frames} frames: largest difference {self.largest:.2g} "
            f"({self.share:.2g} of the scores' range), rank correlation {self.rank:.5f}"
        )
        if self.auc is None:
            return told
        return f"{told}, micro AUC {100 * self.auc[1]:.2f} beside {100 * self.auc[0]:.2f} in fp32"


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: Path
    graph: Path
    parity: Parity
    kept: Kept | None = None
    """With 8 bits, what of the network is in them."""


def export(
    model: str | Path,
    out: str | Path,
    data: str | Path | Splits,
    *,
    to: To = "onnx",
    int8: bool = False,
    frames: int = 200,
    tolerance: float | None = None,
    force: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Write a model folder whose runtime is ``to``, and ``network.onnx`` or ``.xml`` beside it.

    ``data``: a data set, of whose test split (else training split) ``frames`` frames are scored by
    both; 8-bit ranges are measured on its training split, and so is which convolutions stay in
    fp32 (``vadistill.int8``), in all runtimes that are asked for.  Nothing is written where scores
    differ by more than ``tolerance``, a share of their range, unless forced; nor in place of a
    model that is no earlier export of the same kind, unless it is to ``overwrite`` that.  With
    ``auto`` whichever runtime here differs most is told.  Raises ConfigError for that, and for a
    model without a network of its own or a runtime that cannot have it; DataError.
    """
    folder, config = Path(out), Path(model) / "config.json"
    origin = content_hash(config, to, str(int8)) if config.is_file() else ""
    if not overwrite:
        _check_replaced(folder, origin)
    splits = data if isinstance(data, Splits) else open_dataset(data)
    plain, made = load(model, device="cpu"), load(model, device="cpu")
    plain.program(())  # which tells a model that has none
    wanted = [f"{each}-int8" if int8 else each for each in _tried(to)]
    tried = [_with_runtime(made, each) for each in wanted]  # refused before anything is scored
    known = made.runtime.int8 or ()
    plain.config = _with_runtime(plain, "torch")
    plain.open_runtime()
    inputs = known or (_normal_inputs(plain, splits.train, frames) if int8 else ())
    if inputs and not known:
        inputs = eight_bits(made.program(inputs), wanted)
    shown = splits.test if len(splits.test) else splits.train
    scores = list(scores_of(plain, shown, frames))
    likes = list[Parity]()
    for config in tried:
        made.config = config
        made.open_runtime(inputs)
        likes.append(parity(shown, scores, list(scores_of(made, shown, frames))))
    like = max(likes, key=lambda each: each.share)
    most = TOLERANCE[made.runtime.precision] if tolerance is None else tolerance
    if like.share > most and not force:
        raise ConfigError(
            f"scores that differ from PyTorch's ({like.words})",
            expected=f"at most {most:g} of their range",
            fix="leave out --int8, raise --tolerance, or write it with --force",
        )
    if to == "auto":
        made.config = _with_runtime(made, to)
        made.open_runtime(inputs if int8 else ())
    made.save(folder)
    by = {"origin": origin, "model": content_hash(folder / "config.json")}
    write_json(folder / "graph.json", by)  # so that what ends early may be done again
    program = made.program(made.runtime.int8 or ())
    graph = _write_graph(program, folder, to, int8=int8)
    about = described(made, program, graph, like)
    kept = kept_of(program.to_int8()) if int8 else None
    if kept is not None:
        about["int8"] = asdict(kept)
    write_json(folder / "graph.json", {**about, **by})
    return Exported(folder, graph, like, kept)


def _check_replaced(out: Path, origin: str) -> None:
    """Raise ConfigError where ``out`` holds a model that the same export has not made, or a fit
    has made since."""
    if not (out / "config.json").exists():
        return
    try:
        known = read_json(out / "graph.json")
        same = known["origin"] == origin and known["model"] == content_hash(out / "config.json")
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise in_the_way(out, "another model", "the same export")


def _tried(to: To) -> list[str]:
    return [name for name in present() if name != "torch"] if to == "auto" else [to]


def parity(data: Dataset, first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> Parity:
    """How alike two models' scores are of the first frames of the first videos of ``data``."""
    a, b = np.concatenate(first), np.concatenate(second)
    ranks = rankdata(a), rankdata(b)
    rank = float(np.corrcoef(*ranks)[0, 1]) if np.ptp(a) and np.ptp(b) else float("nan")
    labels = [
        video.frame_labels[: len(own)]
        for video, own in zip(data, first, strict=False)
        if video.frame_labels is not None
    ]
    auc = None
    if len(labels) == len(first) and len(np.unique(np.concatenate(labels))) == 2:
        auc = (micro_auc(labels, first), micro_auc(labels, second))
    return Parity(len(a), float(np.abs(a - b).max()), float(np.ptp(a)), rank, auc)


def scores_of(model: Detector, data: Dataset, frames: int) -> Iterator[np.ndarray]:
    """Raw scores of every video's first frames, until there are ``frames`` in all."""
    each = -(-frames // max(len(data), 1))
    with progress(model.runtime.name, frames) as advance:
        for video in islice(data, frames):
            scored = [frame.score for frame in islice(model.stream(video.open()), each)]
            advance(len(scored), note=video.name)
            yield np.array(scored)


def _with_runtime(model: Detector, runtime: str) -> Any:
    known = get_args(get_type_hints(type(model.config))["runtime"])
    one_of("runtime", runtime, known, expected=f"one that {model.name} has", fix="leave out --int8")
    return replace(model.config, runtime=runtime)


class _Kept(Runtime):
    """A runtime that keeps what goes through it."""

    def __init__(self, inner: Runtime) -> None:
        super().__init__(inner.name, inner.precision, inner.batch)
        self.inner, self.inputs = inner, list[Arrays]()

    def run(self, inputs: Sequence[np.ndarray]) -> Arrays:
        if len(inputs[0]):
            self.inputs.append(tuple(np.array(each) for each in inputs))
        return self.inner.run(inputs)


def _normal_inputs(model: Detector, train: Dataset, frames: int) -> list[Arrays]:
    """What the network is given on normal footage, some rows from all over it."""
    normal = replace(train, videos=tuple(v for v in train if not v.video_label))
    kept = _Kept(model.runtime)
    model.runtime = kept
    for _ in scores_of(model, normal, frames):
        pass
    model.runtime = kept.inner
    if not kept.inputs:
        raise DataError(
            f"no input of the network in {len(normal)} training videos",
            expected="normal footage, on which the ranges of 8 bits are measured",
            fix="name a data set that has some in train/",
        )
    rows = sum(len(each[0]) for each in kept.inputs)
    step = max(1, rows // RANGES)
    chosen = [tuple(array[::step] for array in each) for each in kept.inputs]
    return [each for each in chosen if len(each[0])]


def _write_graph(program: Program, folder: Path, to: To, *, int8: bool) -> Path:
    """The bare graph, as ONNX or as OpenVINO's IR."""
    graph = program.to_int8() if int8 else program.to_onnx()
    path = folder / "network.onnx"
    if to != "openvino":
        with replacing(path) as temporary:
            temporary.write_bytes(graph)
        return path
    import io

    import openvino  # pyright: ignore[reportMissingImports]

    path = folder / "network.xml"
    model = openvino.Core().read_model(io.BytesIO(graph))
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


def described(model: Detector, program: Program, graph: Path, like: Parity) -> dict[str, Any]:
    """The graph's signature: names, shapes, types, and what is done before and after."""
    about = model.GRAPH
    inputs = [
        {
            "name": name,
            "shape": [f"n{axis or ''}" if axis in program.free else size for axis, size in
                      enumerate(example.shape)],
            "type": str(example.dtype).removeprefix("torch."),
            "is": about.get(name, about.get(f"{name[:-1]}0", "")),
        }
        for name, example in program.inputs.items()
    ]  # fmt: skip
    outputs = [{"name": name, "type": "float32", "is": about[name]} for name in program.outputs]
    return {
        "system": model.name,
        "graph": graph.name,
        "runtime": model.config.runtime,
        "before": about["before"],
        "inputs": inputs,
        "outputs": outputs,
        "after": about["after"],
        "parity": asdict(like),
    }

"""Figures that a change of structure must not change, computed from fixed pixels and fixed seeds.

    python tests/golden/compute.py --check     compare with golden.json
    python tests/golden/compute.py --write     write golden.json anew

Systems are fitted in seconds, so their scores mean nothing: they are pinned, not judged.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import vadistill
from vadistill import Calibration, Dataset, FrameScore, Scores, Video, detector_class
from vadistill.datasets.base import Track
from vadistill.datasets.snippets import FeatureSource
from vadistill.evaluation import Protocol, Run, compare, load_run, measure, save_run, take
from vadistill.evaluation.evaluate import Results
from vadistill.loss_log import LOG, losses_of
from vadistill.report.report import write_report
from vadistill.systems import cafe, fast_aed

GOLDEN = Path(__file__).with_name("golden.json")

FRAMES, HEIGHT, WIDTH, FPS = 24, 96, 128, 10.0

Figures = dict[str, Any]
"""Plain JSON; floats that are not finite are words."""


# -- videos ----------------------------------------------------------------------------------------


def pixels(seed: int, *, anomaly: bool, frames: int = FRAMES) -> np.ndarray:
    """Textured squares drift to the right; in the last half a larger one may rush to the left."""
    ground = np.random.default_rng(0).integers(80, 120, (HEIGHT, WIDTH, 1))
    rng = np.random.default_rng([1, seed])
    starts, tops, half = rng.integers(0, WIDTH, 2), (8, 66), frames // 2
    squares = rng.integers(150, 250, (2, 5, 5, 3)).repeat(4, axis=1).repeat(4, axis=2)
    stranger = rng.integers(0, 250, (6, 6, 3)).repeat(4, axis=0).repeat(4, axis=1)
    video = np.empty((frames, HEIGHT, WIDTH, 3), np.uint8)
    for t in range(frames):
        frame = np.repeat(ground, 3, axis=2)
        for square, start, top in zip(squares, starts, tops, strict=True):
            left = (start + 2 * t) % (WIDTH - 20)
            frame[top : top + 20, left : left + 20] = square
        if anomaly and t >= half:
            left = (WIDTH - 28 - 6 * (t - half)) % (WIDTH - 24)
            frame[36:60, left : left + 24] = stranger
        frame = frame + rng.integers(-8, 9, frame.shape)
        video[t] = frame.clip(0, 255)
    return video


def normal_videos() -> Dataset:
    clips = [Video(f"normal{i}", pixels(i, anomaly=False), fps=FPS) for i in range(2)]
    return Dataset("golden", "train", tuple(clips))


def labelled_videos() -> Dataset:
    """Two normal and two abnormal videos, by their video labels."""
    clips = []
    for i in range(4):
        video = pixels(i, anomaly=i % 2 == 1, frames=3 * FRAMES)
        clips.append(Video(f"video{i}", video, video_label=i % 2, fps=FPS))
    return Dataset("golden_weak", "train", tuple(clips), "weak")


def test_video() -> Video:
    return Video("planted", pixels(10, anomaly=True), fps=FPS)


def longer_test_video() -> Video:
    return Video("planted", pixels(10, anomaly=True, frames=3 * FRAMES), fps=FPS)


# -- features --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """Features in memory."""

    rows: np.ndarray

    @property
    def identity(self) -> str:
        return str(float(self.rows.sum()))

    def read(self) -> np.ndarray:
        return self.rows


def features(seed: int, *, anomaly: bool, clips: int = 40) -> FeatureSource:
    """Noise in two backbones; an event is a shift of some numbers."""
    rng = np.random.default_rng([2, seed])
    arrays = {}
    for number, (backbone, width) in enumerate((("wide", 12), ("narrow", 6))):
        rows = rng.normal(size=(clips, width)).astype(np.float32)
        if anomaly:
            rows[10:18, number : number + 4] += 3
        arrays[backbone] = Rows(rows)
    return FeatureSource(f"features{seed}", arrays, snippets=clips, frames=16 * clips + 5)


def labelled_features() -> Dataset:
    clips = [
        Video(f"features{i}", features(i, anomaly=i % 2 == 1), video_label=i % 2) for i in range(8)
    ]
    return Dataset("golden_features", "train", tuple(clips), "weak")


def test_features() -> Video:
    return Video("features99", features(99, anomaly=True))


# -- systems ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """One small fit: of which system, what its first recipe is changed to, and on which data."""

    system: str
    changes: Mapping[str, Any]
    train: Callable[[], Dataset] = normal_videos
    test: Callable[[], Video] = test_video
    teachers: tuple[str, ...] = ()
    """Other fits that teach it."""


# Losses are logged at every tenth step, so batches are small.
QUICK = {"frames": 24, "batch_frames": 8, "precision": "fp32"}

STUDENT = {**QUICK, "batch": 2, "autoencoder_epochs": 1, "epochs": 1}

PAPERS_DAKD = {
    "temporal": "tam",
    "width": 1024,
    "standardise": False,
    "label_loss": "ranking",
    "guarded": False,
    "folds": 0,
    "committee": 1,
    "learning_rate": 1e-3,
    "temporal_learning_rate": 1e-4,
    "minmax": True,
    "alpha": 7.5,
    "tau": 10.0,
}
"""The paper's method, but for what its recipe takes literally."""

FITS = {
    "motion": Fit("motion", {}),
    "motion-percentile": Fit(
        "motion",
        {"flow": "dis", "statistics": ("percentile",), "unit": "pixels", "flow_side": None},
    ),
    "cafe": Fit("cafe", {**QUICK, "epochs": 4, "consistency_after": 2, "batch": 8}),
    "cafe-both": Fit(
        "cafe",
        {
            **QUICK,
            "epochs": 2,
            "consistency_after": 1,
            "batch": 8,
            "low_level": "both",
            **cafe.PUBLISHED,
            "runtime": "torch",
            "reduction": "sum",
            "schedule": "constant",
            "learning_rate": 1e-4,
        },
    ),
    "aed": Fit(
        "aed",
        {**QUICK, "batch": 8, "epochs": 2, "adversarial_after": 1, "classifier_epochs": 2},
    ),
    "aed-filtered": Fit(
        "aed",
        {
            **QUICK,
            "batch": 16,
            "epochs": 1,
            "adversarial_after": 0,
            "classifier_epochs": 1,
            "filter_frames": 5,
            "filter_cells": 3,
            "frames": 12,
        },
    ),
    "ssmtl": Fit("ssmtl", {**QUICK, "batch": 4, "epochs": 1}),
    "fast_aed": Fit("fast_aed", {**STUDENT, "teachers": ("motion",), "alpha": 0.1}),
    "fast_aed-alone": Fit("fast_aed", {**STUDENT, "teachers": (), "runtime": "torch"}),
    "fast_aed-taught": Fit(
        "fast_aed",
        {**STUDENT, "autoencoder_epochs": 0, "branches": True, "alpha": 0.1},
        teachers=("aed", "ssmtl"),
    ),
    "fast_aed-reference": Fit(
        "fast_aed",
        {
            **STUDENT,
            "frames": 12,
            "epochs": 2,
            "teachers": ("motion",),
            "architecture": "reference",
            "blocks": 1,
            "heads": 2,
            "width": 64,
            "hurried": 0.0,
            "pasted": 0.0,
            "mirrored": 0.0,
            "decay_every": 1,
            "learning_rate": 1e-4,
            "discriminator_rate": 1e-4,
            "alpha": 0.1,
            **fast_aed.PUBLISHED,
        },
    ),
    "dakd": Fit(
        "dakd",
        {
            "teacher": ("compact", "flow"),
            "student": "compact",
            "committee": 2,
            "folds": 0,
            "segments": 3,
            "epochs": 3,
            "precision": "fp32",
        },
        train=labelled_videos,
        test=longer_test_video,
    ),
    "dakd-segments": Fit(
        "dakd",
        {
            "teacher": ("wide", "narrow"),
            "student": "narrow",
            **PAPERS_DAKD,
            "scoring": "segments",
            "epochs": 5,
            "precision": "fp32",
        },
        train=labelled_features,
        test=test_features,
    ),
    "dakd-live": Fit(
        "dakd",
        {
            "teacher": ("wide", "narrow"),
            "student": "narrow",
            **PAPERS_DAKD,
            "scoring": "live",
            "temporal": "gru",
            "epochs": 3,
            "precision": "fp32",
        },
        train=labelled_features,
        test=test_features,
    ),
}
"""Every fit by name; the name is the system's, with what is special about it behind a dash."""


class Bench:
    """A folder in which each fit is made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fitted: dict[str, vadistill.Detector] = {}

    def model(self, name: str) -> Path:
        return self.folder / name / "model.vad"

    def work(self, name: str) -> Path:
        return self.folder / name / "work"

    def fit(self, name: str) -> vadistill.Detector:
        if name not in self.fitted:
            wanted, changes = FITS[name], dict(FITS[name].changes)
            if wanted.teachers:
                for teacher in wanted.teachers:
                    self.fit(teacher)
                changes["teachers"] = tuple(str(self.model(t)) for t in wanted.teachers)
            kind = detector_class(wanted.system)
            config = next(iter(kind.RECIPES.values()))()
            if hasattr(config, "seed"):
                changes["seed"] = 0
            detector = kind(replace(config, **changes), device="cpu")
            with one_thread():
                self.fitted[name] = detector.fit(
                    wanted.train(), out=self.model(name), work=self.work(name)
                )
        return self.fitted[name]


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums do not depend on how many cores there are."""
    before, before_cv2 = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        cv2.setNumThreads(before_cv2)


def scores(bench: Bench, name: str) -> Figures:
    """What a fit says about the test video, the same after saving and loading."""
    detector, clip = bench.fit(name), FITS[name].test()
    with one_thread():
        given = detector.score(clip.open())
        loaded = vadistill.load(bench.model(name), device="cpu").score(clip.open())
    for one, same in zip(given, loaded, strict=True):
        assert one.score == same.score and np.array_equal(one.box_scores, same.box_scores), name
    quantiles = detector.require_fitted().quantiles
    # Scores of features are the same for all 16 frames of a clip.
    step = 1 if len(given) <= FRAMES else 16
    mapped = [f.map for f in given if f.map is not None]
    return {
        "frames": len(given),
        "scores": [f.score for f in given][::step],
        "boxes": [len(f.boxes) for f in given][::step],
        "corners": [float(f.boxes.sum(dtype=np.float64)) for f in given][::step],
        "box scores": [float(f.box_scores.sum(dtype=np.float64)) for f in given][::step],
        "maps": [float(m.sum(dtype=np.float64)) for m in mapped],
        "map sizes": sorted({"x".join(map(str, m.shape)) for m in mapped}),
        "calibration": np.quantile(quantiles, [0, 0.5, 1]).tolist(),
        "calibrated": given.calibrated.tolist()[::step],
    }


def losses(bench: Bench, name: str) -> Figures:
    """All values of a fit's loss log, by stage and name."""
    bench.fit(name)
    if not (bench.model(name) / LOG).exists():  # motion trains no network
        return {}
    found: Figures = {}
    for stage, values in losses_of(bench.model(name)).items():
        del values["seconds"]
        found[stage] = {key: array.tolist() for key, array in values.items()}
        found[stage]["step"] = values["step"].astype(int).tolist()
    return plain(found)


# -- evaluation ------------------------------------------------------------------------------------

PROTOCOLS = [
    f"{measure}/{smoothing}"
    for smoothing in ("raw", "gaussian3", "average10", "causal10", "average10/minmax")
    for measure in ("micro", "macro-skip", "macro-pad", "macro-one", "ap", "pr_auc", "eer", "video")
] + ["rbdc", "tbdc"]

LENGTHS = (50, 40, 46, 24)
"""Frames of the test videos; the last one is normal throughout."""


def evaluated_set() -> Dataset:
    """Four labelled videos with masks, tracks and kinds of their anomalies."""
    clips = []
    for i, length in enumerate(LENGTHS):
        rng = np.random.default_rng([3, i])
        video = rng.integers(0, 256, (length, 24, 32, 3), dtype=np.uint8)
        labels, tracks = np.zeros(length, np.uint8), []
        spans = [(6 + 3 * i, 16 + 2 * i), (28 + i, 36)] if i < 3 else []
        for number, (first, last) in enumerate(spans):
            labels[first:last] = 1
            at = np.arange(first, last)
            corners = [true_box(t, number) for t in range(first, last)]
            kind = ("cart", "runner")[(i + number) % 2]
            tracks.append(Track(number, kind, at, np.array(corners, np.float32)))

        def mask(index: int, spans: list[tuple[int, int]] = spans) -> np.ndarray:
            found = np.zeros((24, 32), bool)
            for number, (first, last) in enumerate(spans):
                if first <= index < last:
                    x1, y1, x2, y2 = true_box(index, number)
                    found[y1:y2, x1:x2] = True
            return found

        named = tuple(dict.fromkeys(t.kind for t in tracks))
        clips.append(
            Video(f"video{i}", video, labels, mask, tracks=tuple(tracks), fps=FPS, classes=named)
        )
    return Dataset("golden_test", "test", tuple(clips))


def true_box(index: int, number: int) -> tuple[int, int, int, int]:
    left, top = 2 + index % 15, 3 + 9 * number
    return left, top, left + 10, top + 8


def evaluated_scores(dataset: Dataset, system: int) -> dict[str, Scores]:
    """Noise that is higher where a video is abnormal, with boxes near the true ones."""
    found = {}
    for i, clip in enumerate(dataset):
        rng = np.random.default_rng([4, system, i])
        frames = []
        assert clip.frame_labels is not None
        for t, label in enumerate(clip.frame_labels.tolist()):
            moved = rng.integers(-3, 4, 4)
            boxes = [true_box(t, number) for number in range(2)]
            corners = (np.array(boxes) + moved).clip(0, (32, 24, 32, 24)).astype(np.float32)
            values = (rng.random(2) + label * rng.random(2)).astype(np.float32)
            heat = rng.random((6, 8)).astype(np.float32) if system == 0 else None
            score = float(values.max())
            frames.append(FrameScore(t, t / FPS, score, corners, values, heat))
        calibration = Calibration.fit(np.random.default_rng(5).random(500))
        found[clip.name] = Scores(clip.name, frames, FPS, ("first", "second")[system])
        found[clip.name] = replace(found[clip.name], calibration=calibration)
    return found


@cache
def runs() -> tuple[Dataset, dict[str, dict[str, Scores]], dict[str, Run]]:
    dataset = evaluated_set()
    given = {name: evaluated_scores(dataset, i) for i, name in enumerate(("first", "second"))}
    taken = {name: take(dataset, by_clip, name=name) for name, by_clip in given.items()}
    return dataset, given, taken


def evaluation(folder: Path) -> Figures:
    """Figures of two systems, the same after keeping a run in files, and what sets them apart."""
    _, _, taken = runs()
    found: Figures = {}
    for name, run in taken.items():
        measured = measure(run, PROTOCOLS, bootstrap=40, seed=3)
        save_run(replace(run, protocols=tuple(PROTOCOLS)), folder / name, measured)
        kept = measure(load_run(folder / name), PROTOCOLS, bootstrap=0)
        for one, same in zip(measured.figures, kept.figures, strict=True):
            assert math.isclose(one.value, same.value, rel_tol=1e-6), one.protocol
        told = measured.to_json()
        told["figures"] = {figure.pop("protocol"): figure for figure in told["figures"]}
        found[name] = told
    apart = compare(list(taken.values()), ["micro/gaussian3", "ap/raw", "rbdc"], bootstrap=40)
    found["comparison"] = apart.to_json()
    return plain(found)


# -- report ----------------------------------------------------------------------------------------

KINDS = {
    **dict.fromkeys(("x", "y", "above", "time", "value", "raw", "share", "scores"), "f4"),
    **dict.fromkeys(("frame", "kept"), "i4"),
    "boxes": "i2",
    **dict.fromkeys(("counts", "levels"), "u1"),
}
"""What the numbers of a page that are packed as text are."""

LONG = ("boxes", "levels")
"""Of which a mean and a mean of neighbours' products stand for all of them."""


def report(folder: Path) -> Figures:
    """Numbers of a page and of the file beside it, without its films."""
    dataset, given, taken = runs()
    protocols = [Protocol.parse(name) for name in ("micro/gaussian3", "macro-skip/gaussian3")]
    smooth = {
        name: {video: s.smooth("gaussian3") for video, s in by_clip.items()}
        for name, by_clip in given.items()
    }
    results = {name: measure(run, protocols, bootstrap=40) for name, run in taken.items()}
    named = tuple(p.name for p in protocols)
    kept = {name: replace(run, protocols=named) for name, run in taken.items()}
    measured = Results(dataset, smooth, kept, results)
    beside = write_report(measured, folder / "report.html")
    page = (folder / "report.html").read_text(encoding="utf-8")
    words = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert words is not None
    return plain(
        {
            "page": unpacked(json.loads(words[1])),
            "beside": json.loads(beside.read_text(encoding="utf-8")),
        }
    )


def unpacked(value: Any, key: str = "") -> Any:
    """The page's data with plain numbers instead of packed ones, and no films."""
    if isinstance(value, dict):
        return {k: unpacked(v, k) for k, v in value.items() if k != "film"}
    if isinstance(value, list):
        return [unpacked(item) for item in value]
    if isinstance(value, str) and key in KINDS:
        numbers = np.frombuffer(base64.b64decode(value), f"<{KINDS[key]}")
        if key in LONG:
            exact = numbers.astype(np.float64)
            return [len(exact), exact.mean().item(), (exact[1:] * exact[:-1]).mean().item()]
        # The shortest words of a float32.
        return [float(str(x)) if numbers.dtype.kind == "f" else int(x) for x in numbers]
    return value


# -- all of it -------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """Only what JSON can hold."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def sections(folder: Path) -> dict[str, Callable[[], Figures]]:
    """What computes each part, which may leave files in the folder."""
    bench = Bench(folder)
    found: dict[str, Callable[[], Figures]] = {}
    for name in FITS:
        found[f"scores/{name}"] = lambda name=name: scores(bench, name)
        found[f"losses/{name}"] = lambda name=name: losses(bench, name)
    found["evaluation"] = lambda: evaluation(folder / "runs")
    found["report"] = lambda: report(folder)
    return found


def names() -> list[str]:
    """Of all parts."""
    return list(sections(Path()))


def compute() -> dict[str, Figures]:
    with tempfile.TemporaryDirectory() as folder:
        return {name: make() for name, make in sections(Path(folder)).items()}


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf by its path; an empty list or dict is one."""
    if isinstance(value, dict) and value:
        items = [(str(k), v) for k, v in value.items()]
    elif isinstance(value, list) and value:
        items = [(str(i), v) for i, v in enumerate(value)]
    else:
        return {path: value}
    found: dict[str, Any] = {}
    for key, inner in items:
        found |= flat(inner, f"{path}/{key}" if path else key)
    return found


def tolerance(path: str) -> tuple[float, float]:
    """Relative and absolute: processors add up in different orders."""
    return (1e-4, 1e-6) if path.startswith("losses/") else (1e-5, 1e-6)


def same(path: str, one: Any, other: Any, *, exact: bool) -> bool:
    """Whether a figure is what it was: floats nearly unless ``exact``, all else to the letter."""
    if type(one) is not type(other):
        return False
    if exact or not isinstance(one, float):
        return one == other
    relative, absolute = tolerance(path)
    return math.isclose(one, other, rel_tol=relative, abs_tol=absolute)


def differences(part: str, now: Figures, golden: Figures, *, exact: bool = False) -> list[str]:
    """One line for each figure of a part that is not what it was."""
    ours, theirs = flat(now, part), flat(golden, part)
    found = [f"{path}: new" for path in ours.keys() - theirs.keys()]
    found += [f"{path}: gone" for path in theirs.keys() - ours.keys()]
    for path in ours.keys() & theirs.keys():
        if not same(path, ours[path], theirs[path], exact=exact):
            found.append(f"{path}: {theirs[path]!r} became {ours[path]!r}")
    return sorted(found)


def read() -> dict[str, Figures]:
    return json.loads(GOLDEN.read_text(encoding="utf-8"))


def written(value: Any, indent: str = "") -> str:
    """JSON with a line for each entry of a dict, and lists of leaves on one line."""
    deeper = indent + " "
    if isinstance(value, dict) and value:
        lines = [f"{deeper}{json.dumps(k)}: {written(v, deeper)}" for k, v in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        lines = [deeper + written(item, deeper) for item in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)


def check() -> int:
    now, golden = compute(), read()
    ours, theirs = flat(now), flat(golden)
    shared = [path for path in theirs if path in ours]
    equal = sum(same(path, ours[path], theirs[path], exact=True) for path in shared)
    largest, where = 0.0, "nowhere"
    for path in shared:
        one, other = ours[path], theirs[path]
        if isinstance(one, float) and isinstance(other, float) and one != other:
            apart = abs(one - other) / max(abs(one), abs(other), 1e-6)
            if apart > largest:
                largest, where = apart, path
    wrong = [
        line
        for part in {**golden, **now}
        for line in differences(part, now.get(part, {}), golden.get(part, {}))
    ]
    print(f"{len(shared)} figures compared, {equal} equal to the bit")
    print(f"largest relative difference {largest:.3g} ({where})")
    print(f"{len(wrong)} beyond their tolerance, absent or new", *wrong[:20], sep="\n  ")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--check", action="store_true", help="compare with golden.json")
    chosen.add_argument("--write", action="store_true", help="write golden.json anew")
    if parser.parse_args().check:
        return check()
    GOLDEN.write_text(written(compute()) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

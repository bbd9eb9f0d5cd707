"""Folders of fitted models: settings, facts and tensors of every system, and what lies beside."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as parse
from safetensors.torch import save as packed

import vadistill
from fuzz.features import json_of
from fuzz.judging import Reader
from fuzz.mutations import array_of, bytes_of, nested, tree_of
from vadistill.backbones.teachers import ARCHITECTURES, ResNet, Teacher, open_teacher
from vadistill.datasets.snippets import FeatureSource
from vadistill.detector import Detector
from vadistill.distill import FrozenTeacher
from vadistill.evaluation.selftest.results import FILE, KindFigure, SelfTest, read_self_test
from vadistill.files import content_hash
from vadistill.levels import Calibration
from vadistill.objects.combined import Whole
from vadistill.objects.scene import LearnedScene, ObjectSizes
from vadistill.systems import aed, blend, cafe, dakd, fast_aed, motion, ssmtl
from vadistill.video import ArraySource

HEIGHT, WIDTH = 48, 64
CONFIG, WEIGHTS = "config.json", "weights.safetensors"


def film() -> np.ndarray:
    """A square that crosses an even floor."""
    video = np.full((5, HEIGHT, WIDTH, 3), 100, np.uint8)
    for t in range(5):
        video[t, 16:32, 8 + 4 * t : 22 + 4 * t] = 220
    return video


def _located(detector: Any) -> Any:
    """With an empty scene, sizes of objects and a calibration, as after training."""
    whole = detector.localiser
    assert isinstance(whole, Whole)
    whole._typical = np.array([12.0, 16.0, 0.75])
    inner: Any = whole.inner
    inner.scenes = [LearnedScene((WIDTH, HEIGHT), np.full((HEIGHT, WIDTH, 3), 100, np.uint8))]
    inner.sizes = ObjectSizes(np.array([[0.3, 0.2, 0.3], [0.9, 0.3, 0.4]], np.float32))
    return detector


def _motion() -> Detector:
    made = _located(motion.Motion(motion.Config()))
    made.reach, made.scales = 2, [motion.Scale(1.0, 2.0, 3.0)] * len(made.config.statistics)
    return made


def _cafe() -> Detector:
    from vadistill.systems.cafe.course import Seen, ways
    from vadistill.systems.cafe.detector import BY_PLACE, TERMS
    from vadistill.systems.cafe.standard import Standard
    from vadistill.systems.cafe.training import untrained

    made = _located(cafe.Cafe(cafe.Config(runtime="torch", batch_frames=2), device="cpu"))
    network, made.teacher_facts = open_teacher("compact")
    made.scorer = untrained(FrozenTeacher(network), made.config)
    made.least_error, made.scales = np.full(3, 0.1), [motion.Scale(1.0, 2.0, 3.0)] * 3
    boxes = np.array([[0, 0, 4, 8], [4, 2, 10, 9], [2, 4, 9, 20]], np.float32)
    made.standards = {
        name: Standard.fit(np.eye(3)[:, :values], boxes, by_place=name == BY_PLACE)
        for name, values in TERMS.items()
    }
    made.seen = Seen.of(ways(np.array([[3.0, 0], [0, 5], [-2, 1]])), np.random.default_rng(0))
    made.low = -0.5
    return made


def _aed() -> Detector:
    from vadistill.systems.aed.training import untrained

    made = _located(aed.Aed(aed.Config(runtime="torch", batch_frames=2), device="cpu"))
    made.networks, _ = untrained(made.config)
    made.span, made.low, made.half = 1.5, 0.1, 0.2
    return made


def _ssmtl() -> Detector:
    from vadistill.systems.ssmtl.model import TaskScorer
    from vadistill.systems.ssmtl.tasks import open_embedder
    from vadistill.systems.ssmtl.training import untrained

    config = ssmtl.Config(runtime="torch", batch_frames=2)
    made = _located(ssmtl.Ssmtl(config, device="cpu"))
    embedder, made.embedder_facts = open_embedder(config.image_network)
    made.scorer = TaskScorer(untrained(config, embedder.outputs), embedder, made.tasks)
    made.scorer.place(made.device)
    made.units, made.low, made.half = np.ones(len(made.tasks)), 0.1, 0.2
    return made


def _fast_aed() -> Detector:
    from vadistill.objects.maps import MapBoxes
    from vadistill.systems.fast_aed.model import Student

    config = fast_aed.Config(
        teachers=("motion",), runtime="torch", batch_frames=2, resolutions=(1,)
    )
    made: Any = fast_aed.FastAed(config, device="cpu")
    made.student = Student(made.architecture, (HEIGHT, WIDTH))
    made.boxes_at = MapBoxes(0.5)
    made.teacher_facts = [{"name": "motion", "system": "motion", "sha": "0" * 16}]
    return made


def _dakd() -> Detector:
    from vadistill.systems.dakd.model import student_network

    made: Any = dakd.Dakd(dakd.Config(runtime="torch", student="net"), device="cpu")
    made.widths, made.fingerprints = {"net": 4}, {}
    made.held_out = {"teacher": 0.75, "single": None}
    made.network = student_network(made.config, 4)
    return made


def _blend() -> Detector:
    made: Any = blend.Blend(blend.Config(of=("motion", "aed")), device="cpu")
    members = {"motion": _motion(), "aed": _aed()}
    for member in members.values():
        member.calibration = Calibration(np.linspace(0, 1, 11))
    made._take(members, np.random.default_rng(0).random((20, 2)), np.array([12, 8]))
    return made


SYSTEMS = {
    each.__name__[1:]: each for each in (_motion, _cafe, _aed, _ssmtl, _fast_aed, _dakd, _blend)
}


@cache
def saved() -> dict[str, bytes]:
    """SYSTEM-config.json and SYSTEM-weights.safetensors of every system, hardly trained."""
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in SYSTEMS.items():
            torch.manual_seed(0)
            detector: Any = make()
            detector.calibration = Calibration(np.linspace(0, 1, 11))
            detector.footage = {"sizes": [[WIDTH, HEIGHT]], "rates": [25.0], "videos": 1}
            detector.made = {"command": "fit", "date": "2026-01-01", "vadistill": "0"}
            if hasattr(detector, "program"):
                detector.open_runtime()
            path = Path(folder) / name
            detector.save(path)
            for file in (CONFIG, WEIGHTS):
                found[f"{name}-{file}"] = (path / file).read_bytes()
    return found


def place(folder: Path, name: str, data: bytes) -> Path:
    """A model with one changed file; weights get their hash into the config, as a save does.

    One in eight keeps the old one.
    """
    system, _, file = name.partition("-")
    model = folder / "model.vad"
    model.mkdir()
    for each in (CONFIG, WEIGHTS):
        (model / each).write_bytes(saved()[f"{system}-{each}"])
    (model / file).write_bytes(data)
    if file == WEIGHTS and len(data) % 8:
        facts = json.loads(saved()[f"{system}-{CONFIG}"])
        facts["weights"] = content_hash(model / WEIGHTS)
        (model / CONFIG).write_text(json.dumps(facts))
    return model / file


def model(path: Path) -> None:
    """Every frame gets a finite score; what was read is what is saved again."""
    detector = vadistill.load(path.parent, device="cpu")
    calibration = detector.require_fitted()
    assert np.isfinite(calibration.quantiles).all() and (np.diff(calibration.quantiles) >= 0).all()
    source: Any = ArraySource(film(), name="film")
    if detector.name == "dakd":
        rows = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
        source = FeatureSource("film", {"net": _Rows(rows)}, snippets=3)
    with np.errstate(all="ignore"):
        scores = detector.score(source)
    assert len(scores) == source.info.frames and np.isfinite(scores.raw).all()
    for frame in scores:
        assert np.isfinite(frame.boxes).all() and np.isfinite(frame.box_scores).all()
    calibrated = scores.calibrated
    assert ((calibrated >= 0) & (calibrated <= 1)).all()
    scores.events(false_alarms_per_day=1)
    again = path.parent.with_name("again.vad")
    detector.save(again)
    before, after = (json.loads((each / CONFIG).read_text()) for each in (path.parent, again))
    for name in ("weights", "latency", "footage", "made"):
        before.pop(name, None)
    assert covers(after, before), f"{before} is not what is saved again"


def covers(now: Any, before: Any) -> bool:
    """Whether all that a file said is said again; what it lacks has a default."""
    if isinstance(before, dict) and isinstance(now, dict):
        return all(key in now and covers(now[key], value) for key, value in before.items())
    return before == now


class _Rows:
    identity = "rows"

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def read(self) -> np.ndarray:
        return self.rows


def changed(random: Random, data: bytes, other: bytes) -> bytes:
    """Another config, other tensors in a sound file, or a damaged file."""
    if data[:1] == b"{":
        return json_of(random, data, other)
    kind = random.random()
    if kind < 0.25:
        return bytes_of(random, data, other)
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + size])
    if kind < 0.5:  # another header of the same numbers
        text = json.dumps(tree_of(random, head)).encode()
        text = nested(text.decode()).encode() if kind < 0.26 else text
        length = len(text) if kind < 0.48 else random.choice((0, 2**31, 2**63))
        return length.to_bytes(8, "little") + text + data[8 + size :]
    tensors = parse(data)
    name = random.choice(list(tensors))
    if random.random() < 0.5:  # few are not the networks'
        plain = [each for each in tensors if "/" not in each or each.startswith("localiser")]
        name = random.choice(plain)
    act = random.randrange(6)
    if act == 0:
        del tensors[name]
    elif act == 1:
        tensors[random.choice(("x", "int8", f"{name}x", "network/x"))] = tensors[name].clone()
    else:
        array = np.ascontiguousarray(array_of(random, tensors[name].numpy()))
        if array.dtype.kind in "fiub":
            tensors[name] = torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
    return packed(tensors, head.get("__metadata__"))


# -- what lies beside models -----------------------------------------------------------------------


def teacher_files() -> dict[str, bytes]:
    torch.manual_seed(0)
    network = ResNet(ARCHITECTURES["narrow9"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "teacher.safetensors"
        Teacher(network, "narrow9", "pictures", 0.5).save(path)
        return {path.name: path.read_bytes()}


def changed_teacher(random: Random, data: bytes, other: bytes) -> bytes:
    """Another card in a sound file, or what ``changed`` makes of it."""
    if random.random() < 0.5:
        return changed(random, data, other)
    size = int.from_bytes(data[:8], "little")
    card = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["vadistill"])
    text = json.dumps(tree_of(random, card)) if random.random() < 0.9 else random.choice(("", "["))
    return packed(parse(data), {"vadistill": text})


def teacher(path: Path) -> None:
    network, facts = open_teacher(str(path))
    with torch.no_grad():
        groups: Any = network(torch.rand(1, 3, 32, 32))
    assert all(bool(group.isfinite().all()) for group in groups), "outputs that are no numbers"
    assert set(facts) == {"name", "source", "sha"} and isinstance(facts["source"], str)


def self_test_files() -> dict[str, bytes]:
    kinds = (KindFigure("rush", 4, 3, 0.3, 0.9, 0.8, 0.7, 0.9),)
    made = SelfTest("motion", kinds, {"crowd": "no one"}, 1.0, 2, 100, 4.0, True, 0)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder)
        (model / CONFIG).write_bytes(saved()[f"motion-{CONFIG}"])
        made.save(model)
        return {FILE: (model / FILE).read_bytes()}


def place_beside(folder: Path, name: str, data: bytes) -> Path:
    (folder / CONFIG).write_bytes(saved()[f"motion-{CONFIG}"])
    (folder / name).write_bytes(data)
    return folder / name


def self_test(path: Path) -> None:
    found = read_self_test(path.parent)
    if found is None:  # of another model
        return
    assert found.summary and found.rows is not None and len(found.header) == 5
    before = json.loads(path.read_text())
    told = json.loads(json.dumps(found.to_json())) | {"auc": 0, "model": before["model"]}
    assert covers(told, before | {"auc": 0})


READERS = (
    Reader(
        "models",
        model,
        slots=13,
        mutate=changed,
        made=saved,
        place=place,
        # A score that is none is told of where it is made.
        named=lambda path: ("model.vad", "no finite number"),
    ),
    Reader(
        "self-tests", self_test, slots=1, mutate=json_of, made=self_test_files, place=place_beside
    ),
    Reader("teacher", teacher, slots=1, mutate=changed_teacher, made=teacher_files),
)

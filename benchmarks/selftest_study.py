"""Whether the self-test ranks models as labelled test videos do.

    python benchmarks/selftest_study.py --data UCSDped2 coffee_room [--walkways 10 11]
        [--detector yolox_nano.onnx] [--plants 8] [--trials] [--work FOLDER]
        [--out results.json] [--plot scatter.svg]

Fits some sixty models (``motion``, ``cafe`` and blends of both, with settings of all kinds, three
seeds, a training of one epoch) on what ``hold_out`` leaves of each data set's normal footage.
All of them score the self-test's footage and the labelled test videos in one pass.  Records both
AUCs of each model, what each part of ``cafe`` brings to both, and Spearman's correlation of the two
within each data set: of the mean over all kinds of plants, and of each kind alone.  What is
finished in ``--work`` is kept.  ``--trials`` tries instead what ``cafe`` did not have, beside the
records that ``--out`` has of it, and says what that brings.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scatter import scatter
from scipy.stats import rankdata
from together import Kept, Together, trial_in

from vadistill.datasets import Dataset, Splits, open_dataset
from vadistill.datasets.sampling import length, pieces
from vadistill.detector import Detector
from vadistill.evaluation.measuring import Figure, measure_scores
from vadistill.evaluation.runs import run_facts
from vadistill.evaluation.selftest import SelfTest
from vadistill.files import content_hash, replacing
from vadistill.levels import Calibration
from vadistill.progress import progress
from vadistill.reproduce.records import (
    Record,
    load_records,
    of_figure,
    of_measurement,
    write_records,
)
from vadistill.reproduce.tables import markdown_table
from vadistill.scores import FrameScore, Scores
from vadistill.simulated.walkway import WalkwayConfig, render_walkway
from vadistill.systems import cafe, load, motion
from vadistill.systems.blend import Blend, Config
from vadistill.systems.blend.merging import Merging

TRUTH = "micro/gaussian3"
PLANTED = "self-test"
NORMAL = 300
"""Training frames, about, of which ``motion`` and blends take their scales."""
RESAMPLES = 2000
CLIPS = 15
"""Normal videos of a walkway, of which three are held out: two are too little for a self-test."""

MOTION: dict[str, dict[str, Any]] = {
    "motion": {},
    **{f"motion, {name} alone": {"statistics": (name,)} for name in ("percentile", "mean")},
    "motion, travel alone": {"statistics": ("travel",)},
    "motion, median alone": {"statistics": ("percentile",), "percentile": 50.0},
    "motion, earlier form": {
        "flow": "dis", "statistics": ("percentile",), "unit": "pixels", "flow_side": None
    },
}  # fmt: skip

HARDLY = 1e-9
"""A weight that leaves a term out, and cuts and shares what the others need all the same."""

TERMS: dict[str, dict[str, Any]] = {
    "without course": {"course": False},
    "without speed and course": {"omega_speed": HARDLY},
    "without shape": {"omega_shape": 0.0},
    "plain errors": {"errors": "plain"},
    "imitation alone": {"omega_ca": 0.0, "omega_speed": HARDLY, "omega_shape": 0.0},
    "consistency alone": {"omega_kd": 0.0, "omega_speed": HARDLY, "omega_shape": 0.0},
    "learned terms alone": {"omega_speed": HARDLY, "omega_shape": 0.0},
    "attributes alone": {"omega_kd": 0.0, "omega_ca": 0.0},
}
"""Changes of Eq. 12, which take the same networks."""

TRAININGS: dict[str, dict[str, Any]] = {
    "cafe": {},
    "cafe, 1 epoch": {"epochs": 1},
    "cafe, seed 1": {"seed": 1},
    "cafe, seed 2": {"seed": 2},
}

SEEDED = ("cafe", "cafe, seed 1", "cafe, seed 2")
"""The same with another seed, in this order."""

PARTS = {
    "without course": "course",
    "without speed and course": "speed and course",
    "without shape": "shape",
    "plain errors": "logarithms of errors",
    "learned terms alone": "all attributes",
    "attributes alone": "learned terms",
}
"""What ``cafe`` has that some of ``TERMS`` leave out."""

STUDIED = {"square": False}
"""Where ``cafe``'s default was another when it was studied."""

TRIALS: dict[str, dict[str, Any]] = {"square patches": {"square": True}}
"""What ``cafe`` did not have then, each with three seeds."""

CAFE: dict[str, dict[str, Any]] = {
    **TRAININGS,
    **{
        f"{training}, {terms}": {**TRAININGS[training], **changes}
        for training in TRAININGS
        for terms, changes in TERMS.items()
    },
}

TRIED: dict[str, dict[str, Any]] = {
    f"{training}, {trial}": {**TRAININGS[training], **changes}
    for trial, changes in TRIALS.items()
    for training in SEEDED
}

BLENDED = ("cafe", "cafe, 1 epoch", "cafe, imitation alone", "cafe, learned terms alone")
"""Those that blends are made of."""

DETECTED = ("motion", "motion, mean alone", "cafe")
"""Those that are tried on a detector's boxes, too."""

PARTNERS = ("motion", "motion, mean alone")
"""Of those in blends."""


@dataclass(frozen=True)
class Place:
    """A data set of the study."""

    name: str
    seed: int
    splits: Splits
    folder: Path
    command: str


def configs(detector: str | None) -> dict[str, motion.Config | cafe.Config]:
    """What is fitted, by name; those that share a network come one after the other."""
    made: dict[str, motion.Config | cafe.Config] = {
        **{
            name: motion.Config(localiser="background", frames=NORMAL, **changes)
            for name, changes in MOTION.items()
        },
        **{
            name: replace(cafe.default(), **{"localiser": "background", **STUDIED, **changes})
            for name, changes in (CAFE | TRIED).items()
        },
    }
    if detector:
        made |= {f"{name} (detector)": replace(made[name], localiser=detector) for name in DETECTED}
    return made


def fitted(
    place: Place, train: Dataset, detector: str | None, only: Sequence[str] = ()
) -> dict[str, Detector]:
    """The models that are no blends; finished ones are loaded."""
    models: dict[str, Detector] = {}
    wanted = configs(detector)
    wanted = {name: wanted[name] for name in only or wanted if only or name not in TRIED}
    with progress("models", len(wanted)) as advance:
        for name, config in wanted.items():
            folder = place.folder / "models" / content_hash(repr(config))
            if (folder / "config.json").exists():
                models[name] = load(folder, device="cpu")
            else:
                kind = motion.Motion if isinstance(config, motion.Config) else cafe.Cafe
                models[name] = kind(config, device="cpu")  # pyright: ignore[reportArgumentType]
                models[name].fit(train, out=folder, work=place.folder / "work")
            advance(note=name)
    return models


def normal_pieces(train: Dataset) -> Iterator[Any]:
    """Some of the training footage, as a blend takes it for its scales."""
    lengths = [length(video) for video in train]
    for video, frames in zip(train, lengths, strict=True):
        yield from pieces(video.open(), frames, max(1, round(NORMAL * frames / sum(lengths))))


@dataclass(frozen=True)
class Scorer:
    """A model as a row of the study: how its scores follow from those of all models."""

    system: str
    model: Detector
    """Its smoothing counts."""
    columns: list[int]
    merging: Merging | None
    calibration: Calibration

    def raw(self, rows: np.ndarray) -> np.ndarray:
        """Its raw scores of a video's frames."""
        own = rows[:, self.columns]
        return own[:, 0] if self.merging is None else self.merging.scores(own)

    def scores(self, rows: np.ndarray, name: str, fps: float) -> Scores:
        """The same with their calibration."""
        frames = [FrameScore(i, i / fps, float(s)) for i, s in enumerate(self.raw(rows))]
        return Scores(name, frames, fps, self.system, calibration=self.calibration)


def scorers(models: Mapping[str, Detector], normal: np.ndarray) -> dict[str, Scorer]:
    """All models and the blends of each ``cafe`` with some of ``motion``, on the same boxes."""
    names = list(models)
    made = {
        name: Scorer(model.name, model, [names.index(name)], None, model.require_fitted())
        for name, model in models.items()
    }
    for learned in (name for name in names if name.removesuffix(" (detector)") in BLENDED):
        for partner in PARTNERS:
            other = partner + " (detector)" * learned.endswith("(detector)")
            columns = [names.index(other), names.index(learned)]
            for how in ("mean", "maximum"):
                own = normal[:, columns]
                merging = Merging.fit(own, (other, learned), combine=how, overlap=0.5)
                calibration = Calibration.fit(merging.scores(own))
                row = Scorer("blend", Blend(Config(combine=how)), columns, merging, calibration)
                made[f"{how} of {other} and {learned}"] = row
    return made


def study(
    place: Place, detector: str | None, plants: int, only: Sequence[str] = ()
) -> dict[str, dict[str, Any]]:
    """Figures of every model on a data set, by its name."""
    kept, held, trial = trial_in(place.name, place.splits.train, plants)
    together = Together(fitted(place, kept, detector, only))
    normal = Kept(together, place.folder / "normal")
    rows = scorers(together.models, np.concatenate(list(map(normal.score, normal_pieces(kept)))))
    tested = Kept(together, place.folder / "test")
    with progress("test videos", len(place.splits.test)) as advance:
        truth: dict[str, np.ndarray] = {}
        for video in place.splits.test:
            truth[video.name] = tested.score(video.open())
            advance(note=video.name)
    planted: Any = trial.scores(Kept(together, place.folder / f"planted{plants}"))  # pyright: ignore
    fps = {video.name: video.open().info.fps for video in held}
    found: dict[str, dict[str, Any]] = {}
    with progress("figures", len(rows)) as advance:
        for name, row in rows.items():
            own = {video: row.raw(scores) for video, scores in truth.items()}
            (figure,) = measure_scores(place.splits.test, own, [TRUTH]).figures
            test = trial.result(
                {at: row.scores(scores, at[1], fps[at[1]]) for at, scores in planted.items()},
                row.model,
            )
            found[name] = {"system": row.system, "truth": figure, "test": test}
            advance(note=name)
    return found


def correlations(found: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[float, ...]]:
    """Spearman's correlation with the truth and its 95 % interval over models, by kind of plant.

    A kind that has the same AUC with all models tells no order, and is left out.
    """
    truth = np.array([each["truth"].value for each in found.values()])
    tests: list[SelfTest] = [each["test"] for each in found.values()]
    planted = {"all kinds": np.array([test.auc or 0.0 for test in tests])}
    for number, kind in enumerate(tests[0].kinds):
        planted[kind.kind] = np.array([test.kinds[number].auc for test in tests])
    drawn = np.random.default_rng(0).integers(len(truth), size=(RESAMPLES, len(truth)))
    made = {}
    for kind, values in planted.items():
        if np.ptp(values) > 0:
            spread = [_ranked(values[rows], truth[rows]) for rows in drawn]
            ends = np.nanquantile(spread, (0.025, 0.975)).tolist()
            made[kind] = (_ranked(values, truth), *ends)
    return made


def _ranked(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1]) if np.ptp(a) and np.ptp(b) else np.nan


def records_of(place: Place, found: Mapping[str, Mapping[str, Any]]) -> list[Record]:
    """Both AUCs of every model, the correlations, and what choosing by the self-test costs."""
    common: dict[str, Any] = {"dataset": place.name, "seed": place.seed, "seconds": 0.0}
    common["facts"] = run_facts(device="cpu", command=place.command)
    records: list[Record] = []
    for name, each in found.items():
        test: SelfTest = each["test"]
        low, high = test.auc_interval or (None, None)
        figures = (each["truth"], Figure(PLANTED, "auc", test.auc or 0.0, low, high))
        records += [of_figure(f, system=each["system"], variant=name, **common) for f in figures]
    for kind, (value, low, high) in correlations(found).items():
        one = Figure(f"{len(found)} models", "spearman", value, low, high)
        records.append(of_figure(one, system=PLANTED, variant=kind, **common))
    true = {name: each["truth"].value for name, each in found.items()}
    best = max(found, key=lambda name: found[name]["test"].auc or 0.0)
    lost = of_measurement(
        "points_lost",
        100 * (max(true.values()) - true[best]),
        system=PLANTED,
        variant="all kinds",
        dataset=place.name,
        seeds=(place.seed,),
        facts=common["facts"],
        note=f"highest by the self-test: {best}; truly highest: {max(true, key=true.__getitem__)}",
    )
    return [*records, lost]


def brought(records: Sequence[Record]) -> list[Record]:
    """What ``cafe`` has more than the same without a part of it, of both AUCs, for each seed.

    And what a trial has more than ``cafe``.
    """
    made = []
    for record in records:
        training, _, terms = record.variant.rpartition(", ")
        if record.metric != "auc" or training not in SEEDED or terms not in {**PARTS, **TRIALS}:
            continue
        tried = terms in TRIALS
        note = (
            f"{record.variant}, less {training}" if tried else f"{training}, less the same {terms}"
        )
        (whole,) = (
            each.value
            for each in records
            if (each.variant, each.metric, each.protocol) == (training, "auc", record.protocol)
        )
        made.append(
            replace(
                record,
                variant=f"trial: {terms}" if tried else PARTS[terms],
                metric="brought",
                value=record.value - whole if tried else whole - record.value,
                low=None,
                high=None,
                seeds=(SEEDED.index(training),),
                note=note,
            )
        )
    return made


def places(arguments: argparse.Namespace) -> Iterator[Place]:
    """The data sets, and the walkways, which are rendered."""
    script = "python benchmarks/selftest_study.py"
    detector = f" --detector {arguments.detector.name}" if arguments.detector else ""
    detector += f" --plants {arguments.plants}"
    detector += f" --trials --out {arguments.out.name}" if arguments.trials else ""
    for path in arguments.data:
        splits = open_dataset(path)
        command = f"{script} --data {path.name}{detector}"
        yield Place(splits.test.name, 0, splits, arguments.work / splits.test.name, command)
    for seed in arguments.walkways:
        folder = arguments.work / f"walkway-{seed}"
        splits = render_walkway(folder / "videos", WalkwayConfig(seed=seed, train_clips=CLIPS))
        command = f"{script} --walkways {seed}{detector}"
        yield Place(f"walkway {seed}", seed, splits, folder, command)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--walkways", type=int, nargs="*", default=[], metavar="SEED")
    parser.add_argument("--detector", type=Path, help="an ONNX file, whose boxes are tried, too")
    parser.add_argument("--plants", type=int, default=8, help="of each kind, at most")
    parser.add_argument("--work", type=Path, default=Path("runs/selftest_study"))
    parser.add_argument("--smoke", action="store_true", help="two plants of a kind, motion alone")
    parser.add_argument("--trials", action="store_true", help="what cafe did not have, alone")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plot", type=Path, help="scatter plot of --out's records (SVG)")
    arguments = parser.parse_args(argv)
    if arguments.trials and not arguments.out:
        parser.error("--trials stand beside the records of --out: name them")
    only = tuple(TRIED) if arguments.trials else ()
    if arguments.smoke:
        arguments.plants, only = 2, tuple(MOTION)[:3]
    detector = arguments.detector
    spec = f"detector:{detector}?side=640&score=0.15+background" if detector else None
    records: list[Record] = []
    for place in places(arguments):
        own = records_of(place, study(place, spec, arguments.plants, only))
        if arguments.trials:
            own = [record for record in own if record.metric == "auc"]
            own += [r for r in load_records(arguments.out) if r.dataset == place.name]
        own += brought(own)
        records += own
        print(markdown_table([r for r in own if r.system == PLANTED], "wide"), flush=True)
        if arguments.out:
            records = write_records(arguments.out, records)
    if arguments.plot:
        with replacing(arguments.plot) as temporary:
            temporary.write_text(scatter(records, PLANTED, TRUTH), encoding="utf-8")


if __name__ == "__main__":
    main()

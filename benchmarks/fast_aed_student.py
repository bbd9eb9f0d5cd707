"""What other forms of ``fast_aed``'s student bring, of the self-test and in truth.

    python benchmarks/fast_aed_student.py --data UCSDped2 coffee_room [--seeds 0 1 2]
        [--forms "as it is" gliding] [--localiser background] [--plants 8] [--work FOLDER]
        [--smoke] [--out results.json]

Fits the default student, in each of ``FORMS``, to what ``hold_out`` leaves of each data set's
normal footage, and records the self-test's AUC in the rest and the AUC of the labelled test videos.
All forms have the same teachers.  What is finished is kept in ``--work``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from rows import Rows

from vadistill.datasets import Dataset, Splits, open_dataset
from vadistill.datasets.holdout import hold_out
from vadistill.evaluation.measuring import Figure, measure_scores
from vadistill.evaluation.runs import run_facts
from vadistill.evaluation.selftest import self_test
from vadistill.files import content_hash, read_json, write_json
from vadistill.reproduce.records import Record, of_figure
from vadistill.systems import cafe, fast_aed, load, motion
from vadistill.systems.fast_aed import batches, data, detector

PROTOCOLS = ("micro/gaussian3", "macro-pad/gaussian3")
PLANTED = "self-test"


@contextmanager
def hurried_less() -> Iterator[None]:
    """Hurried windows are 5/3 as fast, too, not only two and three times."""
    paces = (5 / 3, 2, 3)
    with (
        mock.patch.object(data, "HURRIES", paces),
        mock.patch.object(batches, "HURRIES", paces),
        mock.patch.object(detector, "HURRIES", paces),
    ):
        yield


@contextmanager
def unchanged() -> Iterator[None]:
    """The student's training as it is."""
    yield


FORMS: dict[str, tuple[dict[str, Any], Any]] = {
    "as it is": ({}, unchanged),
    "five frames": ({"input_frames": 5}, unchanged),
    "twice the footage": ({"frames": 1280, "epochs": 20, "autoencoder_epochs": 1}, unchanged),
    "gliding": ({"glided": 0.25}, unchanged),
    "hurried less": ({}, hurried_less),
}
"""Settings of the default student, and what else of its training is another."""


SHORT: dict[str, Any] = {"frames": 16, "epochs": 1, "autoencoder_epochs": 1, "object_height": 0}
"""Of a student that only has to run."""


def taught(kept: Dataset, options: Any, work: Path) -> tuple[str, ...]:
    """The folders of the default's teachers, fitted first."""
    short = {"epochs": 1} if options.smoke else {}
    localiser = options.localiser
    made = []
    for kind in (
        cafe.Cafe(replace(cafe.default(), localiser=localiser, **short), device="cpu"),
        motion.Motion(motion.Config(localiser=localiser), device="cpu"),
    ):
        folder = work / kind.name
        if not (folder / "config.json").exists():
            kind.fit(kept, out=folder)
        made.append(str(folder))
    return tuple(made)


def figures(
    form: str, seed: int, splits: Splits, parts: tuple[Dataset, Dataset], options: Any, work: Path
) -> tuple[list[Figure], float]:
    """A form's AUCs, and the seconds of its fit, without what was there before."""
    changes, training = FORMS[form]
    kept, held = parts
    teachers = taught(kept, options, work)
    short = SHORT if options.smoke else {}
    changes = {"teachers": teachers, "seed": seed, **changes, **short}
    config = replace(fast_aed.default(), **changes)
    folder = work / content_hash(form, repr(config))
    done = folder / "figures.json"
    if not done.exists():
        started = time.monotonic()
        if not (folder / "config.json").exists():
            with training():
                made = fast_aed.FastAed(config, device="cpu")
                made.fit(kept, out=folder, work=work / f"work-{content_hash(form)}")
        seconds = time.monotonic() - started
        model = load(folder, device="cpu")
        test = self_test(model, held, kept, plants=options.plants)
        low, high = test.auc_interval or (None, None)
        scores = {video.name: model.score(video.open()) for video in splits.test}
        measured = measure_scores(splits.test, scores, PROTOCOLS).figures
        found = [Figure(PLANTED, "auc", test.auc or 0.0, low, high), *measured]
        kinds = [Figure(f"{PLANTED}, {k.kind}", "auc", k.auc, None, None) for k in test.kinds]
        write_json(done, {"seconds": seconds, "figures": [vars(f) for f in (*found, *kinds)]})
    known = read_json(done)
    return [Figure(**each) for each in known["figures"]], known["seconds"]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), default=list(FORMS))
    parser.add_argument("--localiser", default="background")
    parser.add_argument("--plants", type=int, default=8)
    parser.add_argument("--smoke", action="store_true", help="one seed of few frames")
    parser.add_argument("--work", type=Path, default=Path("fast_aed_student"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.smoke:
        options.seeds, options.plants = [0], 1
    rows = Rows(options.out)
    for place in options.data:
        splits = open_dataset(place)
        parts = hold_out(splits.train)
        work = options.work / splits.train.name
        for seed in options.seeds:
            for form in options.forms:
                command = f"benchmarks/fast_aed_student.py --data {place.name} --seeds {seed}"
                facts = run_facts(device="cpu", command=command)
                found, seconds = figures(form, seed, splits, parts, options, work)
                rows.add(_record(f, form, splits, seed, seconds, facts) for f in found)


def _record(
    figure: Figure, form: str, splits: Splits, seed: int, seconds: float, facts: Any
) -> Record:
    return of_figure(
        figure,
        system="fast_aed",
        variant=form,
        dataset=splits.test.name,
        seed=seed,
        seconds=seconds,
        facts=facts,
    )


if __name__ == "__main__":
    main()

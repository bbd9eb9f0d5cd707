"""What other forms of ``fast_aed``'s student bring, of the self-test and in truth.

    python benchmarks/fast_aed_student.py --data UCSDped2 coffee_room [--seeds 0 1 2]
        [--forms "as it is" gliding] [--localiser background] [--plants 8] [--work FOLDER]
        [--smoke] [--out results.json]

Fits the default student, in each of ``FORMS``, to what ``hold_out`` leaves of each data set's
normal footage, and records the self-test's AUC in the rest and the AUC of the labelled test videos,
with RBDC and TBDC where places are labelled.
All forms have the same teachers.  What is finished is kept in ``--work``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch
from rows import Rows

from vadistill.datasets import Dataset, Splits, open_dataset
from vadistill.datasets.holdout import hold_out
from vadistill.evaluation.measuring import Figure, measure_scores
from vadistill.evaluation.runs import is_located, run_facts
from vadistill.evaluation.selftest import self_test
from vadistill.files import content_hash, read_json, write_json
from vadistill.reproduce.records import Record, of_figure
from vadistill.systems import cafe, fast_aed, load, motion
from vadistill.systems.fast_aed import batches, data, detector, pseudo

PROTOCOLS = ("micro/gaussian3", "macro-pad/gaussian3")
REGIONS = ("rbdc/raw", "tbdc/raw")
PLANTED = "self-test"


GLIDES = 0.25
"""Share of windows in which somebody glides."""

GLIDING = (0.008, 0.03)
"""Way between two frames of a window, in heights of the frame: that of who walks, or runs."""


def glide_objects(
    windows: np.ndarray,
    targets: Sequence[torch.Tensor],
    masks: torch.Tensor,
    share: float,
    rng: np.random.Generator,
) -> None:
    """``copy_objects``, and in some windows an object of another one that does not move its limbs.

    As who cycles, it is as large as people at its place, and not faster; its target is 1.
    """
    pseudo.copy_objects(windows, targets, masks, share, rng)
    donors, frames = windows.copy(), windows.shape[1] // 3
    scale = np.array(windows.shape[2:]) / masks.shape[1:]
    for row, window in enumerate(windows):
        if rng.random() >= GLIDES:
            continue
        other = (row + 1 + int(rng.integers(len(windows) - 1))) % len(windows)
        count, _, found, _ = cv2.connectedComponentsWithStats(masks[other].numpy().astype(np.uint8))
        if count < 2:
            continue
        left, top, wide, high, _ = found[1 + int(rng.integers(count - 1))].tolist()
        y1, x1 = np.floor(np.array([top, left]) * scale).astype(int).tolist()
        y2, x2 = np.ceil(np.array([top + high, left + wide]) * scale).astype(int).tolist()
        middle = 3 * (frames // 2)
        piece = donors[other, middle : middle + 3, y1:y2, x1:x2].transpose(1, 2, 0)
        soft = pseudo._ellipse((piece.shape[1], piece.shape[0]))
        way = windows.shape[2] * float(np.exp(rng.uniform(*np.log(GLIDING))))
        angle = rng.choice([0, np.pi]) + rng.normal(0, 0.4)
        step = way * np.array([np.cos(angle), np.sin(angle)])
        for place in range(frames):
            x, y = np.round(np.array([x1, y1]) + (place - frames // 2) * step).astype(int).tolist()
            pseudo._blend(window[3 * place : 3 * place + 3], piece, soft, x, y)
        for maps in targets:
            maps[row][top : top + high, left : left + wide] = 1.0


@contextmanager
def gliding() -> Iterator[None]:
    """Somebody glides in some training windows."""
    with mock.patch.object(batches, "copy_objects", glide_objects):
        yield


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
    "adversary": ({"alpha": 0.1}, unchanged),
    "quicker judges": ({"alpha": 0.1, "discriminator_rate": 1e-2}, unchanged),
    "five frames": ({"input_frames": 5}, unchanged),
    "twice the footage": ({"frames": 1280, "epochs": 20, "autoencoder_epochs": 1}, unchanged),
    "gliding": ({}, gliding),
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
        regions = REGIONS if all(map(is_located, splits.test)) else ()
        measured = measure_scores(splits.test, scores, PROTOCOLS + regions).figures
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

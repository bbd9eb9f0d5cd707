"""What other forms of Eq. 12 bring ``cafe``, of the self-test and in truth.

    python benchmarks/cafe_terms.py --data UCSDped2 coffee_room [--walkways 10 11]
        [--seeds 0 1 2] [--plants 8] [--work FOLDER] [--out results.json]

Fits the default (boxes of ``background``) with each seed on what ``hold_out`` leaves of each data
set's normal footage, and looks once at the self-test's footage and at the labelled test videos.
What is kept of each object, its errors, how it moves and its box, gives the scores of every form:

2 x, 4 x speed, 0.5 x shape   other weights
A_ca as A_kd, no A_ca         the same of the learned terms
maximum of terms              in place of their sum
errors given their place      standardised as shape is
median of n along tracks      of the n scores around that an object has along its way
tracks of n frames            shorter ones do not count

Records the AUC of each by both, and by how much it is above the default's with the same seed.
What is finished in ``--work`` is kept.  Nothing is chosen by it.
"""

from __future__ import annotations

import argparse
import copy
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rows import Rows
from scipy.ndimage import median_filter
from together import trial_in

from vadistill.datasets import Dataset, Splits, open_dataset
from vadistill.datasets.sampling import data_key
from vadistill.evaluation.measuring import measure_scores
from vadistill.evaluation.runs import RunFacts, run_facts
from vadistill.files import content_hash, replacing
from vadistill.objects.likeness import iou
from vadistill.objects.patches import frame_patches
from vadistill.reproduce.records import Record, of_figure, of_measurement, over_seeds
from vadistill.reproduce.tables import markdown_table
from vadistill.scores import FrameScore, Scores
from vadistill.simulated.walkway import WalkwayConfig, render_walkway
from vadistill.systems import cafe
from vadistill.systems.cafe.standard import Standard
from vadistill.video import VideoSource

TRUTH = "micro/gaussian3"
PLANTED = "self-test"
CLIPS = 15
"""Normal videos of a walkway, of which three are held out."""
LINKED = 0.3
"""IoU with its box of the frame before above which an object goes on."""

WEIGHTS: dict[str, dict[str, float]] = {
    "default": {},
    "2 x speed": {"omega_speed": 2.0},
    "4 x speed": {"omega_speed": 4.0},
    "0.5 x shape": {"omega_shape": 0.5},
    "A_ca as A_kd": {"omega_ca": 1.0},
    "no A_ca": {"omega_ca": 0.0},
}

TERMS = ("omega_kd", "omega_ca", "omega_speed", "omega_shape")
MEDIANS = (3, 5, 9, 17)
SHORTEST = (3, 5)

HARDLY = 1e-9
"""A weight that leaves a term out of a sum."""

Values = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Objects' scores from their parts and tracks; -inf where one does not count."""


class Telling(cafe.Cafe):
    """Keeps what it knew of its training objects."""

    training: np.ndarray

    def fit_parts(self, parts: np.ndarray, store: Any) -> None:
        self.training = parts
        super().fit_parts(parts, store)


@dataclass(frozen=True)
class Objects:
    """All objects of a video: parts of each by seed (seeds, n, k), and where its frames end."""

    parts: np.ndarray
    ends: np.ndarray

    @property
    def boxes(self) -> list[np.ndarray]:
        """Of each frame."""
        return np.split(self.parts[0][:, -4:], self.ends[:-1])


class Looking:
    """Models of several seeds that look at the next video, in an order that is always the same."""

    name = "cafe"

    def __init__(self, models: Sequence[Telling], folder: Path) -> None:
        self.models, self.folder, self.number = models, folder, 0
        folder.mkdir(parents=True, exist_ok=True)

    def score(self, source: VideoSource) -> Objects:
        path = self.folder / f"{self.number}.npz"
        self.number += 1
        if not path.exists():
            found = self._look(source)
            with replacing(path, suffix=".npz") as temporary:
                np.savez(temporary, parts=found.parts, ends=found.ends)
        with np.load(path) as kept:
            return Objects(kept["parts"], kept["ends"])

    def _look(self, source: VideoSource) -> Objects:
        first = self.models[0]
        frames = frame_patches(source, first.localiser, first.cut)
        parts: list[np.ndarray] = []
        counts: list[int] = []
        while some := list(islice(frames, first.config.batch_frames)):
            patches, flow, boxes, moves = (
                np.concatenate([getattr(frame, part) for frame in some])
                for part in ("patches", "flow", "boxes", "moves")
            )
            inputs = first.inputs(patches, flow)
            errors = [model.runtime(*inputs)[0] for model in self.models]
            parts.append(np.stack([first.with_attributes(e, boxes, moves) for e in errors]))
            counts += [len(frame.boxes) for frame in some]
        return Objects(np.concatenate(parts, axis=1), np.cumsum(counts))


def changed(model: Telling, **settings: Any) -> Telling:
    """The same with other settings of Eq. 12."""
    other = copy.copy(model)
    other.config = replace(model.config, **settings)
    return other


def by_place(model: Telling) -> Telling:
    """The same with errors given their place."""
    other = copy.copy(model)
    errors = model._terms(model.training)["errors"]  # pyright: ignore[reportPrivateUsage]
    standard = Standard.fit(errors, model.training[:, -4:], by_place=True)
    other.standards = {**model.standards, "errors": standard}
    return other


def highest_term(model: Telling) -> Callable[[np.ndarray], np.ndarray]:
    """The most unusual of its terms, in place of their sum."""
    alone = [changed(model, **{**dict.fromkeys(TERMS, 0.0), **kept(term)}) for term in TERMS]
    return lambda parts: np.max([each.object_values(parts) for each in alone], axis=0)


def kept(term: str) -> dict[str, float]:
    """The weight of one term; speed's and shape's terms are there only where they have one."""
    return {"omega_speed": HARDLY, "omega_shape": HARDLY, term: 1.0}


def tracks_of(boxes: Sequence[np.ndarray]) -> np.ndarray:
    """Which object each box is of, by the overlap of neighbouring frames, the largest first."""
    found: list[int] = []
    before, names, new = np.zeros((0, 4)), np.zeros(0, int), 0
    for own in boxes:
        mine = np.full(len(own), -1)
        overlap = iou(before, own) if len(before) and len(own) else np.zeros((0, 0))
        while overlap.size and overlap.max() > LINKED:
            one, other = np.unravel_index(overlap.argmax(), overlap.shape)
            mine[other] = names[one]
            overlap[one], overlap[:, other] = 0, 0
        unknown = mine < 0
        mine[unknown] = new + np.arange(unknown.sum())
        new += int(unknown.sum())
        before, names = own, mine
        found += mine.tolist()
    return np.array(found, int)


def along(values: np.ndarray, tracks: np.ndarray, width: int) -> np.ndarray:
    """The median of the scores around each that its object has."""
    found = values.copy()
    for track in np.unique(tracks):
        rows = np.flatnonzero(tracks == track)
        found[rows] = median_filter(values[rows], size=width, mode="nearest")
    return found


def forms(model: Telling) -> Iterator[tuple[str, Values]]:
    """What is tried, by name, the default first."""

    def plain(values: Callable[[np.ndarray], np.ndarray]) -> Values:
        return lambda parts, tracks: values(parts)

    for name, settings in WEIGHTS.items():
        yield name, plain(changed(model, **settings).object_values)
    yield "maximum of terms", plain(highest_term(model))
    yield "errors given their place", plain(by_place(model).object_values)
    for width in MEDIANS:
        yield (
            f"median of {width} along tracks",
            lambda parts, tracks, n=width: along(model.object_values(parts), tracks, n),
        )
    for least in SHORTEST:
        yield (
            f"tracks of {least} frames",
            lambda parts, tracks, n=least: np.where(
                np.bincount(tracks, minlength=1)[tracks] >= n, model.object_values(parts), -np.inf
            ),
        )


def frame_scores(
    values: Values, seen: Objects, tracks: np.ndarray, seed: int, low: float
) -> np.ndarray:
    """Of each frame the highest of its objects'; ``low`` where none counts."""
    split = np.split(values(seen.parts[seed], tracks), seen.ends[:-1])
    found = np.array([each.max(initial=-np.inf) for each in split])
    return np.where(np.isfinite(found), found, low)


def lowest(model: Telling, values: Values) -> float:
    """What a frame without objects has: the lowest of training objects, each a track by itself."""
    low = float(values(model.training, np.arange(len(model.training))).min())
    return low if np.isfinite(low) else model.low


def as_scores(values: np.ndarray, model: Telling, name: str, fps: float) -> Scores:
    frames = [FrameScore(i, i / fps, float(score)) for i, score in enumerate(values)]
    return Scores(name, frames, fps, model.name, calibration=model.require_fitted())


def study(
    name: str,
    splits: Splits,
    work: Path,
    seeds: Sequence[int],
    plants: int,
    base: cafe.Config,
    facts: RunFacts,
) -> Iterator[Record]:
    """The rows of a data set."""
    start = time.monotonic()
    normal, held, trial = trial_in(name, splits.train, plants)
    models = [fitted(replace(base, seed=seed), normal, work) for seed in seeds]
    weights = [work / f"model{seed}.vad" / "weights.safetensors" for seed in seeds]
    key = content_hash(*weights, data_key(splits.train), data_key(splits.test), str(plants))
    look = Looking(models, work / f"test-{key}")
    truth = {video.name: look.score(video.open()) for video in splits.test}
    planted: Any = trial.scores(Looking(models, work / f"planted-{key}"))  # pyright: ignore
    tracks = {id(each): tracks_of(each.boxes) for each in (*truth.values(), *planted.values())}
    fps = {video.name: video.open().info.fps for video in held}
    common: dict[str, Any] = {"system": "cafe", "dataset": name, "facts": facts}
    common["seconds"] = round((time.monotonic() - start) / len(seeds), 1)
    for row, (seed, model) in enumerate(zip(seeds, models, strict=True)):
        usual: dict[str, float] = {}
        for form, values in forms(model):
            low = lowest(model, values)
            scores = {
                video: frame_scores(values, seen, tracks[id(seen)], row, low)
                for video, seen in truth.items()
            }
            said = {
                at: as_scores(
                    frame_scores(values, seen, tracks[id(seen)], row, low), model, at[1], fps[at[1]]
                )
                for at, seen in planted.items()
            }
            (figure,) = measure_scores(splits.test, scores, [TRUTH]).figures
            told = trial.result(said, model).auc
            found = {TRUTH: figure.value} | ({} if told is None else {PLANTED: told})
            usual = usual or found
            yield of_figure(figure, seed=seed, variant=form, **common)
            alone = {**common, "seeds": (seed,), "variant": form}
            if told is not None:
                yield replace(of_measurement("auc", told, **alone), protocol=PLANTED)
            for protocol, value in found.items() if form != "default" else ():
                made = of_measurement("brought", value - usual[protocol], **alone)
                yield replace(made, protocol=protocol)


def fitted(config: cafe.Config, normal: Dataset, work: Path) -> Telling:
    """What lies in ``work`` is not done again."""
    model = Telling(config, device="cpu")
    return model.fit(normal, out=work / f"model{config.seed}.vad", work=work / "fit", part=True)


def places(arguments: argparse.Namespace) -> Iterator[tuple[str, Splits]]:
    """The data sets, and the walkways, which are rendered."""
    for path in arguments.data:
        splits = open_dataset(path)
        yield splits.test.name, splits
    for seed in arguments.walkways:
        folder = arguments.work / f"walkway {seed}" / "videos"
        yield f"walkway {seed}", render_walkway(folder, WalkwayConfig(seed=seed, train_clips=CLIPS))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--walkways", type=int, nargs="*", default=[], metavar="SEED")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--plants", type=int, default=8, help="of each kind, at most")
    parser.add_argument("--work", type=Path, default=Path("runs/cafe_terms"))
    parser.add_argument("--smoke", action="store_true", help="one seed, one epoch, two plants")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    base = replace(cafe.default(), localiser="background")
    if asked.smoke:
        asked.seeds, asked.plants = [0], 2
        base = replace(base, frames=64, epochs=1, consistency_after=1)
    words = [w for w in sys.argv[1:] if w != "--smoke"]
    facts = run_facts(
        device="cpu", command=shlex.join(["python", "benchmarks/cafe_terms.py", *words])
    )
    rows = Rows(asked.out)
    for name, splits in places(asked):
        work = asked.work / name
        rows.add(study(name, splits, work, asked.seeds, asked.plants, base, facts))
    print(markdown_table(over_seeds(rows), "wide"))


if __name__ == "__main__":
    main()

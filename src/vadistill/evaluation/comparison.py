"""Two or more runs side by side, with the paired bootstrap of their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from vadistill.errors import ConfigError, DataError
from vadistill.evaluation import bootstrap as resampling
from vadistill.evaluation.measuring import Evaluation, measure, percent, resamples, value
from vadistill.evaluation.protocol import Protocol, differences, parsed
from vadistill.evaluation.runs import Run


@dataclass(frozen=True)
class Difference:
    """How much a run's figure lies above the first run's, on the same resamples of the videos."""

    run: str
    against: str
    protocol: str
    value: float
    """Figure of ``run`` less that of ``against``, in [-1, 1]."""
    low: float | None
    high: float | None
    """95 % interval of the difference; None with a single video."""
    above: float | None
    """Share of the resamples in which ``run`` has the higher figure; ties count one half."""

    @property
    def words(self) -> tuple[str, str, str]:
        """Difference and interval in points of per cent, share in per cent; dashes for None."""
        spread = "–"
        if self.low is not None and self.high is not None:
            spread = f"{100 * self.low:+.1f} … {100 * self.high:+.1f}"
        higher = "–" if self.above is None else f"{percent(self.above)} %"
        return f"{100 * self.value:+.1f}", spread, higher


@dataclass(frozen=True)
class Comparison:
    """Figures of several runs by the same protocols, and their differences from the first."""

    evaluations: Mapping[str, Evaluation]
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON with every field."""
        return {
            "evaluations": {name: e.to_json() for name, e in self.evaluations.items()},
            "differences": [asdict(d) for d in self.differences],
        }


def compare(
    runs: Sequence[Run],
    protocols: Protocol | str | Sequence[Protocol | str] = (),
    *,
    bootstrap: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Measure all runs by ``protocols``, or by those that the runs themselves report.

    Raises ConfigError when the runs report different protocols and none is given, or when there
    are fewer than two; DataError when they were not measured on the same frames and labels.
    """
    if len(runs) < 2:
        raise ConfigError(f"{len(runs)} run", expected="two or more", fix="name another run")
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"two runs named {twice}", expected="different names", fix="rename one")
    for run in runs[1:]:
        same_frames(runs[0], run)
    named = parsed(protocols) if protocols else shared_protocols(runs)
    return Comparison(
        {run.name: measure(run, named, bootstrap=bootstrap, seed=seed) for run in runs},
        paired_differences(runs, named, bootstrap=bootstrap, seed=seed),
    )


def paired_differences(
    runs: Sequence[Run], protocols: Sequence[Protocol], *, bootstrap: int = 1000, seed: int = 0
) -> tuple[Difference, ...]:
    """Of every later run from the first, on the same resamples; the runs are of the same frames."""
    first, *others = runs
    videos = len(first.frames)
    drawn = resampling.draws(videos, bootstrap, seed) if bootstrap and videos > 1 else None
    found = []
    for protocol in protocols:
        own = value(first, protocol)
        base = None if drawn is None else resamples(first, protocol, drawn)
        for run in others:
            low, high, above = None, None, None
            if drawn is not None and base is not None:
                gaps = resamples(run, protocol, drawn) - base
                low, high, _ = resampling.interval(gaps)
                above = _share_above(gaps)
            gap = value(run, protocol) - own
            found.append(Difference(run.name, first.name, protocol.name, gap, low, high, above))
    return tuple(found)


@dataclass(frozen=True)
class VideoShare:
    """How a video's frames stand among those of the whole test set, by run; in [0, 1] or None.

    Weighted by their numbers of frames, the videos' ``abnormal`` average to the micro AUC, and so
    do their ``normal``: they say which videos cost a figure, and by which of their frames.
    """

    video: str
    abnormal: dict[str, float | None]
    """The chance that an abnormal frame of it scores above a normal frame of any video."""
    normal: dict[str, float | None]
    """The chance that a normal frame of it scores below an abnormal frame of any video."""


def video_shares(runs: Sequence[Run], protocol: Protocol | str) -> list[VideoShare]:
    """The micro AUC's parts by video and run, smoothed as ``protocol`` says.

    The runs are of the same frames.  Raises ConfigError for a protocol of another measure.
    """
    named = Protocol.parse(protocol)
    if named.measure != "micro":
        raise ConfigError(
            f"protocol {named.name} by video",
            expected="a micro AUC, which is an average over videos",
            fix="name one, such as micro/gaussian3",
        )
    found = [VideoShare(name, {}, {}) for name in runs[0].frames.names]
    for run in runs:
        data = run.frames.map(named.apply)
        abnormal, scores = data.all_labels.astype(bool), data.all_scores
        normal, high = scores[~abnormal], scores[abnormal]
        for share, (labels, own) in zip(found, data, strict=True):
            up, down = own[labels == 1], own[labels == 0]
            share.abnormal[run.name] = _chance_above(up, normal)
            share.normal[run.name] = _chance_above(-down, -high)
    return found


def _chance_above(values: Float[np.ndarray, " n"], others: Float[np.ndarray, " m"]) -> float | None:
    """That one of ``values`` is above one of ``others``; half of the ties count."""
    if not len(values):
        return None
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return float(below.mean() / (2 * len(ordered)))


def shared_protocols(runs: Sequence[Run]) -> list[Protocol]:
    """The protocols that every run reports; raises ConfigError unless all report the same ones."""
    first, lists = runs[0], [[Protocol.parse(p) for p in run.protocols] for run in runs]
    for run, reported in zip(runs[1:], lists[1:], strict=True):
        if set(reported) == set(lists[0]):
            continue
        here = next((p for p in lists[0] if p not in reported), None)
        there = next((p for p in reported if p not in lists[0]), None)
        if here is not None and there is not None:
            why = f": they differ in {' and '.join(differences(here, there))}"
        else:
            why = ""
        words = " and ".join(
            f"{owner.name} reports {owner.dataset}/{protocol.name}"
            for owner, protocol in ((first, here), (run, there))
            if protocol is not None
        )
        raise ConfigError(
            f"{words or 'no protocol'}{' alone' * (here is None or there is None)}{why}",
            expected="runs with the same protocols, since figures of different ones say nothing "
            "about which system is better",
            fix=f"pass --protocol {(here or there or lists[0][0]).name} to measure all of them so",
        )
    return lists[0]


def same_frames(one: Run, other: Run) -> None:
    """Raise DataError, saying where they part, unless both runs have the same labelled frames."""
    if one.dataset != other.dataset:
        what = f"{one.name} is of {one.dataset} and {other.name} of {other.dataset}"
    elif one.frames.names != other.frames.names:
        odd = sorted(set(one.frames.names) ^ set(other.frames.names))
        what = f"{one.name} and {other.name} hold different videos" + f", such as {odd[0]}" * bool(
            odd
        )
    else:
        pairs = zip(one.frames.names, one.frames.labels, other.frames.labels, strict=True)
        wrong = [name for name, here, there in pairs if not np.array_equal(here, there)]
        if not wrong:
            return
        what = f"{one.name} and {other.name} have different labels of video {wrong[0]}"
    raise DataError(
        what, expected="runs on the same test set", fix="evaluate both models on the same data"
    )


def _share_above(gaps: Float[np.ndarray, " r"]) -> float | None:
    valid = gaps[np.isfinite(gaps)]
    return float(((valid > 0) + 0.5 * (valid == 0)).mean()) if len(valid) else None


def unique_names(runs: Sequence[Run], paths: Sequence[Path]) -> list[Run]:
    """The runs, named by their folder's path where several carry one name."""
    names = [run.name for run in runs]
    return [
        run if names.count(run.name) == 1 else replace(run, name=str(path))
        for run, path in zip(runs, paths, strict=True)
    ]

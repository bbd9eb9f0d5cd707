"""What the student sees and whether to distil, seen on training videos left out (K-fold).

Backbones differ far more than what is made of them, so unless one is named, that whose networks are
the best by themselves is the student's.

Where teachers that see more are no better than as many that see what the student sees, the student
moves towards something worse; so both are compared first, and the former have to be better by more
than what another draw of as many videos would change.  The networks of the folds also say how the
one that scores will behave on normal videos that it has never seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from vadistill.batches import seeded_generator
from vadistill.loss_log import inside
from vadistill.systems.dakd.data import Bags
from vadistill.systems.dakd.losses import top_mean
from vadistill.systems.dakd.model import Baseline, Network
from vadistill.systems.dakd.recipes import AUTO, Config
from vadistill.systems.dakd.training import fit_student, fit_teacher, fit_teachers

Net = Network | Baseline

ENOUGH = 8
"""Training videos of each class: of fewer, folds tell nothing, and what is distilled harms as often
as it helps (docs/dakd.md)."""


@dataclass(frozen=True)
class HeldOut:
    """What networks of K - 1 parts of the training videos say of the part left out."""

    networks: list[tuple[Net, Int[np.ndarray, " v"]]]
    """The kind that will score, each with the videos that it has not learnt from."""
    teacher: float | None
    """ROC AUC over left-out videos, in [0, 1], by the highest segments of the teachers' mean."""
    single: float | None
    """The same of as many networks with the student's backbone alone."""
    error: float | None
    """Standard error of the difference of the two."""
    too_few: str = ""
    """Where there are not ``ENOUGH`` videos of a class, how many there are."""
    student: str = ""
    """The student's backbone."""
    others: bool = True
    """Whether the teachers see more than that."""
    committee: int = 2
    """How many teachers there are."""
    alone: Mapping[str, float] = field(default_factory=dict)
    """Where it was chosen, what ``single`` would be of each backbone."""

    @property
    def distils(self) -> bool:
        """Whether a student has something to learn from what sees more than itself."""
        if self.too_few:
            return False
        if self.teacher is None or self.single is None or self.error is None:
            return True
        return self.teacher - self.single > self.error

    @property
    def findings(self) -> tuple[str, ...]:
        """The comparisons in words, or why there was none."""
        each = ", ".join(f"{auc:.2f} of {name}" for name, auc in self.alone.items())
        chosen = (
            f"on training videos left out: AUC {each} alone, so the student sees {self.student}"
        )
        return (*([chosen] if each else []), *self._of_teachers)

    @property
    def _of_teachers(self) -> tuple[str, ...]:
        if self.too_few:
            return (f"{self.too_few} tell nothing of teachers, so nothing was distilled",)
        if self.teacher is None or self.single is None:
            return ()
        said = f"on training videos left out: AUC {self.single:.2f} of the student's backbone alone"
        if self.others:
            said += f", {self.teacher:.2f} of all (± {self.error:.2f})"
            said += "" if self.distils else ", no sure gain"
        taught = "all" if self.distils else "not all" if self.others else "networks like it"
        alone = not self.distils and self.committee == 1
        return (f"{said}, so {'nothing was distilled' if alone else f'{taught} taught it'}",)

    def fit(self, bags: Bags, config: Config, device: torch.device, work: Path, key: str) -> Net:
        """The network that scores, learnt from some training videos.

        Where the teachers are not surely better, others with the student's backbone alone teach it,
        if there are several: the mean of their scores is better than each of them.  Of too few
        videos it learns by itself.
        """
        if config.scorer == "teacher":
            return fit_teacher(bags, config, device, work, key)
        config = replace(config, student=self.student)
        config = config if self.distils else of_its_own(config)
        if self.too_few:
            return fit_teacher(bags, config, device, work, key)
        teachers = fit_teachers(bags, config, device, work, key)
        if not self.distils and len(teachers) == 1:
            return teachers[0]
        return fit_student(teachers, bags, config, device, work, key)

    def facts(self) -> dict[str, float | None]:
        """What a model tells of the comparison."""
        return {"teacher": self.teacher, "single": self.single, "standard_error": self.error}


def of_its_own(config: Config) -> Config:
    """The same with teachers that see what the student sees."""
    return replace(config, teacher=(config.student,))


def unlike(names: Sequence[str]) -> list[str]:
    """Backbones without their files, numbered where that leaves them alike.

    >>> unlike(["flow", "clip:a.pt", "clip:b.pt"])
    ['flow', 'clip', 'clip 2']
    """
    kinds = [name.partition(":")[0] for name in names]
    seen = [kinds[: place + 1].count(kind) for place, kind in enumerate(kinds)]
    return [f"{kind} {n}" if n > 1 else kind for kind, n in zip(kinds, seen, strict=True)]


def folds_of(labels: Bool[np.ndarray, " v"], folds: int, seed: int) -> Int[np.ndarray, " v"]:
    """The fold of each video, both classes spread evenly; a function of ``seed``.

    There are no more folds than videos of the rarer class, and none (all 0) where it has one.
    """
    count = min(folds, int(labels.sum()), int((~labels).sum()))
    found = np.zeros(len(labels), int)
    if count < 2:
        return found
    for number, members in enumerate((np.flatnonzero(labels), np.flatnonzero(~labels))):
        order = torch.randperm(len(members), generator=seeded_generator(seed, 2, number)).numpy()
        found[members[order]] = np.arange(len(members)) % count
    return found


def too_few(labels: Bool[np.ndarray, " v"]) -> str:
    """How many videos there are of a class of which there are not ``ENOUGH``; else empty."""
    for name, count in (("abnormal", int(labels.sum())), ("normal", int((~labels).sum()))):
        if count < ENOUGH:
            return f"{count} {name} training videos (at least {ENOUGH} would)"
    return ""


def hold_out(bags: Bags, config: Config, device: torch.device, work: Path, key: str) -> HeldOut:
    """Choose the student's backbone, compare teachers, and fit what scores without each fold."""
    of_students = config.scorer == "student"
    chooses = of_students and config.student == AUTO
    compares = of_students and config.folds > 0
    few = too_few(bags.labels) if compares else ""
    fold = folds_of(bags.labels, config.folds, config.seed)
    count = int(fold.max()) + 1
    if count < 2:
        student = config.teacher[0] if chooses else config.student
        return HeldOut([], None, None, None, few, student)
    # Folds are the seed's, and members of a committee have others.
    parts = [
        (bags.part(fold != n), np.flatnonzero(fold == n), f"{key}-{config.seed}-{n}of{count}")
        for n in range(count)
    ]
    lefts = [left for _, left, _ in parts]

    def wins(names: tuple[str, ...]) -> Float64[np.ndarray, "a n"]:
        """Of committees that see these backbones, on the videos left out."""
        each = replace(config, teacher=names)
        fitted: list[list[Net]] = []
        places = [config.backbones.index(name) for name in names]
        kinds = "+".join(unlike(config.backbones)[place] for place in places)
        for n, (part, _, own) in enumerate(parts, 1):
            with inside(f"fold {n}", kinds):
                fitted.append(fit_teachers(part, each, device, work, own))
        return video_wins(video_scores(fitted, lefts, names, bags, device), bags.labels)

    several = config.teacher if chooses and len(config.teacher) > 1 else ()
    alone = {name: wins((name,)) for name in several}
    if chooses:
        best = max(config.teacher, key=lambda name: alone[name].mean() if alone else 0)
        config = replace(config, student=best)
    found = HeldOut(
        [],
        *(None, None, None),
        few,
        config.student,
        others={*config.teacher} != {config.student},
        committee=config.committee,
        alone={name: float(each.mean()) for name, each in alone.items()},
    )
    if compares and not few:
        single = alone[config.student] if alone else wins((config.student,))
        taught = wins(config.teacher) if found.others else single
        error = standard_error(taught - single)
        found = replace(
            found, teacher=float(taught.mean()), single=float(single.mean()), error=error
        )
    scorers: list[Net] = []
    for n, (part, _, name) in enumerate(parts, 1):
        with inside(f"fold {n}"):
            scorers.append(found.fit(part, config, device, work, name))
    return replace(found, networks=list(zip(scorers, lefts, strict=True)))


@torch.no_grad()
def video_scores(
    committees: Sequence[Sequence[Net]],
    lefts: Sequence[Int[np.ndarray, " _"]],
    names: tuple[str, ...],
    bags: Bags,
    device: torch.device,
) -> Float64[np.ndarray, " v"]:
    """The score of every left-out video, of the networks that have not seen it: the mean of the
    highest segments of their mean scores, as logits."""
    scores = np.zeros((len(bags), bags.views))
    for networks, left in zip(committees, lefts, strict=True):
        for rows in np.array_split(left, -(-len(left) // 64)):
            for view in range(bags.views):
                samples = bags.batch(names, rows * bags.views + view, device)
                each = torch.stack([network(samples).logits.double() for network in networks])
                scores[rows, view] = top_mean(logit_of_mean(each)).cpu().numpy()
    return scores.mean(1)


def logit_of_mean(logits: Float[Tensor, "c *n"]) -> Float[Tensor, "*n"]:
    """The logit of the mean of some scores that are given as logits, also of those near 0 and 1."""
    return logsigmoid(logits).logsumexp(0) - logsigmoid(-logits).logsumexp(0)


def video_wins(
    scores: Float64[np.ndarray, " v"], labels: Bool[np.ndarray, " v"]
) -> Float64[np.ndarray, "a n"]:
    """Of each pair of an abnormal and a normal video, 1 where the former scores higher, 0.5 where
    alike; their mean is the ROC AUC."""
    abnormal, normal = scores[labels][:, None], scores[~labels]
    return (abnormal > normal) + 0.5 * (abnormal == normal)


def standard_error(difference: Float64[np.ndarray, "a n"]) -> float:
    """Of the mean of two networks' differing ``video_wins`` of the same videos.

    DeLong et al., 1988: videos of both classes are draws, and a video is in many pairs.  At least
    two videos of each class.
    """
    variances = [
        difference.mean(1 - axis).var(ddof=1) / count for axis, count in enumerate(difference.shape)
    ]
    return float(np.sqrt(sum(variances)))

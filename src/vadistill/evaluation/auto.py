"""``auto``: several detectors are fitted, the same self-test tries each, and the best is kept.

The same anomalies are planted into the same held-out footage for all, so what one finds more than
another is told by pairs.  ``cafe`` is kept unless another is told from it.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vadistill.calibrating import widened
from vadistill.datasets import split_of
from vadistill.datasets.footage import footage_hash
from vadistill.datasets.holdout import hold_out
from vadistill.detector import WORK, in_the_way, is_ended
from vadistill.errors import ConfigError, DataError, WeightsError
from vadistill.evaluation.choice import FILE, USUAL, Choice, choose, rated, read_choice
from vadistill.evaluation.selftest import Trial
from vadistill.evaluation.selftest.kinds import CONTROL
from vadistill.evaluation.selftest.results import mark_of
from vadistill.evaluation.selftest.run import PLANTS
from vadistill.files import files_named, write_json
from vadistill.loss_log import LOG
from vadistill.progress import TimeIsUp, time_limit
from vadistill.saved import read_config
from vadistill.soundness import refusing
from vadistill.systems import fitted_or_new, load
from vadistill.systems.blend import Blend, Combine, Config

if TYPE_CHECKING:
    from vadistill.datasets import Dataset, Videos
    from vadistill.detector import Detector
    from vadistill.devices import Device
    from vadistill.evaluation.selftest.run import Place
    from vadistill.scores import Scores

log = logging.getLogger(__name__)

SINGLE = ("motion", "cafe")
"""What is fitted, and what the blends are of."""

STUDENT = "fast_aed"
"""Fitted where there is time for it."""

HOW: tuple[Combine, ...] = ("mean", "maximum")
"""How blends combine: each way is a candidate."""


def fit_auto(
    train: Videos,
    *,
    out: str | Path,
    minutes: float | None = None,
    localiser: str = Config.localiser,
    plants: int = PLANTS,
    device: Device = "auto",
    overwrite: bool = False,
    command: str = "vadistill.fit_auto",
) -> Choice:
    """Fit ``motion``, ``cafe`` and their blend, and keep in ``out`` what the self-test prefers.

    The blend is tried by its mean and by its maximum.  What all candidates found is kept beside
    the model (``auto.json``).  A run that was killed goes on where it was; what has ended is read.

    Args:
        train: a data set or its path, of which the training split counts, or videos.
        minutes: of fitting ``fast_aed``, too; what is not done by then is no candidate.
        localiser: where all of them find objects.
        plants: of each kind, at most.
        overwrite: fit anew, in place of a finished model.
        command: what is fitting, which the model remembers.

    Raises what ``Detector.fit`` and ``self_test`` raise, ConfigError for boxes of a file, which
    know nothing of plants.
    """
    if "boxes:" in localiser:
        raise ConfigError(
            f"auto with the localiser {localiser}",
            expected="one that finds what is planted, too",
            fix="choose another, or a system by name",
        )
    out, whole = Path(out), split_of(train, "train")
    kept, held = hold_out(whole)
    asked = {"localiser": localiser, "minutes": minutes, "plants": plants}
    settings = {**asked, "read": files_named(asked), "held_out": footage_hash(held)}
    if not overwrite and (before := kept_before(out, kept, settings)):
        model = load(out, device=device)
        return Choice(model, before["kept"], before["reason"], before=True)
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    models: dict[str, Detector] = {}
    logs: dict[str, Path] = {}

    def fit(name: str, what: str) -> Detector:
        found, folder = fitted_or_new(
            name, kept, work, what=what, localiser=localiser, device=device
        )
        if found.calibration is None:
            found.fit(kept, out=folder, work=work, command=command)
        models[name], logs[name] = found, folder / LOG
        return found

    late, trial = "", trial_of(kept, held, plants)
    untested = isinstance(trial, str)
    if untested:
        log.warning("%s: %s alone is fitted, and kept", trial, USUAL)
    for name in (USUAL,) if untested else SINGLE:
        fit(name, "member")  # which the blend then finds in ``work``
    if minutes is not None and not untested:
        try:
            with time_limit(60 * minutes):
                fit(STUDENT, "candidate")
        except TimeIsUp:
            late = f"{STUDENT} was not fitted within {minutes:g} minutes"
    blends: dict[str, Blend] = {}
    if not untested:
        blend = fit("blend", "candidate")
        assert isinstance(blend, Blend)
        del models["blend"]
        for how in HOW:
            blends[f"blend ({how})"] = each = blend.combined(how)
            known = widened(each.require_fitted(), each.stream, kept, (None, each.lookahead))
            each.calibration = known.of(each.footage)
    choice = chosen(models, blends, trial)
    choice = replace(choice, left_out=late)
    model = choice.model
    model.made = {**(model.made or {}), "command": command}
    model.save(out)
    _keep_log(logs[model.name], out / LOG)
    if choice.test is not None:
        choice.test.save(out)
    seconds = time.monotonic() - started
    facts = {"model": mark_of(out), "seconds": round(seconds, 1), "settings": settings}
    write_json(out / FILE, {**facts, **choice.to_json()})
    if not late:  # else the same command with more minutes goes on there
        shutil.rmtree(work)
    return choice


def trial_of(kept: Dataset, held: Dataset, plants: int = PLANTS) -> Trial | str:
    """Plants that are cut from ``kept`` in ``held``, or why nothing can be tested with them."""
    if not len(held):
        return "too little footage to put any of it aside for a test"
    try:
        trial = Trial.of(held, kept, plants=plants)
    except DataError as error:
        return f"untested, since {error.got}"
    if all(planting.plant.kind == CONTROL for planting in trial.placed):
        return "untested, since nothing could be planted"
    return trial


class Said(NamedTuple):
    """What a model says of a trial's footage."""

    scores: dict[Place, Scores]
    fps: float
    """Frames a second that it scored."""

    @classmethod
    def of(cls, model: Detector, trial: Trial) -> Said:
        started = time.monotonic()
        scores = trial.scores(model)
        frames = sum(map(len, scores.values()))
        return cls(scores, frames / max(time.monotonic() - started, 1e-9))


def chosen(
    models: dict[str, Detector],
    blends: dict[str, Blend],
    trial: Trial | str,
    said: dict[str, Said] | None = None,
) -> Choice:
    """Try all on the same plants and choose.

    Args:
        models: fitted ones by name.
        blends: of some of these, by names such as ``blend (mean)``; they score nothing.
        trial: of ``trial_of``; where it is a reason, ``USUAL`` is kept.
        said: by the models that have scored the trial before.

    Raises VideoError.
    """
    if isinstance(trial, str):
        return Choice(models[USUAL], USUAL, trial)
    said = {name: (said or {}).get(name) or Said.of(model, trial) for name, model in models.items()}
    for name, blend in blends.items():
        members = [said[member] for member in blend.members]
        scores = {
            place: blend.of_members([own.scores[place] for own in members])
            for place in members[0].scores
        }
        said[name] = Said(scores, 1 / sum(1 / own.fps for own in members))
    every = {**models, **blends}
    tests = {name: trial.result(said[name].scores, model) for name, model in every.items()}
    candidates = tuple(rated(tests, {name: own.fps for name, own in said.items()}))
    name, reason = choose(candidates)
    return Choice(every[name], name, reason, candidates)


def _keep_log(log: Path, to: Path) -> None:
    """Put the kept model's losses beside it; ``motion`` has none."""
    to.unlink(missing_ok=True)
    if log.exists():
        shutil.copy(log, to)


def kept_before(out: Path, kept: Dataset, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The choice in ``out`` if it is what this fit would end with, else None.

    Raises ConfigError unless ``out`` holds nothing, or what ``auto`` kept of the same footage.
    """
    if not (out / "config.json").exists():
        return None
    try:
        with refusing(out):
            facts, choice = read_config(out), read_choice(out)
            footage, ended = (facts.get("footage") or {}).get("hash"), is_ended(out, facts)
    except WeightsError as error:
        raise in_the_way(out, f"what cannot be read ({error.got})") from error
    if choice is None:
        raise in_the_way(out, "a finished model that 'fit auto' did not choose")
    if footage != footage_hash(kept):
        raise in_the_way(out, "a finished model of other footage")
    return choice if ended and choice["settings"] == settings else None

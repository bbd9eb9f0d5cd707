"""CAFE's Tables 1 and 2, Fig. 4 and Fig. 5 on any data set with frame labels, beside the paper."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vadistill.datasets import Splits, open_dataset
from vadistill.detector import Detector
from vadistill.errors import ConfigError, DataError
from vadistill.evaluation.measuring import measure
from vadistill.evaluation.results import (
    Record,
    RunFacts,
    over_seeds,
    run_facts,
    write_records,
)
from vadistill.evaluation.runs import Run, is_located, load_run, save_run, take
from vadistill.evaluation.tables import markdown_table
from vadistill.features.image_networks import UpsampledImageNet
from vadistill.features.residual import ResNet
from vadistill.files import content_hash, replacing, write_json
from vadistill.progress import progress
from vadistill.systems import cafe, motion
from vadistill.systems.cafe.scorer import pick_runtime
from vadistill.training import pick_device

Networks = Literal["compact", "paper"]

PAPER: dict[str, dict[str, float]] = {
    "ucsd_ped2": {
        "cafe": 0.983,
        "ll-o": 0.983,
        "ll-e": 0.983,
        "ll-o+ll-e": 0.984,
        "without-consistency": 0.969,
        "student-17": 0.923,
        "ll-o-only": 0.953,
    },
    "avenue": {
        "cafe": 0.907,
        "ll-o": 0.913,
        "ll-e": 0.904,
        "ll-o+ll-e": 0.926,
        "without-consistency": 0.889,
        "student-17": 0.890,
        "ll-o-only": 0.798,
    },
    "shanghaitech": {
        "cafe": 0.758,
        "ll-o": 0.771,
        "ll-e": 0.753,
        "ll-o+ll-e": 0.770,
        "without-consistency": 0.707,
        "student-17": 0.744,
        "ll-o-only": 0.763,
    },
}
"""The paper's micro AUC by data set and variant (Fig. 4 and 5 are drawn there, not tabulated)."""


def variants(base: cafe.Config) -> dict[str, tuple[str, cafe.Config]]:
    """Every row by name, with the table or figure that it belongs to."""
    rival = {"resnet9": "resnet17", "narrow9": "narrow17"}[base.student]
    rows: dict[str, tuple[str, cafe.Config]] = {
        "cafe": ("Table 1", base),
        "ll-o": ("Table 1", replace(base, low_level="flow")),
        "ll-e": ("Table 1", replace(base, low_level="image")),
        "ll-o+ll-e": ("Table 1", replace(base, low_level="both")),
        "without-consistency": ("Fig. 4", replace(base, lambda_ca=0.0, omega_ca=0.0)),
        "student-17": ("Table 2", replace(base, student=rival)),
    }
    groups = UpsampledImageNet.GROUPS if base.teacher == "imagenet" else ResNet.GROUPS
    for n in range(1, groups + 1):
        rows[f"layers-{n}"] = ("Fig. 5", replace(base, layers=n))
    only = replace(base, low_level="flow", lambda_kd=0.0, lambda_ca=0.0, omega_kd=0.0, omega_ca=0.0)
    rows["ll-o-only"] = ("Sec. 4.3.3", replace(only, omega_lo=1.0))
    return rows


RECIPES: dict[str, Callable[..., cafe.Config]] = {
    "ucsd_ped1": cafe.ped2,
    "ucsd_ped2": cafe.ped2,
    "avenue": cafe.avenue,
    "shanghaitech": cafe.shanghaitech,
}


def base_config(dataset: str, networks: Networks, *, quick: bool, teacher: str) -> cafe.Config:
    """The data set's recipe, or the compact default with that recipe's smoothing."""
    recipe = RECIPES.get(dataset, cafe.ped2)(quick=quick)
    if networks == "paper":
        return replace(recipe, teacher=teacher)
    return replace(cafe.compact(), smoothing=recipe.smoothing)


@dataclass(frozen=True)
class Job:
    """One variant to fit and score: ``name`` as in ``variants``, ``label`` as in the table."""

    name: str
    label: str
    source: str
    config: Any
    seed: int

    def make(self, device: str) -> Detector:
        """The untrained detector."""
        if isinstance(self.config, motion.Config):
            return motion.Motion(self.config)
        return cafe.Cafe(self.config, device=device)  # pyright: ignore[reportArgumentType]


def reproduce(
    data: Path,
    *,
    quick: bool,
    out: Path,
    networks: Networks = "compact",
    teacher: str = "resnet34.safetensors",
    localisers: Sequence[str] = ("background",),
    seeds: Sequence[int] = (0,),
    only: Sequence[str] = (),
    protocols: Sequence[str] = (),
    runtime: str = "auto",
    command: str = "",
    device: str = "auto",
) -> list[Record]:
    """Fit and score every variant (or those named in ``only``), and write records and a table.

    ``motion`` is always among the rows.  Events and teacher targets are shared between variants,
    and a variant that is finished is not done again, so a run that was stopped goes on.  ``out``
    gets ``results.json``, ``results.md``, and in ``runs`` the models and what they said, which
    ``vadistill compare`` reads.  Raises DataError,
    ConfigError.
    """
    splits = open_dataset(data)
    name = splits.train.name
    if not any(clip.frame_labels is not None for clip in splits.test):
        raise DataError(
            f"{data} has no frame labels",
            expected="a data set with labelled test videos",
            fix="see 'vadistill data check'",
        )
    base = base_config(name, networks, quick=quick, teacher=teacher)
    base = replace(base, runtime=pick_runtime(runtime, pick_device(device)))
    jobs = _jobs(base, networks, localisers, seeds, only)
    if not protocols:
        protocols = (f"micro/{base.smoothing}", "micro/gaussian3", "micro/raw")
        protocols += tuple(f"{m}/{base.smoothing}" for m in ("macro-skip", "ap", "pr_auc", "eer"))
        if all(map(is_located, splits.test)):
            protocols += ("rbdc/raw", "tbdc/raw")
    records: list[Record] = []
    with progress("variants", len(jobs)) as advance:
        for job in jobs:
            advance(0, note=job.label)
            key = content_hash(job.label, repr(job.config), str(data), *_files(job.config))
            facts = run_facts(device=device, command=command)
            folder = out / "runs" / f"{re.sub('[^a-z0-9]+', '-', job.label.lower())}-{key[:8]}"
            run, timing = _fit_and_score(job, splits, folder, out / "work", device, facts)
            paper = {}
            if (published := PAPER.get(name, {}).get(job.name)) is not None:
                paper[f"micro/{base.smoothing}"] = published
            evaluation = measure(run, protocols, paper=paper)
            save_run(replace(run, protocols=tuple(protocols)), folder, evaluation)
            records += [
                Record(
                    system="motion" if job.name == "motion" else "cafe",
                    variant=job.label,
                    dataset=name,
                    metric=figure.metric,
                    protocol=figure.protocol,
                    value=figure.value,
                    low=figure.low,
                    high=figure.high,
                    paper=figure.paper,
                    seeds=(job.seed,),
                    seconds=timing["fit"],
                    note=f"{job.source}; scored at {timing['fps']:.1f} frames/s",
                    **timing["facts"],
                )
                for figure in evaluation.figures
            ]
            write_records(out / "results.json", records)
            advance()
    with replacing(out / "results.md") as temporary:
        temporary.write_text(markdown_table(over_seeds(records)))
    return records


def _jobs(
    base: cafe.Config,
    networks: Networks,
    localisers: Sequence[str],
    seeds: Sequence[int],
    only: Sequence[str],
) -> list[Job]:
    rows = variants(base)
    unknown = sorted(set(only) - {*rows, "motion"})
    if unknown:
        raise ConfigError(
            f"variant '{unknown[0]}'",
            expected=f"some of motion, {', '.join(rows)}",
            fix="correct --only",
        )
    jobs: list[Job] = []
    for localiser in localisers:
        boxes = re.sub(r"[^,:+?=]*/", "", localiser)  # files by name, without their folders
        jobs.append(
            Job("motion", f"motion, {boxes}", "baseline", motion.Config(localiser=localiser), 0)
        )
        for variant, (source, config) in rows.items():
            if only and variant not in only:
                continue
            for seed in seeds:
                label = f"{networks} {variant}, {boxes}"
                adapted = replace(config, localiser=localiser, seed=seed)
                jobs.append(Job(variant, label, source, adapted, seed))
    return jobs


def _files(config: Any) -> list[str]:
    """Hashes of the files that a config names, so that a new teacher or new boxes are a new run."""
    words = [config.localiser, getattr(config, "teacher", "")]
    paths = [Path(part) for word in words for part in re.split(r"[,+?]|(?<=\w):", word) if part]
    return [content_hash(path) for path in paths if path.is_file()]


def _fit_and_score(
    job: Job, splits: Splits, folder: Path, work: Path, device: str, facts: RunFacts
) -> tuple[Run, dict[str, Any]]:
    """The run of one variant, with seconds of fitting and frames a second of scoring.

    Both are kept in ``folder``, beside the model, and read from there the next time.
    """
    timing_file = folder / "timing.json"
    if timing_file.exists():
        return load_run(folder), json.loads(timing_file.read_text())
    start = time.monotonic()
    detector = job.make(device).fit(splits.train, out=folder, work=work)
    fitted = time.monotonic()
    scores = {}
    with progress("scoring", len(splits.test)) as advance:
        for clip in splits.test:
            scores[clip.name] = detector.score(clip.open())
            advance(note=clip.name)
    fps = sum(map(len, scores.values())) / (time.monotonic() - fitted)
    run = replace(take(splits.test, scores, name=job.label), facts={**facts, "seed": job.seed})
    save_run(run, folder)
    timing = {"fit": fitted - start, "fps": fps, "facts": facts}
    write_json(timing_file, timing)
    return run, timing

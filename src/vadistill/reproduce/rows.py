"""What every paper's reproduction shares: rows are fitted, scored, measured and kept."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vadistill.datasets import Splits, open_dataset
from vadistill.datasets.holdout import hold_out
from vadistill.detector import Detector
from vadistill.errors import ConfigError, DataError
from vadistill.evaluation.measuring import measure
from vadistill.evaluation.runs import Run, RunFacts, is_located, load_run, run_facts, save_run, take
from vadistill.evaluation.scoring import score_videos
from vadistill.files import content_hash, replacing, write_json
from vadistill.progress import progress
from vadistill.reproduce.options import Options
from vadistill.reproduce.records import Record, of_figure, of_measurement, over_seeds, write_records
from vadistill.reproduce.tables import markdown_table
from vadistill.systems import detector_class, motion


@dataclass(frozen=True)
class Row:
    """One variant to fit and score."""

    system: str
    label: str
    """As in the table; rows differ by it."""
    source: str
    """Table or figure of the paper, or ``baseline``."""
    config: Any
    seed: int = 0
    published: Mapping[str, float] = field(default_factory=dict)
    """The paper's figures in [0, 1] by protocol."""
    teachers: tuple[Row, ...] = ()
    """Rows whose models this one is made of: they take the place of ``config.teachers``."""
    taught_by: str = "teachers"
    """The setting that names them."""
    held_out: bool = False
    """Whether a part of the normal footage is put aside, which a self-test then has."""

    def key(self, data: Path) -> str:
        """Fingerprint of everything that the row's model is made of."""
        teachers = [teacher.key(data) for teacher in self.teachers]
        parts = [
            self.label,
            repr(self.config),
            str(data),
            *self.config.files_read(),
            *teachers,
        ]
        return content_hash(*parts, *["held out"] * self.held_out)

    def folder(self, data: Path, out: Path) -> Path:
        """Where the row's model and run are kept."""
        slug = re.sub("[^a-z0-9]+", "-", self.label.lower())
        return out / "runs" / f"{slug}-{self.key(data)[:8]}"

    def make(self, data: Path, out: Path, device: str) -> Detector:
        """The untrained detector."""
        config = self.config
        if self.teachers:
            folders = tuple(str(teacher.folder(data, out)) for teacher in self.teachers)
            config = replace(config, **{self.taught_by: folders})
        return detector_class(self.system)(config, device=device)  # pyright: ignore


def labelled(data: Path) -> Splits:
    """A data set whose test videos have frame labels; raises DataError."""
    splits = open_dataset(data)
    if not any(video.frame_labels is not None for video in splits.test):
        raise DataError(
            f"{data} has no frame labels",
            expected="a data set with labelled test videos",
            fix="see 'vadistill data check'",
        )
    return splits


def usual_protocols(splits: Splits, smoothing: str, macro: str) -> tuple[str, ...]:
    """Frame-level figures under the paper's smoothing, and region figures where there are masks."""
    protocols = (f"micro/{smoothing}", "micro/gaussian3", "micro/raw")
    protocols += tuple(f"{m}/{smoothing}" for m in (macro, "ap", "pr_auc", "eer"))
    if all(map(is_located, splits.test)):
        protocols += ("rbdc/raw", "tbdc/raw")
    return tuple(dict.fromkeys(protocols))


def recipe_of(dataset: str) -> str:
    """The name of the recipe for a data set: others take Ped2's."""
    return dataset if dataset in ("avenue", "shanghaitech") else "ped2"


def asked(rows: Sequence[str], only: Sequence[str], always: Sequence[str] = ()) -> set[str]:
    """The variants of ``rows`` to run; raises ConfigError for an unknown one."""
    unknown = sorted(set(only) - {*rows, *always})
    if unknown:
        raise ConfigError(
            f"variant '{unknown[0]}'",
            expected=f"some of {', '.join([*always, *rows])}",
            fix="correct --only",
        )
    return set(only) or set(rows)


def files_by_name(localiser: str) -> str:
    """A localiser for a label: files by name, without their folders."""
    return re.sub(r"[^,:+?=]*/", "", localiser)


def localised_rows(
    system: str,
    tables: Mapping[str, Mapping[str, tuple[str, Any]]],
    options: Options,
    published: Mapping[str, Mapping[str, float]],
    teachers: Mapping[str, Any] | None = None,
) -> list[Row]:
    """``motion``, every variant asked for, and its teachers, on the boxes of each localiser.

    ``tables`` are variants (a source and a config) by name, by network; ``only`` names variants of
    every network, or of one: ``paper student``.  ``teachers`` are configs by system; of them and
    ``motion`` each variant's ``teachers`` are some.  Raises ConfigError for an unknown variant.
    """
    teachers = teachers or {}
    all_names = [name for table in tables.values() for name in table]
    full_names = [f"{network} {name}" for network, table in tables.items() for name in table]
    names = asked([*all_names, *full_names], options.only, ("motion", *teachers))
    wanted = {
        (network, variant): row
        for network, table in tables.items()
        for variant, row in table.items()
        if {variant, f"{network} {variant}"} & names
    }
    needed = names.union(*(config.teachers for _, config in wanted.values() if teachers))
    rows: list[Row] = []
    for localiser in options.localisers:
        boxes = files_by_name(localiser)
        baseline = Row("motion", f"motion, {boxes}", "baseline", motion.Config(localiser=localiser))
        rows.append(baseline)
        for seed in options.seeds:
            own = {"localiser": localiser, "seed": seed}
            taught = {
                name: Row(
                    name,
                    f"{name}, {boxes}",
                    "teacher",
                    replace(config, **own),
                    seed,
                    published.get(name, {}),
                )
                for name, config in teachers.items()
                if name in needed
            }
            rows += taught.values()
            taught["motion"] = baseline
            rows += [
                Row(
                    system,
                    f"{network} {variant}, {boxes}",
                    source,
                    replace(config, **own),
                    seed,
                    published.get(variant, {}),
                    tuple(taught[name] for name in config.teachers) if teachers else (),
                )
                for (network, variant), (source, config) in wanted.items()
            ]
    return rows


def run_rows(
    rows: Sequence[Row],
    splits: Splits,
    protocols: Sequence[str],
    options: Options,
    command: str,
    beside: Callable[[Row, Run, Record], list[Record]] = lambda row, run, record: [],
) -> list[Record]:
    """Fit, score and measure every row, a row's teachers before it.

    ``beside`` gives more records of a row, of its run and one of its figures.

    Work files are shared between rows, and a row that is finished is not done again, so a run that
    was stopped goes on.  ``out`` gets ``results.json``, ``results.md``, and in ``runs`` the models
    and what they said, which ``vadistill compare`` reads.  Raises DataError, ConfigError.
    """
    records: list[Record] = []
    data, out, device = options.data, options.out, options.device
    with progress("variants", len(rows)) as advance:
        for row in rows:
            advance(0, note=row.label)
            facts = run_facts(device=device, command=command)
            folder = row.folder(data, out)
            detector = row.make(data, out, device)
            run, timing = _fit_and_score(row, detector, splits, folder, out / "work", facts)
            # A model that finds nothing at all has no boxes.
            kept = run.measurable(protocols)
            evaluation = measure(run, kept, paper=row.published)
            save_run(replace(run, protocols=tuple(kept)), folder, evaluation)
            records += [
                of_figure(
                    figure,
                    system=row.system,
                    variant=row.label,
                    dataset=splits.train.name,
                    seed=row.seed,
                    seconds=timing["fit"],
                    facts=timing["facts"],
                    note=row.source,
                )
                for figure in evaluation.figures
            ]
            records.append(
                of_measurement(
                    "fps",
                    timing["fps"],
                    system=row.system,
                    variant=row.label,
                    dataset=splits.train.name,
                    seeds=(row.seed,),
                    seconds=timing["fit"],
                    note=f"{row.source}; decoding to scores, all test videos",
                    facts=timing["facts"],
                )
            )
            records += beside(row, run, records[-1])
            write_records(out / "results.json", records)
            advance()
    keep(records, out)
    return records


def keep(records: Sequence[Record], out: Path) -> None:
    """Add records to ``results.json``, and make ``results.md`` of all that are there."""
    every = write_records(out / "results.json", records)
    with replacing(out / "results.md") as temporary:
        temporary.write_text(markdown_table(over_seeds(every)))


def _fit_and_score(
    row: Row, detector: Detector, splits: Splits, folder: Path, work: Path, facts: RunFacts
) -> tuple[Run, dict[str, Any]]:
    """The run of one variant, with seconds of fitting and frames a second of scoring.

    Both are kept in ``folder``, beside the model, and read from there the next time.
    """
    timing_file = folder / "timing.json"
    if timing_file.exists():
        return load_run(folder), json.loads(timing_file.read_text())
    start = time.monotonic()
    train = hold_out(splits.train)[0] if row.held_out else splits.train
    detector.fit(train, out=folder, work=work)
    fitted = time.monotonic()
    scored = score_videos(detector, list(splits.test), "scoring")
    run = replace(
        take(splits.test, scored.scores, name=row.label), facts={**facts, "seed": row.seed}
    )
    save_run(run, folder)
    timing = {"fit": fitted - start, "fps": scored.speed, "facts": facts}
    write_json(timing_file, timing)
    return run, timing

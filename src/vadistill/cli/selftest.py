"""``vadistill selftest``: anomalies planted into normal footage, and what a model finds of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vadistill.cli.terminal import Device, Mask, console, parse, plain, table
from vadistill.errors import ConfigError, DataError
from vadistill.report import SELF_TEST_PAGE

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.detector import Detector
    from vadistill.evaluation.selftest import SelfTest

EXAMPLES = """
vadistill selftest entrance.vad --data normal_videos/
vadistill selftest entrance.vad --data other_normal_videos/ --plants 16
"""


def run(argv: list[str]) -> None:
    def selftest(
        model: Annotated[Positional[Path], arg(metavar="MODEL")],
        *,
        data: Annotated[Path, arg(metavar="DATA")],
        plants: int = 8,
        false_alarms_per_day: float = 1.0,
        seed: int = 0,
        mask: Mask = None,
        device: Device = "auto",
    ) -> None:
        """Plant anomalies into normal footage and say, by kind, what a model finds of them.

        Objects of the footage are cut out and made too fast, turned back, stopped, or put where
        nobody goes; foreign ones are drawn.  The figures are kept in the model's folder, with
        a page of pictures (selftest.html).  No label is needed.

        Args:
            model: A fitted model's folder.
            data: The footage that it was fitted on, of which 'vadistill fit' put a part aside, or
                other normal footage.
            plants: Of each kind, at most.
            false_alarms_per_day: Level above which a plant counts as found.
            seed: Of what is planted where.
            device: auto takes the GPU where there is one.
        """
        from vadistill.datasets import open_dataset
        from vadistill.datasets.footage import footage_hash
        from vadistill.datasets.holdout import hold_out
        from vadistill.systems import load
        from vadistill.video import read_masks

        if plants < 1:
            raise ConfigError(f"--plants {plants}", expected="1 or more", fix="correct it")
        detector = load(model, device=device)
        train = open_dataset(data).train.hiding(read_masks(mask))
        kept, held = hold_out(train)
        learned = (detector.footage or {}).get("hash")
        saw_all = footage_hash(train) == learned
        if not len(held) or not (saw_all or footage_hash(kept) == learned):
            kept, held = train, train  # other footage than the model's
        test_and_tell(
            detector,
            model,
            held,
            kept,
            plants=plants,
            false_alarms_per_day=false_alarms_per_day,
            seed=seed,
            held_out=not saw_all,
        )

    parse(selftest, argv, prog="vadistill selftest", examples=EXAMPLES)


def test_and_tell(
    detector: Detector,
    model: Path,
    held: Dataset,
    source: Dataset,
    *,
    plants: int = 8,
    false_alarms_per_day: float = 1.0,
    seed: int = 0,
    held_out: bool = True,
) -> SelfTest:
    """Run the self-test, keep it in the folder ``model``, and print it.

    Raises DataError where nothing can be planted.
    """
    from vadistill.evaluation.selftest import self_test

    if detector.supervision != "one-class":
        raise DataError(
            f"{detector.name} learns from labelled videos",
            expected="a system that learns from normal video",
            fix="measure it with 'vadistill evaluate'",
        )
    found = self_test(
        detector,
        held,
        source,
        plants=plants,
        false_alarms_per_day=false_alarms_per_day,
        seed=seed,
        held_out=held_out,
    )
    found.save(model)
    tell(found, model)
    return found


def tell(found: SelfTest, model: Path) -> None:
    """Print a self-test, and write its page into the folder ``model``."""
    from vadistill.report.self_test import write_self_test

    write_self_test(found, model / SELF_TEST_PAGE)
    out = console()
    shown = table(*found.header, numbers=found.header[1:])
    for row in found.rows:
        shown.add_row(*row)
    out.print(shown)
    for kind, why in found.left_out.items():
        out.print(f"[dim]{kind}: not planted, {why}[/]")
    out.print(f"{found.summary}\npictures: [bold]{plain(model / SELF_TEST_PAGE)}[/]")

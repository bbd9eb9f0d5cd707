"""``vadistill fit auto``: several detectors are fitted, and what the self-test prefers is kept."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from vadistill.addresses import redacted_words
from vadistill.cli.outputs import check_outputs
from vadistill.cli.terminal import (
    Device,
    Mask,
    console,
    masked,
    parse,
    plain,
    table,
    tell_ended,
)
from vadistill.errors import ConfigError
from vadistill.progress import clock

EXAMPLES = """
vadistill fit auto normal_videos/ --out entrance.vad
vadistill fit auto normal_videos/ --out entrance.vad --minutes 90
"""


def run(argv: list[str]) -> None:
    from vadistill.systems.blend import Config

    def auto(
        data: Annotated[Positional[Path], arg(metavar="DATA")],
        *,
        out: Annotated[Path, arg(metavar="MODEL")] = Path("auto.vad"),
        minutes: float | None = None,
        mask: Mask = None,
        localiser: str = Config.localiser,
        plants: int = 8,
        device: Device = "auto",
        overwrite: bool = False,
    ) -> None:
        """Fit several detectors, plant the same anomalies for all, and keep the best.

        The candidates are motion, cafe, and the blend of both by its mean and by its maximum;
        a fifth of the footage is put aside for the self-test.  cafe is kept unless another is
        told from it; also where there is too little footage for a test.

        Args:
            data: Folder of normal videos, or a data set.
            out: Model folder to write.
            minutes: Fit fast_aed, too; it is left out if it is not done after so many minutes.
            localiser: Where objects come from: see CAFE's.
            plants: Of each kind, at most.
            device: auto takes the GPU where there is one.
            overwrite: Fit anew, in place of a finished model.
        """
        from vadistill.datasets import open_dataset
        from vadistill.evaluation.auto import fit_auto
        from vadistill.evaluation.choice import HEADER
        from vadistill.evaluation.runs import portable_command
        from vadistill.video import read_masks

        for option, value in (("--plants", plants), ("--minutes", minutes)):
            if value is not None and value <= 0:
                raise ConfigError(f"{option} {value}", expected="above 0", fix="correct it")
        check_outputs([data, *filter(None, [mask])], folders=[("--out", out)])
        splits, print_to, started = open_dataset(data), console(), time.monotonic()
        print_to.print(
            f"[bold]auto[/] has {len(splits.train)} videos of "
            f"{plain(splits.train.name)} ({splits.kind}) to learn from"
        )
        command = shlex.join(["vadistill", "fit", "auto", *redacted_words(argv)])
        choice = fit_auto(
            splits.train.hiding(read_masks(mask)),
            out=out,
            minutes=minutes,
            localiser=localiser,
            plants=plants,
            device=device,
            overwrite=overwrite,
            command=portable_command(command),
        )
        if choice.test is not None:
            from vadistill.cli.selftest import tell

            tell(choice.test, out)
            shown = table(*HEADER, numbers=HEADER[1:])
            for each in choice.candidates:
                shown.add_row(*each.row, style="bold" if each.name == choice.kept else None)
            print_to.print(shown)
        if choice.left_out:
            print_to.print(f"[dim]{choice.left_out}; the same command with more goes on[/]")
        print_to.print(plain(str(choice)), soft_wrap=True)
        if choice.before:
            tell_ended(out)
        else:
            print_to.print(f"wrote [bold]{plain(out)}[/] after {clock(time.monotonic() - started)}")
        then = f"score {plain(out)} VIDEO --report report.html{masked(mask)}"
        print_to.print(f"next: vadistill {then}", soft_wrap=True)

    parse(auto, argv, prog="vadistill fit auto", examples=EXAMPLES)

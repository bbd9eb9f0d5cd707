"""``vadistill reproduce``: re-run a paper's tables."""

from __future__ import annotations

import resource
import shlex
import time
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vadistill.addresses import redacted_words
from vadistill.cli.outputs import check_outputs
from vadistill.cli.terminal import console, parse, plain
from vadistill.progress import clock
from vadistill.reproduce import Options, reproduce

Paper = Literal["cafe", "fast_aed", "dakd", "own"]

EXAMPLES = """
vadistill reproduce cafe --data UCSDped2/ --quick
vadistill reproduce cafe --data UCSDped2/ --seeds 0 1 2 --out runs/ped2
vadistill reproduce cafe --data UCSDped2/ --networks paper --teacher resnet34.safetensors --quick
vadistill reproduce cafe --data avenue/ --only cafe without-consistency
vadistill reproduce fast_aed --data UCSDped2/ --only student without-adversarial
vadistill reproduce own --data my_labelled_footage/ --seeds 0 1 2
vadistill reproduce dakd --data pets2009_i3d/ --seeds 0 1 2 3 4
"""


def run(argv: list[str]) -> None:
    def reproduced(
        system: Annotated[
            Positional[Literal["cafe", "fast_aed", "dakd", "own"]], arg(metavar="PAPER")
        ],
        options: Annotated[Options, arg(name="")],
    ) -> None:
        """Re-run the tables of a paper on a labelled data set, the paper's figures beside ours.

        Finished rows are kept in the output folder: an interrupted run goes on with the next one.

        Args:
            system: Whose tables: cafe, fast_aed or dakd; own: what the defaults give.
        """
        from vadistill.reproduce.tables import rich_table

        check_outputs([options.data], folders=[("--out", options.out)])
        started = time.monotonic()
        command = shlex.join(["vadistill", "reproduce", *redacted_words(argv)])
        records = reproduce(system, options, command=command)
        print_to = console()
        print_to.print(rich_table(records))
        print_to.print(f"wrote {plain(options.out / 'results.json')}", soft_wrap=True)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print_to.print(f"{clock(time.monotonic() - started)}, {peak:,.0f} MB of memory at most")

    parse(reproduced, argv, prog="vadistill reproduce", examples=EXAMPLES)

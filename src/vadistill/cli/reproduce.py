"""``vadistill reproduce``: re-run a paper's tables."""

from __future__ import annotations

import resource
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from vadistill.cli.terminal import Device, console, parse
from vadistill.errors import ConfigError
from vadistill.progress import clock

TEACHER = "resnet34.safetensors"
NETWORKS = ("compact",)
LOCALISERS = ("background",)

EXAMPLES = """
vadistill reproduce cafe --data UCSDped2/ --quick
vadistill reproduce cafe --data UCSDped2/ --seeds 0 1 2 --out runs/ped2
vadistill reproduce cafe --data UCSDped2/ --networks paper --teacher resnet34.safetensors --quick
vadistill reproduce cafe --data avenue/ --only cafe without-consistency
vadistill reproduce fast_aed --data UCSDped2/ --only student without-adversarial
vadistill reproduce dakd --data pets2009_i3d/ --seeds 0 1 2 3 4
"""


def run(argv: list[str]) -> None:
    def reproduce(
        system: Annotated[Positional[Literal["cafe", "fast_aed", "dakd"]], arg(metavar="PAPER")],
        *,
        data: Annotated[Path, arg(metavar="PATH")],
        out: Annotated[Path, arg(metavar="FOLDER")] = Path("runs/reproduce"),
        quick: bool = False,
        networks: tuple[Literal["compact", "paper"], ...] = NETWORKS,
        teacher: str = TEACHER,
        localisers: tuple[str, ...] = LOCALISERS,
        backbones: tuple[str, ...] = (),
        epochs: Annotated[int | None, arg(metavar="NUMBER")] = None,
        seeds: tuple[int, ...] = (0,),
        only: tuple[str, ...] = (),
        protocols: tuple[str, ...] = (),
        device: Device = "auto",
    ) -> None:
        """Re-run the tables of a paper on a labelled data set, the paper's figures beside ours.

        Finished rows are kept in the output folder: an interrupted run goes on with the next one.

        Args:
            system: Whose tables: cafe, fast_aed or dakd.
            data: A data set with labelled test videos.
            out: Folder for models, results.json and work files.
            quick: Fewer frames and epochs for the paper's networks; for dakd a tenth of the epochs.
            networks: Those sized for CPUs, or the paper's, or both (cafe, fast_aed).
            teacher: CAFE's, for the paper's networks: imagenet, or a file of 'vadistill pretrain'.
            localisers: Where boxes come from, such as background or boxes:FILE; each gets all rows
                (cafe, fast_aed).
            backbones: The teacher's (dakd), default those whose features the data set has.
            epochs: Of DAKD's teacher and of its student, instead of the paper's or a tenth.
            seeds: One run each.
            only: Rows to run, such as student, or 'paper student' of one network alone (fast_aed);
                default all.
            protocols: Figures to compute, such as micro/average10; default the usual ones.
            device: auto takes the GPU where there is one.
        """
        from vadistill.reproduce import cafe, dakd, fast_aed
        from vadistill.reproduce.tables import rich_table

        asked: dict[str, Any] = {
            "quick": quick,
            "out": out,
            "seeds": seeds,
            "only": only,
            "protocols": protocols,
            "command": shlex.join(["vadistill", "reproduce", *argv]),
            "device": device,
        }
        own: dict[str, tuple[Any, Any, Sequence[str]]] = {
            "networks": (networks, NETWORKS, ("cafe", "fast_aed")),
            "localisers": (localisers, LOCALISERS, ("cafe", "fast_aed")),
            "teacher": (teacher, TEACHER, ("cafe",)),
            "backbones": (backbones, (), ("dakd",)),
            "epochs": (epochs, None, ("dakd",)),
        }
        for name, (given, default, systems) in own.items():
            if system in systems:
                asked[name] = given
            elif given != default:
                raise ConfigError(
                    f"--{name} for {system}",
                    expected=f"it with {' or '.join(systems)}",
                    fix="leave it out",
                )
        papers = {
            "cafe": cafe.reproduce,
            "fast_aed": fast_aed.reproduce,
            "dakd": dakd.reproduce,
        }
        started = time.monotonic()
        records = papers[system](data, **asked)
        print_to = console()
        print_to.print(rich_table(records))
        print_to.print(f"wrote {out / 'results.json'}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print_to.print(f"{clock(time.monotonic() - started)}, {peak:,.0f} MB of memory at most")

    parse(reproduce, argv, prog="vadistill reproduce", examples=EXAMPLES)

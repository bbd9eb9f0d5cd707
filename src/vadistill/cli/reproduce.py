"""``vadistill reproduce``: re-run a paper's tables."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from vadistill.cli.terminal import Device, console, parse
from vadistill.errors import ConfigError

TEACHER = "resnet34.safetensors"

EXAMPLES = """
vadistill reproduce cafe --data UCSDped2/ --quick
vadistill reproduce cafe --data UCSDped2/ --seeds 0 1 2 --out runs/ped2
vadistill reproduce cafe --data UCSDped2/ --networks paper --teacher resnet34.safetensors --quick
vadistill reproduce cafe --data avenue/ --only cafe without-consistency
vadistill reproduce fast_aed --data UCSDped2/ --only student without-adversarial
"""


def run(argv: list[str]) -> None:
    def reproduce(
        system: Annotated[Positional[Literal["cafe", "fast_aed"]], arg(metavar="PAPER")],
        *,
        data: Annotated[Path, arg(metavar="PATH")],
        out: Annotated[Path, arg(metavar="FOLDER")] = Path("runs/reproduce"),
        quick: bool = False,
        networks: tuple[Literal["compact", "paper"], ...] = ("compact",),
        teacher: str = TEACHER,
        localisers: tuple[str, ...] = ("background",),
        seeds: tuple[int, ...] = (0,),
        only: tuple[str, ...] = (),
        protocols: tuple[str, ...] = (),
        device: Device = "auto",
    ) -> None:
        """Re-run the tables of a paper on a labelled data set, the paper's figures beside ours.

        Finished rows are kept in the output folder: an interrupted run goes on with the next one.

        Args:
            system: Whose tables: cafe or fast_aed.
            data: A data set with labelled test videos.
            out: Folder for models, results.json and work files.
            quick: Fewer frames and epochs for the paper's networks.
            networks: Those sized for CPUs, or the paper's, or both.
            teacher: CAFE's, for the paper's networks: imagenet, or a file of 'vadistill pretrain'.
            localisers: Where boxes come from, such as background or boxes:FILE; each gets all rows.
            seeds: One run each.
            only: Rows to run, such as student or without-consistency; default all.
            protocols: Figures to compute, such as micro/average10; default the usual ones.
            device: auto takes the GPU where there is one.
        """
        from vadistill.evaluation import reproduce_cafe, reproduce_fast_aed
        from vadistill.evaluation.tables import rich_table

        asked: dict[str, Any] = {
            "quick": quick,
            "out": out,
            "networks": networks,
            "localisers": localisers,
            "seeds": seeds,
            "only": only,
            "protocols": protocols,
            "command": shlex.join(["vadistill", "reproduce", *argv]),
            "device": device,
        }
        if system == "cafe":
            records = reproduce_cafe.reproduce(data, teacher=teacher, **asked)
        elif teacher != TEACHER:
            raise ConfigError(
                f"--teacher {teacher} for {system}",
                expected="it with cafe alone",
                fix="leave it out: both teachers are fitted",
            )
        else:
            records = reproduce_fast_aed.reproduce(data, **asked)
        told = console()
        told.print(rich_table(records))
        told.print(f"wrote {out / 'results.json'}")

    parse(reproduce, argv, prog="vadistill reproduce", examples=EXAMPLES)

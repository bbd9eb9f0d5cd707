"""``vadistill fit``: learn from videos what is normal, or from labelled ones what is not."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from vadistill.cli.outputs import check_outputs
from vadistill.cli.terminal import Device, console, parse, plain
from vadistill.config import describe_recipe
from vadistill.errors import ConfigError
from vadistill.progress import clock
from vadistill.systems import DETECTORS, config_of, detector_class

if TYPE_CHECKING:
    from vadistill.detector import Detector

EXAMPLES = """
vadistill fit cafe normal_videos/ --out entrance.vad
vadistill fit cafe UCSDped2/ --out ped2.vad --localiser boxes:boxes.csv
vadistill fit fast_aed normal_videos/ --out fast.vad
vadistill fit motion normal_videos/ --out baseline.vad
vadistill fit dakd labelled_videos/ --out fights.vad
"""

OVERVIEW = """\
usage: vadistill fit SYSTEM DATA [--out MODEL] [--recipe NAME] [OPTIONS]

Learns from the training videos of DATA and writes a model folder.  The same command again goes on
where a fit was interrupted.

systems: {systems}

examples:
{examples}

'vadistill fit SYSTEM --help' lists the recipes and every setting of a system."""


def run(argv: list[str]) -> int | None:
    if not argv or argv[0] in ("-h", "--help"):
        print(overview())
        return None if argv else 2
    if argv[0].startswith("-"):
        raise ConfigError(
            f"'vadistill fit {argv[0]}'",
            expected=f"the system first, one of {', '.join(DETECTORS)}",
            fix="write it as 'vadistill fit SYSTEM DATA --out MODEL'",
        )
    system = detector_class(argv[0])
    default = config_of(system, asked_recipe(argv[1:]))
    arguments = parse(
        arguments_class(system, default),
        data_first(argv[1:]),
        prog=f"vadistill fit {argv[0]}",
        examples=EXAMPLES,
    )
    return fit(system, arguments)


def overview() -> str:
    """Help without a system: nothing heavy is imported for it."""
    commands = "\n".join(f"  {line}" for line in EXAMPLES.strip().splitlines())
    return OVERVIEW.format(systems=", ".join(DETECTORS), examples=commands)


def asked_recipe(argv: Sequence[str]) -> str | None:
    """``--recipe`` is read before all else: every other default depends on it."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--recipe")
    try:
        return early.parse_known_args(list(argv))[0].recipe
    except argparse.ArgumentError as error:
        raise ConfigError(
            "--recipe without a name", expected="the name of a recipe", fix="add one"
        ) from error


def data_first(argv: Sequence[str]) -> list[str]:
    """``--data DATA``, as other verbs have it, is DATA."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    early.add_argument("--data")
    try:
        named, rest = early.parse_known_args(list(argv))
    except argparse.ArgumentError as error:
        raise ConfigError("--data without a folder", expected="videos", fix="add one") from error
    return rest if named.data is None else [named.data, *rest]


def arguments_class(system: type[Detector], default: Any) -> type:
    """A dataclass of the verb's options and, flat beside them, the system's settings."""
    flat = tyro.conf.arg(name="", prefix_name=False)
    each = [f"{name} – {describe_recipe(recipe)}" for name, recipe in system.RECIPES.items()]
    recipes = tyro.conf.arg(
        metavar="NAME", help="\n".join(["Sets the defaults of the options below.", *each])
    )
    first = next(iter(system.RECIPES))
    kind = "normal videos" if system.supervision == "one-class" else "videos with a labels.csv"
    made = make_dataclass(
        "Arguments",
        [
            (
                "data",
                Annotated[
                    tyro.conf.Positional[Path],
                    tyro.conf.arg(metavar="DATA", help=f"Folder of {kind}, or a data set."),
                ],
            ),
            (
                "out",
                Annotated[
                    Path | None,
                    tyro.conf.arg(
                        metavar="MODEL", help=f"Model folder to write; {system.name}.vad if none."
                    ),
                ],
                None,
            ),
            ("recipe", Annotated[str, recipes], first),
            (
                "device",
                Annotated[Device, tyro.conf.arg(help="auto takes the GPU where there is one.")],
                "auto",
            ),
            (
                "tensorboard",
                Annotated[
                    Path | None,
                    tyro.conf.arg(metavar="FOLDER", help="Write the losses to TensorBoard, too."),
                ],
                None,
            ),
            ("config", Annotated[type(default), flat], default),
        ],
        frozen=True,
    )
    made.__doc__ = f"Fit {system.name} to the training videos of DATA and write the folder MODEL."
    return made


def fit(system: type[Detector], arguments: Any) -> None:
    from vadistill.datasets import open_dataset
    from vadistill.loss_log import tensorboard

    folder = arguments.out or unused(Path(f"{system.name}.vad"))
    board = arguments.tensorboard
    check_outputs(
        [arguments.data],
        folders=[("--out", folder), *([] if board is None else [("--tensorboard", board)])],
    )
    splits = open_dataset(arguments.data)
    detector = system(arguments.config, device=arguments.device)
    out = console()
    out.print(
        f"[bold]{system.name}[/] learns from {len(splits.train)} videos of "
        f"{plain(splits.train.name)} ({splits.kind})"
    )
    started = time.monotonic()
    with tensorboard(board):
        detector.fit(splits.train, out=folder)
    out.print(f"wrote [bold]{plain(folder)}[/] after {clock(time.monotonic() - started)}")
    unlabelled = [video for video in splits.test if video.frame_labels is None]
    if unlabelled:
        out.print(f"{len(unlabelled)} videos without frame labels were put aside for testing")
    if len(splits.test) > len(unlabelled):
        out.print(f"next: vadistill evaluate {plain(folder)} --data {plain(arguments.data)}")
    else:
        out.print(f"next: vadistill score {plain(folder)} VIDEO --report report.html")


def unused(folder: Path) -> Path:
    """The folder, unless a finished model is there that nobody said to replace."""
    if (folder / "config.json").exists():
        raise ConfigError(
            f"no --out, and a model at {folder} already",
            expected="a folder to write",
            fix=f"pass --out, or remove {folder}",
        )
    return folder

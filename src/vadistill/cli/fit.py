"""``vadistill fit``: learn from videos what is normal, or from labelled ones what is not."""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Sequence
from dataclasses import make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from vadistill.addresses import redacted_words
from vadistill.cli.outputs import check_outputs
from vadistill.cli.terminal import Device, Mask, console, masked, parse, plain, tell_ended
from vadistill.config import describe_recipe
from vadistill.errors import ConfigError, DataError
from vadistill.progress import clock
from vadistill.systems import DETECTORS, config_of, detector_class

if TYPE_CHECKING:
    from vadistill.datasets import Dataset, Splits
    from vadistill.detector import Detector

EXAMPLES = """
vadistill fit auto normal_videos/ --out entrance.vad
vadistill fit cafe normal_videos/ --out entrance.vad
vadistill fit cafe UCSDped2/ --out ped2.vad --localiser boxes:boxes.csv
vadistill fit fast_aed normal_videos/ --out fast.vad
vadistill fit motion normal_videos/ --out baseline.vad
vadistill fit blend normal_videos/ --of motion cafe aed --out three.vad
vadistill fit dakd labelled_videos/ --out fights.vad
"""

OVERVIEW = """\
usage: vadistill fit SYSTEM DATA [--out MODEL] [--recipe NAME] [OPTIONS]

Learns from the training videos of DATA and writes a model folder.  The same command again goes on
where a fit was interrupted; a finished model is only replaced with --overwrite.

systems: {systems}
auto: fits several, and keeps what the self-test prefers

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
    if argv[0] == "auto":
        from vadistill.cli.fit_auto import run as run_auto

        return run_auto(argv[1:])
    system = detector_class(argv[0])
    default = config_of(system, asked_recipe(argv[1:]))
    arguments = parse(
        arguments_class(system, default),
        data_first(argv[1:]),
        prog=f"vadistill fit {argv[0]}",
        examples=EXAMPLES,
    )
    return fit(system, arguments, command=shlex.join(["vadistill", "fit", *redacted_words(argv)]))


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
            (
                "overwrite",
                Annotated[
                    bool,
                    tyro.conf.arg(help="Fit anew, in place of a finished model."),
                ],
                False,
            ),
            ("mask", Mask, None),
            *([_SELFTEST] if system.supervision == "one-class" else []),
            ("config", Annotated[type(default), flat], default),
        ],
        frozen=True,
    )
    made.__doc__ = f"Fit {system.name} to the training videos of DATA and write the folder MODEL."
    return made


_SELFTEST = (
    "selftest",
    Annotated[
        Literal["auto", "yes", "no"],
        tyro.conf.arg(
            help="Put a fifth of the footage aside, plant anomalies into it, and say which of them "
            "the model finds.  auto: where there are neither labels to measure with nor boxes of a "
            "file, which know nothing of plants."
        ),
    ],
    "auto",
)
"""An option of the systems that learn from normal video."""


def fit(system: type[Detector], arguments: Any, *, command: str) -> None:
    from vadistill.datasets import open_dataset
    from vadistill.datasets.footage import footage_hash
    from vadistill.datasets.holdout import TOO_SHORT, hold_out
    from vadistill.evaluation.runs import portable_command
    from vadistill.evaluation.selftest import read_self_test
    from vadistill.loss_log import tensorboard
    from vadistill.video import read_masks

    folder = arguments.out or Path(f"{system.name}.vad")
    board = arguments.tensorboard
    check_outputs(
        [arguments.data, *arguments.config.models, *filter(None, [arguments.mask])],
        folders=[("--out", folder), *([] if board is None else [("--tensorboard", board)])],
    )
    splits = open_dataset(arguments.data)
    train, held, untested = splits.train.hiding(read_masks(arguments.mask)), None, False
    if wants_self_test(arguments, splits):
        train, held = hold_out(train)
        untested = not len(held)
    detector = system(arguments.config, device=arguments.device)
    ended = not arguments.overwrite and detector.check_replaced(folder, train)
    out = console()
    if ended:
        tell_ended(folder)
        detector = system.load(folder, device=arguments.device)
    else:
        out.print(
            f"[bold]{system.name}[/] learns from {len(splits.train)} videos of "
            f"{plain(splits.train.name)} ({splits.kind})"
        )
        started = time.monotonic()
        if held:
            aside = f"{_length_of(held)} of it are put aside for the self-test"
            out.print(f"{aside} (--selftest no: none)")
        with tensorboard(board):
            detector.fit(train, out=folder, command=portable_command(command))
        for line in detector.findings:
            out.print(plain(line), soft_wrap=True)
        out.print(f"wrote [bold]{plain(folder)}[/] after {clock(time.monotonic() - started)}")
    before = read_self_test(folder) if held and ended else None
    if held and (before is None or before.footage != footage_hash(held)):
        # A model that was fitted before may have seen what is put aside now.
        tell_self_test(detector, folder, held, train, held_out=not arguments.config.models)
    if untested and not ended:
        known = f"no self-test: {_length_of(train)} of normal video is {TOO_SHORT}"
        fix = (
            f"fit to more, or try it: vadistill selftest {plain(folder)} --data OTHER_NORMAL_VIDEOS"
        )
        out.print(f"{known}; {fix}", soft_wrap=True)
    unlabelled = [video for video in splits.test if video.frame_labels is None]
    if unlabelled:
        out.print(f"{len(unlabelled)} videos without frame labels were put aside for testing")
    then = f"score {plain(folder)} VIDEO --report report.html"
    if len(splits.test) > len(unlabelled):
        then = f"evaluate {plain(folder)} --data {plain(arguments.data)}"
    out.print(f"next: vadistill {then}{masked(arguments.mask)}", soft_wrap=True)


def wants_self_test(arguments: Any, splits: Splits) -> bool:
    """Whether a part of the footage is put aside, see ``_SELFTEST``."""
    asked = getattr(arguments, "selftest", "no")
    if asked != "auto":
        return asked == "yes"
    labelled = any(video.frame_labels is not None for video in splits.test)
    return not labelled and "boxes:" not in str(getattr(arguments.config, "localiser", ""))


def _length_of(held: Dataset) -> str:
    from vadistill.datasets.holdout import seconds

    return clock(seconds(held.videos))


def tell_self_test(
    detector: Detector, folder: Path, held: Dataset, train: Dataset, *, held_out: bool
) -> None:
    """Run the self-test; where it cannot be done, say why and go on: the model is there."""
    from vadistill.cli.selftest import test_and_tell

    try:
        test_and_tell(detector, folder, held, train, held_out=held_out)
    except DataError as error:
        console().print(f"no self-test: {plain(str(error))}")

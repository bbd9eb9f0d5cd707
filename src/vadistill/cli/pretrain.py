"""``vadistill pretrain``: train a teacher on labelled images."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vadistill.cli.outputs import check_outputs
from vadistill.cli.terminal import console, parse, plain
from vadistill.progress import clock
from vadistill.systems.cafe.data import open_images
from vadistill.systems.cafe.pretraining import PretrainConfig
from vadistill.systems.cafe.pretraining import pretrain as train_teacher

EXAMPLES = """
vadistill pretrain cafe --data cifar-100-python/ --out resnet34.safetensors
vadistill pretrain cafe --data cifar10/ --out small.safetensors --architecture narrow18 --epochs 30
vadistill fit cafe normal_videos/ --out entrance.vad --teacher resnet34.safetensors
"""


def run(argv: list[str]) -> None:
    parse(pretrain, argv, prog="vadistill pretrain", examples=EXAMPLES)


def pretrain(
    system: Annotated[Positional[Literal["cafe"]], arg(metavar="SYSTEM")],
    *,
    data: Annotated[Path, arg(metavar="PATH")],
    out: Annotated[Path, arg(metavar="FILE")],
    config: Annotated[PretrainConfig, arg(name="", prefix_name=False)] = PretrainConfig(),  # noqa: B008
    overwrite: bool = False,
) -> None:
    """Train a system's teacher to classify images, and keep its feature extractor.

    An interrupted run goes on after its last whole epoch.

    Args:
        system: The system whose teacher it is: cafe.
        data: CIFAR-100 or CIFAR-10 as published or as .npz, or one sub-folder of pictures a class.
        out: The .safetensors file to write.
        config: Settings of the run.
        overwrite: Replace another file that is there.
    """
    check_outputs([data], files=[("--out", out)])
    started = time.monotonic()
    images = open_images(data)
    print_to = console()
    print_to.print(
        f"[bold]{system}[/]: {config.architecture} learns {len(images.classes)} classes from "
        f"{len(images.train):,} images of {plain(images.name)}"
    )
    teacher = train_teacher(images, config, out, overwrite=overwrite)
    print_to.print(
        f"wrote [bold]{plain(out)}[/]: {100 * teacher.accuracy:.1f} % of {len(images.test):,} test "
        f"images right, after {clock(time.monotonic() - started)}"
    )

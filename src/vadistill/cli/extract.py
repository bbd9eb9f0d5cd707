"""``vadistill extract``: turn the videos of a data set into clip features."""

from __future__ import annotations

import functools
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from vadistill.cli.terminal import Device, console, parse, table
from vadistill.errors import ConfigError, DataError, VadistillError, VideoError
from vadistill.progress import clock, progress

if TYPE_CHECKING:
    from vadistill.backbones.base import Backbone
    from vadistill.backbones.extraction import Tally
    from vadistill.datasets import Video

EXAMPLES = """
vadistill extract my_videos/ --out features/
vadistill extract my_videos/ --backbones compact flow --out features/
vadistill extract UCF_Crimes/ --backbones i3d:rgb_imagenet.pt clip --crops 10 --out features/
"""


def run(argv: list[str]) -> int:
    return parse(extract, argv, prog="vadistill extract", examples=EXAMPLES)


def extract(
    data: Annotated[Positional[Path], arg(metavar="DATA")],
    *,
    out: Annotated[Path, arg(metavar="STORE")],
    backbones: Annotated[tuple[str, ...], arg(metavar="NAME …")] = ("compact",),
    crops: Literal[1, 5, 10] = 1,
    device: Device = "auto",
) -> int:
    """Make a feature vector of every 16 frames of the videos in DATA, and keep them in STORE.

    What STORE holds already is kept, so an interrupted run goes on where it was.

    Args:
        data: Folder of videos, or a data set.
        out: Folder of the feature store.
        backbones: compact, flow, i3d:FILE, s3d, clip, torchvision:NAME, timm:NAME; also several.
        crops: Of each frame: its centre, its corners too, or these and their mirror images.
        device: auto takes the GPU where there is one.
    """
    from vadistill.backbones import open_backbone
    from vadistill.backbones.extraction import Tally, features_of
    from vadistill.backbones.store import FeatureStore
    from vadistill.datasets import open_dataset

    if not backbones:
        raise ConfigError("no backbone", expected="one or more", fix="leave --backbones out")
    splits = open_dataset(data)
    store = FeatureStore(out)
    opened = functools.cache(functools.partial(open_backbone, device=device, crops=crops))
    names = tuple(dict.fromkeys(backbones))
    for name in names:
        opened(name)
    clips, failures = readable([*splits.train, *splits.test])
    print_to, tally, rows = console(), Tally(), dict.fromkeys(names, 0)
    started, done = time.monotonic(), 0
    with progress("clips of 16 frames", sum(clips.values())) as advance:
        for clip, expected in clips.items():
            before = tally.snippets
            try:
                made = features_of(clip, names, store, opened, advance=advance, tally=tally)
            except VideoError as error:
                # One bad recording must not cost the night that the others take.
                failures.append(error)
                continue
            finally:
                advance(expected - (tally.snippets - before), note=clip.name)
            done += 1
            for name in names:
                rows[name] += len(made[name])
    show(list(map(opened, names)), rows, tally)
    seconds = time.monotonic() - started
    print_to.print(
        f"[bold]{out}[/] holds {done} of {done + len(failures)} videos of {splits.train.name}; "
        f"{tally.snippets:,} snippets were new, after {clock(seconds)}"
    )
    if store.damaged:
        print_to.print(f"{len(store.damaged)} damaged entries were made again")
    for error in failures:
        print(f"vadistill: error: {error}", file=sys.stderr)
    return 2 if failures else 0


def readable(clips: list[Video]) -> tuple[dict[Video, int], list[VadistillError]]:
    """Videos with the clips that their headers promise, and what is wrong with the others.

    Raises DataError where there is nothing to extract.
    """
    from vadistill.datasets.snippets import SNIPPET, FeatureSource

    if not clips or any(isinstance(clip.source, FeatureSource) for clip in clips):
        raise DataError(
            "the data set has no video" if not clips else "the data set has clip features already",
            expected="videos",
            fix="check it with 'vadistill data check'",
        )
    found: dict[Video, int] = {}
    failures: list[VadistillError] = []
    for clip in clips:
        try:
            found[clip] = (clip.open().info.frames or 0) // SNIPPET
        except VideoError as error:
            failures.append(error)
    return found, failures


def show(backbones: list[Backbone], rows: dict[str, int], tally: Tally) -> None:
    """One line a backbone; clips/s are those of its own work, decoding aside."""
    numbers = ("dim", "clips", "clips/s", "GMACs/clip")
    shown = table("backbone", *numbers, numbers=numbers)
    for backbone in backbones:
        rate = tally.rate(backbone.name)
        shown.add_row(
            backbone.name,
            str(backbone.dim),
            f"{rows[backbone.name]:,}",
            "–" if math.isnan(rate) else f"{rate:.1f}",
            f"{backbone.macs / 1e9:.2f}" if backbone.macs else "–",
        )
    console().print(shown)

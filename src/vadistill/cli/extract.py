"""``vadistill extract``: turn the videos of a data set into clip features."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.table import Table
from tyro.conf import Positional, arg

from vadistill.cli import complain, refuse_addresses, warn
from vadistill.cli.on_ray import check_workers, cluster_address, show_work
from vadistill.cli.outputs import check_outputs
from vadistill.cli.terminal import Device, console, parse, plain, table
from vadistill.progress import clock

if TYPE_CHECKING:
    from vadistill.backbones.extraction import Extracted

EXAMPLES = """
vadistill extract my_videos/ --out features/
vadistill extract my_videos/ --backbones compact flow --out features/
vadistill extract UCF_Crimes/ --backbones i3d:rgb_imagenet.pt clip --crops 10 --out features/
vadistill extract 's3://bucket/cam1/*.mp4' https://host/monday.mp4 --out features/
vadistill extract my_videos/ --ray --out features/
"""


def run(argv: list[str]) -> int:
    def extract(
        data: Annotated[Positional[tuple[Path, ...]], arg(metavar="DATA")],
        *,
        out: Annotated[Path, arg(metavar="STORE")],
        backbones: Annotated[tuple[str, ...], arg(metavar="NAME …")] = ("compact",),
        crops: Literal[1, 5, 10] = 1,
        device: Device = "auto",
        ray: Annotated[tuple[str, ...] | None, arg(metavar="[ADDRESS]")] = None,
        workers: int | None = None,
    ) -> int:
        """Make a feature vector of every 16 frames of the videos in DATA, and keep them in STORE.

        What STORE holds already is kept, so an interrupted run goes on where it was.

        Args:
            data: Folder of videos, or a data set; or addresses of videos in stores and on the web,
                also patterns, such as 's3://bucket/*.mp4'.
            out: Folder of the feature store.
            backbones: compact, flow, detector:yolox_nano, i3d:FILE, s3d, clip, torchvision:NAME,
                timm:NAME, onnx:FILE, openvino:FILE; also several.
            crops: Of each frame: its centre, its corners too, or these and their mirror images.
            device: auto takes the GPU where there is one.
            ray: Extract on a Ray cluster: HOST:PORT, auto for the one that runs on this machine, or
                nothing for one of its own.
            workers: With --ray, how many extract at a time, of one core each; default: one a core.
        """
        from vadistill.backbones import extraction
        from vadistill.datasets.places import check_strokes, is_stored

        check_strokes(argv)
        here = [each for each in data if not is_stored(each)]
        refuse_addresses("extract", [*here, out])
        check_outputs(here, folders=[("--out", out)])
        started = time.monotonic()
        how: dict[str, Any] = {"backbones": backbones, "crops": crops, "device": device}
        archive = None
        if ray is not None:
            from vadistill.cluster.extraction import extract_archive

            address = cluster_address(ray, workers)
            archive = extract_archive(data, out, **how, address=address, workers=workers)
            made, errors = archive.made, [*archive.errors.values()]
            for line in archive.warnings:
                warn(line)
        else:
            check_workers(workers)
            made = extraction.extract(data, out, **how)
            errors = list(map(str, made.failures))
        seconds = time.monotonic() - started
        print_to = console()
        print_to.print(by_backbone(made))
        if archive is not None:
            show_work(archive)
        print_to.print(
            f"[bold]{plain(out)}[/] holds {made.videos} of {made.videos + len(errors)} videos "
            f"of {plain(made.name)}; {made.tally.snippets:,} snippets were new, "
            f"after {clock(seconds)}"
        )
        if made.damaged:
            print_to.print(f"{made.damaged} damaged entries were made again")
        for error in errors:
            complain(error)
        return 2 if errors else 0

    return parse(extract, argv, prog="vadistill extract", examples=EXAMPLES)


def by_backbone(made: Extracted) -> Table:
    """One line a backbone; clips/s are those of its own work, decoding aside."""
    numbers = ("dim", "clips", "clips/s", "GMACs/clip")
    shown = table("backbone", *numbers, numbers=numbers)
    for backbone in made.backbones:
        rate = made.tally.rate(backbone.name)
        shown.add_row(
            plain(backbone.name),
            str(backbone.dim),
            f"{made.rows[backbone.name]:,}",
            "–" if math.isnan(rate) else f"{rate:.1f}",
            f"{backbone.macs / 1e9:.2f}" if backbone.macs else "–",
        )
    return shown

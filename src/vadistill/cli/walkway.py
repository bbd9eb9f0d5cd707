"""``vadistill data walkway``: render the simulated walkway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from vadistill.cli.terminal import console, parse
from vadistill.datasets import Splits
from vadistill.progress import progress
from vadistill.simulated.walkway import WalkwayConfig, render_walkway

EXAMPLES = """
vadistill data walkway walkway/
vadistill data walkway hard/ --seed 3 --train-clips 12 --pedestrians 8 16
"""


def run(argv: list[str]) -> None:
    parse(walkway, argv, prog="vadistill data walkway", examples=EXAMPLES)


def walkway(
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    *,
    config: Annotated[WalkwayConfig, arg(name="", prefix_name=False)] = WalkwayConfig(),  # noqa: B008
) -> None:
    """Render a simulated campus path with pedestrians, and test clips with abnormal events.

    Args:
        out: Folder to write.
        config: What to render; equal settings give equal pixels.
    """
    render(out, config)
    console().print(f"wrote [bold]{out}[/]; next: vadistill data check {out}")


def render(out: Path, config: WalkwayConfig) -> Splits:
    """Render with a bar over the frames of all clips, unless ``out`` holds this very walkway."""
    with progress("rendering", (config.train_clips + config.test_clips) * config.frames) as advance:
        return render_walkway(out, config, on_frame=lambda *_: advance())

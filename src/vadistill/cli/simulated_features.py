"""``vadistill data features``: simulate clip features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from vadistill.cli.terminal import console, parse
from vadistill.progress import progress
from vadistill.simulated.features import SimulatedConfig, simulate_features
from vadistill.simulated.features.plan import plan_videos

EXAMPLES = """
vadistill data features simulated_ucf/
vadistill data features small/ --videos 190 --seed 1
"""


def run(argv: list[str]) -> None:
    parse(features, argv, prog="vadistill data features", examples=EXAMPLES)


def features(
    out: Annotated[Positional[Path], arg(metavar="OUT")],
    *,
    config: Annotated[SimulatedConfig, arg(name="", prefix_name=False)] = SimulatedConfig(),  # noqa: B008
) -> None:
    """Simulate clip features of three backbones, with video labels and abnormal test intervals.

    No video is behind them: they are for load, speed and the shape of ablations.  All 1,900 videos
    take 0.6 GB.

    Args:
        out: Folder to write.
        config: What to simulate; equal settings give equal features.
    """
    with progress("simulating", len(plan_videos(config))) as advance:
        simulate_features(out, config, on_video=advance)
    console().print(f"wrote [bold]{out}[/] (simulated); next: vadistill data check {out}")

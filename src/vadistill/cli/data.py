"""``vadistill data``: check a data set, or make a simulated one."""

# Annotations are evaluated where they stand, so that settings are imported by their own verb alone.
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from vadistill.cli import print_verbs
from vadistill.cli.terminal import console, parse, plain, table
from vadistill.errors import one_of

VERBS = {
    "check": "what a path holds, how many videos and frames, and what is wrong",
    "walkway": "render the simulated walkway: real MP4s with exact labels",
    "features": "simulate features at UCF-Crime's scale, weakly labelled",
}

CHECK_EXAMPLES = """
vadistill data check normal_videos/
vadistill data check UCSDped2/ --full
vadistill data check labelled/ --kind folder
"""

WALKWAY_EXAMPLES = """
vadistill data walkway walkway/
vadistill data walkway hard/ --seed 3 --train-clips 12 --pedestrians 8 16
"""

FEATURES_EXAMPLES = """
vadistill data features simulated_ucf/
vadistill data features small/ --videos 190 --seed 1
"""

OVERVIEW = """
examples:
  vadistill data check normal_videos/
  vadistill data walkway walkway/ --seed 1
  vadistill data features simulated_ucf/

'vadistill data check --help' describes the layout of your own labelled footage."""

SHOWN = 100
"""Videos of each split in the table of ``check``."""


def run(argv: list[str]) -> int | None:
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: vadistill data VERB [OPTIONS]\n")
        print_verbs(VERBS)
        print(OVERVIEW)
        return None if argv else 2
    verb = one_of("verb of data", argv[0], VERBS, fix="see 'vadistill data --help'")
    return {"check": check, "walkway": walkway, "features": features}[verb](argv[1:])


def check(argv: list[str]) -> int:
    from vadistill.datasets.check import check as check_dataset

    def data_check(
        path: Annotated[Positional[Path], arg(metavar="PATH")],
        *,
        kind: Annotated[str, arg(metavar="KIND")] = "auto",
        full: bool = False,
    ) -> int:
        """Say what a data set is and what is wrong with it; exit status 2 if anything is.

        Your own footage may be a folder of normal videos or frame folders; or train/ (or normal/)
        and test/ with such; labels are a .csv beside them with file,start,end (abnormal frames from
        0, end exclusive) or file,start_time,end_time (seconds), or mask pictures in
        test_masks/VIDEO/.

        For weak supervision: labels.csv with file,label (1 for a video with an anomaly) and perhaps
        a source column; or features in features/BACKBONE/VIDEO.npy beside train.csv and
        test.csv (file,label) and intervals.csv (file,start,end); or the lists of UCF-Crime,
        XD-Violence or ShanghaiTech beside their videos or features/.  Features are read whole.

        Args:
            path: Where the data is.
            kind: auto, folder, features, pets, ucf_crime, xd_violence, shanghaitech_weak, ucsd,
                avenue, shanghaitech, walkway or simulated_features.
            full: Decode every frame and mask, not only the first of each video.
        """
        report = check_dataset(path, kind, full=full)
        out = console()
        columns = report.columns
        numbers = [c for c in columns if c in ("frames", "snippets", "size", "fps", "abnormal")]
        shown = table(*columns, numbers=numbers)
        for split in ("train", "test"):
            rows = [row for row in report.rows() if row[0] == split]
            for row in rows[:SHOWN]:
                shown.add_row(*map(plain, row))
            if len(rows) > SHOWN:
                rest = f"… {len(rows) - SHOWN:,} more"
                shown.add_row(split, rest, *[""] * (len(columns) - 2))
        out.print(shown)
        for line in report.lines():
            out.print(plain(line), soft_wrap=True)
        return 0 if report.sound else 2

    return parse(data_check, argv, prog="vadistill data check", examples=CHECK_EXAMPLES)


def walkway(argv: list[str]) -> None:
    from vadistill.simulated.walkway import WalkwayConfig, render_walkway

    def data_walkway(
        out: Annotated[Positional[Path], arg(metavar="OUT")],
        *,
        config: Annotated[WalkwayConfig, arg(name="", prefix_name=False)] = WalkwayConfig(),  # noqa: B008
    ) -> None:
        """Render a simulated campus path with pedestrians, and test clips with abnormal events.

        Args:
            out: Folder to write.
            config: What to render; equal settings give equal pixels.
        """
        render_walkway(out, config)
        shown = plain(out)
        console().print(f"wrote [bold]{shown}[/]; next: vadistill data check {shown}")

    parse(data_walkway, argv, prog="vadistill data walkway", examples=WALKWAY_EXAMPLES)


def features(argv: list[str]) -> None:
    from vadistill.simulated.features import SimulatedConfig, simulate_features

    def data_features(
        out: Annotated[Positional[Path], arg(metavar="OUT")],
        *,
        config: Annotated[SimulatedConfig, arg(name="", prefix_name=False)] = SimulatedConfig(),  # noqa: B008
    ) -> None:
        """Simulate features of three backbones, with video labels and abnormal test intervals.

        No video is behind them: they are for load, speed and the shape of ablations.  All 1,900
        videos take 0.6 GB.

        Args:
            out: Folder to write.
            config: What to simulate; equal settings give equal features.
        """
        simulate_features(out, config)
        shown = plain(out)
        console().print(f"wrote [bold]{shown}[/] (simulated); next: vadistill data check {shown}")

    parse(data_features, argv, prog="vadistill data features", examples=FEATURES_EXAMPLES)

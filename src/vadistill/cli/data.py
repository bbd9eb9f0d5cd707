"""``vadistill data``: check a data set, or make a simulated one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from vadistill.cli import choose, print_verbs
from vadistill.cli.terminal import console, parse, table

VERBS = {
    "check": "what a path holds, how many clips and frames, and what is wrong",
    "walkway": "render the simulated walkway: real MP4s with exact labels",
    "features": "simulate clip features at UCF-Crime's scale, weakly labelled",
}

CHECK_EXAMPLES = """
vadistill data check normal_videos/
vadistill data check UCSDped2/ --full
vadistill data check labelled/ --kind folder
"""

OVERVIEW = """
examples:
  vadistill data check normal_videos/
  vadistill data walkway walkway/ --seed 1
  vadistill data features simulated_ucf/

'vadistill data check --help' describes the layout of your own labelled footage."""

SHOWN = 100
"""Clips of each split in the table of ``check``."""


def run(argv: list[str]) -> int | None:
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: vadistill data VERB [OPTIONS]\n")
        print_verbs(VERBS)
        print(OVERVIEW)
        return None if argv else 2
    verb = choose(argv[0], VERBS, prog="vadistill data")
    if verb == "check":
        return run_check(argv[1:])
    if verb == "features":
        from vadistill.cli import simulated_features

        return simulated_features.run(argv[1:])
    from vadistill.cli import walkway

    return walkway.run(argv[1:])


def run_check(argv: list[str]) -> int:
    from vadistill.datasets.check import check as check_dataset

    def check(
        path: Annotated[Positional[Path], arg(metavar="PATH")],
        *,
        kind: Annotated[str, arg(metavar="KIND")] = "auto",
        full: bool = False,
    ) -> int:
        """Say what a data set is and what is wrong with it; exit status 2 if anything is.

        Your own footage may be a folder of normal videos or frame folders; or train/ (or normal/)
        and test/ with such; labels are a .csv beside them with file,start,end (abnormal frames from
        0, end exclusive) or file,start_time,end_time (seconds), or mask pictures in
        test_masks/CLIP/.

        For weak supervision: labels.csv with file,label (1 for a video with an anomaly) and perhaps
        a source column; or clip features in features/BACKBONE/VIDEO.npy beside train.csv and
        test.csv (file,label) and intervals.csv (file,start,end); or the lists of UCF-Crime,
        XD-Violence or ShanghaiTech beside their videos or features/.  Features are read whole.

        Args:
            path: Where the data is.
            kind: auto, folder, features, pets, ucf_crime, xd_violence, shanghaitech_weak, ucsd,
                avenue, shanghaitech, walkway or simulated_features.
            full: Decode every frame and mask, not only the first of each clip.
        """
        report = check_dataset(path, kind, full=full)
        out = console()
        columns = report.columns
        numbers = [c for c in columns if c in ("frames", "clips", "size", "fps", "abnormal")]
        clips = table(*columns, numbers=numbers)
        for split in ("train", "test"):
            rows = [row for row in report.rows() if row[0] == split]
            for row in rows[:SHOWN]:
                clips.add_row(*row)
            if len(rows) > SHOWN:
                rest = f"… {len(rows) - SHOWN:,} more"
                clips.add_row(split, rest, *[""] * (len(columns) - 2))
        out.print(clips)
        for line in report.lines():
            out.print(line, markup=False, soft_wrap=True)
        return 0 if report.sound else 2

    return parse(check, argv, prog="vadistill data check", examples=CHECK_EXAMPLES)

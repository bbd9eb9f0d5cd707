"""``vadistill data``: check a data set, or render the simulated one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from vadistill.cli import choose, print_verbs
from vadistill.cli.terminal import console, parse, table

VERBS = {
    "check": "what a path holds, how many clips and frames, and what is wrong",
    "walkway": "render the simulated walkway: real MP4s with exact labels",
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

'vadistill data check --help' describes the layout of your own labelled footage."""


def run(argv: list[str]) -> int | None:
    if not argv or argv[0] in ("-h", "--help"):
        print("usage: vadistill data VERB [OPTIONS]\n")
        print_verbs(VERBS)
        print(OVERVIEW)
        return None if argv else 2
    verb = choose(argv[0], VERBS, prog="vadistill data")
    if verb == "check":
        return run_check(argv[1:])
    from vadistill.cli import walkway

    return walkway.run(argv[1:])


def run_check(argv: list[str]) -> int:
    from vadistill.datasets.check import COLUMNS
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

        Args:
            path: Where the data is.
            kind: auto, folder, ucsd, avenue, shanghaitech or walkway.
            full: Decode every frame and mask, not only the first of each clip.
        """
        report = check_dataset(path, kind, full=full)
        out = console()
        numbers = [c for c in COLUMNS if c in ("frames", "size", "fps", "abnormal")]
        clips = table(*COLUMNS, numbers=numbers)
        for row in report.rows():
            clips.add_row(*row)
        out.print(clips)
        for line in report.lines():
            out.print(line, markup=False, soft_wrap=True)
        return 0 if report.sound else 2

    return parse(check, argv, prog="vadistill data check", examples=CHECK_EXAMPLES)

"""A fit's footage: its videos and mask in a job's folder, and the command that reads them."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from vadistill.errors import DataError
from vadistill.files import write_json
from vadistill.serving.jobs.job import FOOTAGE, MASK, MODEL, Task
from vadistill.video import Polygon

Masks = Sequence[Polygon]


def fit_task(
    folder: Path,
    *,
    name: str,
    system: str,
    videos: Sequence[Path],
    out: Path,
    masks: Masks,
) -> Task:
    """Fit ``system`` in a job's ``folder`` to videos less what ``masks`` cover.

    Raises DataError for missing videos.
    """
    data = data_set(folder / FOOTAGE, videos)
    command = ["vadistill", "fit", system, str(data), "--out", str(folder / MODEL)]
    if masks:
        write_json(folder / MASK, masks)
        command += ["--mask", str(folder / MASK)]
    shown = {f"{folder}/": "", str(data): data.name}
    return Task(command, shown, out, {"model": name, "system": system})


def data_set(folder: Path, videos: Sequence[Path]) -> Path:
    """A data set of ``videos`` at ``folder``, unless they are one folder, which may be one itself.

    Files are linked hard where that is possible: a recording may grow too old during a fit.
    Raises DataError where there is none.
    """
    missing = [path for path in videos if not path.exists()]
    if missing or not videos:
        raise DataError(
            f"no video called {missing[0]}" if missing else "no video to fit a model to",
            expected="one or more video files or folders",
            fix="choose other footage, or record more",
        )
    videos = [path.resolve() for path in videos]
    if len(videos) == 1 and videos[0].is_dir():
        return videos[0]
    train = folder / "train"
    train.mkdir(parents=True)
    for number, video in enumerate(videos):
        link = train / f"{number:05}_{video.name}"
        try:
            if video.is_dir():
                raise OSError(errno.EISDIR, "only files have hard links")
            link.hardlink_to(video)
        except OSError:
            link.symlink_to(video)
    return folder

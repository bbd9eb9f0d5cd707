"""``vadistill score --ray``: an archive of videos, on all cores of this machine or of several."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vadistill.addresses import Address
from vadistill.cli import complain, refuse_addresses, warn
from vadistill.cli.on_ray import cluster_address, show_work
from vadistill.cli.outputs import check_outputs
from vadistill.cli.terminal import Device, console, plain, table
from vadistill.errors import ConfigError, VideoError
from vadistill.progress import clock
from vadistill.scores import Smoothing

if TYPE_CHECKING:
    from vadistill.cluster.archive import ScoredArchive

SHOWN_EVENTS = 12
"""Events that are printed of all videos; all are found again from the tables."""


def expanded(videos: Sequence[Path]) -> tuple[Path, ...]:
    """Paths with the patterns among them, such as 'archive/**/*.mp4', and folders of video files,
    as the videos they stand for.

    So a pattern may be longer than a shell takes.  Raises VideoError for one that no video matches.
    """
    from vadistill.datasets.sources import is_frame_folder, is_video, video_files
    from vadistill.video import natural_key

    found: list[Path] = []
    for each in videos:
        if os.path.isdir(each) and (inside := video_files(each)):
            found += inside
            continue
        if not glob.has_magic(str(each)) or Address(str(each)).scheme or each.exists():
            found.append(each)
            continue
        names = sorted(glob.glob(str(each), recursive=True), key=natural_key)
        matched = [
            path
            for path in map(Path, names)
            if is_video(path) or (each.suffix and path.is_file()) or is_frame_folder(path)
        ]
        if not matched:
            raise VideoError(
                f"no video matches '{each}'",
                expected="a pattern such as 'archive/**/*.mp4'",
                fix="check the folder and the ending",
            )
        found += matched
    return tuple(dict.fromkeys(found))


def score_on_ray(
    model: Path,
    videos: Sequence[Path],
    named: Sequence[Path],
    out: Path | None,
    ray: Sequence[str],
    workers: int | None,
    smoothing: str | None,
    false_alarms_per_day: float,
    mask: Path | None,
    device: Device,
    *,
    others: Mapping[str, object],
    words: Sequence[str],
) -> int:
    """Score and say what came of it.

    ``named`` is what the ``videos`` come from, patterns and folders among it; ``others`` are
    options that an archive has no use for, ``words`` the command's, as given.
    """
    from vadistill.cluster.archive import score_archive
    from vadistill.datasets import split_of, stores
    from vadistill.datasets.places import check_strokes, is_stored
    from vadistill.evaluation.scoring import smoothing_of
    from vadistill.systems import load
    from vadistill.video import read_masks

    for option, value in others.items():
        if value is not None:
            raise ConfigError(
                f"{option} with --ray",
                expected="tables alone of an archive",
                fix=f"score the videos that matter again, without --ray and with {option}",
            )
    if not videos:
        raise ConfigError("no video", expected="one or more videos", fix="name them after MODEL")
    if out is None:
        raise ConfigError("--ray without --out", expected="a folder", fix="pass --out scores/")
    address = cluster_address(ray, workers)
    if smoothing is not None:
        Smoothing.parse(smoothing)
    check_strokes(words)
    here = [each for each in videos if not is_stored(each)]
    refuse_addresses("score", [model, out, *here, *filter(None, [mask])])
    inputs = [*filter(None, (model, mask)), *here, *filter(os.path.isdir, named)]
    check_outputs(inputs, folders=[("--out", out)])
    listed = stores.named(stores.listed(videos))
    found = list(split_of(listed, "test").hiding(read_masks(mask)))
    loaded = load(model, device="cpu")
    archive = score_archive(
        model,
        found,
        out,
        loaded=loaded,
        smoothing=Smoothing.parse(smoothing or smoothing_of(loaded)),
        address=address,
        workers=workers,
        device=device,
        false_alarms_per_day=false_alarms_per_day,
    )
    for line in archive.warnings:
        warn(line)
    show(archive, len(found))
    console().print(f"tables  {plain(out)}", soft_wrap=True)
    for error in archive.errors.values():
        complain(error)
    return 2 if archive.errors else 0


def show(archive: ScoredArchive, count: int) -> None:
    """What was done, and the highest events of the videos that were scored."""
    out = console()
    parts = [f"{archive.done} scored"]
    parts += [f"{archive.skipped} scored before"] * bool(archive.skipped)
    parts += [f"{len(archive.errors)} failed"] * bool(archive.errors)
    out.print(f"[bold]{count} video{'s' * (count != 1)}[/]: {', '.join(parts)}")
    show_work(archive)
    events = sorted(archive.events, key=lambda each: -each[1].peak)
    if not events:
        return
    numbers = ("start", "end", "peak")
    told = any(event.reason for _, event in events[:SHOWN_EVENTS])
    many = f", the {SHOWN_EVENTS} highest of {len(events)}" if len(events) > SHOWN_EVENTS else ""
    shown = table(
        "video", *numbers, *(["why"] if told else []), numbers=numbers, title=f"events{many}"
    )
    for name, event in events[:SHOWN_EVENTS]:
        row = plain(name), clock(event.start), clock(event.end), f"{event.peak:.3g}"
        shown.add_row(*row, *([plain(event.reason)] if told else []))
    out.print(shown)

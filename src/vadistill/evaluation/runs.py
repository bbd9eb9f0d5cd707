"""A run: what one model said about one labelled test set, kept so that figures can be taken again.

Its facts say on what device, by what command, from what commit and when it was made.

Folder of a run:

run.json            name, data set, protocols, figures, facts of the run, what labels are of
frames.parquet      video, frame, score, label: raw scores and 0/1 labels, in frame order
detections/V.txt    scored boxes of video V, and the tracks of true ones, in the published layout
tracks/V.txt        (``region_files``): where the model finds boxes and the set has tracks or masks
"""

from __future__ import annotations

import datetime
import os
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from vadistill import __version__
from vadistill.datasets.base import Dataset, Video
from vadistill.datasets.tracks import Tracks, tracks_of
from vadistill.errors import DataError, printable
from vadistill.evaluation.alignment import Aligned, align_dataset
from vadistill.evaluation.protocol import REGION, Protocol
from vadistill.evaluation.region_files import (
    read_detection_folder,
    read_track_folder,
    write_detection_folder,
    write_track_folder,
)
from vadistill.evaluation.region_level import match_videos
from vadistill.evaluation.region_matching import Detections, Matches, detections_of
from vadistill.files import read_json, write_json
from vadistill.progress import progress
from vadistill.score_tables import read_parquet, write_parquet
from vadistill.scores import Scores
from vadistill.soundness import typed

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Regions:
    """Scored boxes and tracks of true ones, by video."""

    tracks: Mapping[str, Tracks]
    detections: Mapping[str, Detections]
    notes: tuple[str, ...] = ()
    """Where the tracks come from."""


@dataclass(frozen=True, eq=False)
class Run:
    """Labels, raw scores and boxes of one model on one test set."""

    name: str
    dataset: str
    frames: Aligned
    """Labels and raw scores of every test video."""
    fps: Mapping[str, float] = field(default_factory=dict)
    """Frames per second by video, where known."""
    regions: Regions | None = None
    protocols: tuple[str, ...] = ()
    """What the run reports."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""
    """Of what scores and labels are (``earlier.origin_of``); empty where that is not known."""

    def measurable(self, protocols: Iterable[Protocol | str]) -> list[str]:
        """Names of the protocols that it can be measured by: without boxes, none of regions."""
        named = map(Protocol.parse, protocols)
        return [p.name for p in named if self.regions is not None or p.measure not in REGION]

    @cached_property
    def matches(self) -> Mapping[str, Matches]:
        """Which boxes found which tracks, by video; raises DataError where there are none."""
        if self.regions is None:
            raise DataError(
                f"run {self.name} holds no boxes" if self.name else "no boxes and tracks",
                expected="scored boxes, and a test set with tracks or pixel masks, for rbdc and "
                "tbdc",
                fix="measure the frame-level figures, such as micro/raw, or add masks",
            )
        counts = {n: len(s) for n, s in zip(self.frames.names, self.frames.scores, strict=True)}
        return match_videos(self.regions.tracks, self.regions.detections, counts)


def take(
    dataset: Dataset,
    scores: Mapping[str, Any],
    *,
    name: str = "",
    regions: bool | None = None,
    tracks: Mapping[str, Tracks] | None = None,
) -> Run:
    """The run of one model's scores on a labelled test set.

    ``scores`` maps every video's name to a Scores, or to an array of raw scores.  ``regions`` says
    whether boxes and tracks are taken along: None does where both exist.  ``tracks`` by video name
    stand for those of the data set.  Raises DataError.
    """
    frames = align_dataset(dataset, scores)
    given = {video.name: scores[video.name] for video in dataset}
    rates = {n: s.fps if isinstance(s, Scores) else dataset[n].fps for n, s in given.items()}
    fps = {name: float(rate) for name, rate in rates.items() if rate}
    run = Run(name, dataset.name, frames, fps)
    if regions is False:
        return run
    boxed = all(isinstance(s, Scores) for s in given.values()) and any(
        len(frame.boxes) for s in given.values() for frame in s
    )
    known = tracks is not None or all(is_located(video) for video in dataset)
    if boxed and known:
        return replace(run, regions=_regions(dataset, given, tracks))
    if regions:
        raise DataError(
            f"data set {dataset.name} has no tracks or masks of its abnormal videos"
            if boxed
            else "scores without boxes",
            expected="scored boxes, and tracks or pixel masks, for rbdc and tbdc",
            fix="measure the frame-level figures, such as micro/raw"
            if boxed
            else "score with a detector that finds boxes or maps; those of --scores are --boxes",
        )
    return run


def is_located(video: Video) -> bool:
    """Whether it is known where in the picture the video's anomalies are."""
    normal = video.frame_labels is not None and not video.frame_labels.any()
    return normal or bool(video.tracks) or video.mask is not None


def save_run(run: Run, folder: Path, evaluation: Any = None) -> None:
    """Write a run to ``folder``, which may exist; ``evaluation`` holds the figures to show in it.

    Raises WeightsError when a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names, counts = run.frames.names, [len(s) for s in run.frames.scores]
    columns = {
        "video": np.repeat(np.array(names, object), counts),
        "frame": np.concatenate([np.arange(n) for n in counts]),
        "score": run.frames.all_scores,
        "label": run.frames.all_labels,
    }
    write_parquet(folder / "frames.parquet", columns)
    if run.regions is not None:
        write_track_folder(folder / "tracks", run.regions.tracks)
        write_detection_folder(folder / "detections", run.regions.detections)
    write_json(
        folder / "run.json",
        {
            "format": FORMAT,
            "name": run.name,
            "dataset": run.dataset,
            "protocols": list(run.protocols),
            "fps": dict(run.fps),
            "regions": None if run.regions is None else list(run.regions.notes),
            "labels": "videos" if run.frames.of_videos else "frames",
            "origin": run.origin,
            "facts": dict(run.facts),
            "evaluation": None if evaluation is None else evaluation.to_json(),
        },
    )


def load_run(folder: Path) -> Run:
    """The inverse of ``save_run``; raises DataError for a folder that is no whole run."""
    try:
        facts = {"origin": "", **read_json(folder / "run.json")}
        if facts["format"] != FORMAT:
            raise ValueError(f"format {facts['format']}")
        own = ("name", "dataset", "fps", "protocols", "facts", "origin")
        saved = typed(Run, {name: facts[name] for name in own})
        frames = read_parquet(folder / "frames.parquet")
        if not (np.isin(frames["label"], (0, 1)).all() and np.isfinite(frames["score"]).all()):
            raise ValueError("labels other than 0 and 1, or scores that are not finite")
        by_video = _rows_by_video(frames)
        aligned = Aligned(
            tuple(by_video),
            tuple(frames["label"][rows].astype(np.uint8) for rows in by_video.values()),
            tuple(frames["score"][rows].astype(np.float64) for rows in by_video.values()),
            of_videos=facts.get("labels") == "videos",
        )
        regions = None
        if facts["regions"] is not None:
            counts = {video: len(rows) for video, rows in by_video.items()}
            regions = Regions(
                read_track_folder(folder / "tracks", counts),
                read_detection_folder(folder / "detections", counts),
                **typed(Regions, {"notes": facts["regions"]}),
            )
        return Run(frames=aligned, regions=regions, **saved)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise DataError(
            f"{folder} is not a run ({reason})",
            expected="a folder that 'vadistill evaluate --out' wrote",
            fix="evaluate the model again",
        ) from error


def _regions(
    dataset: Dataset, scores: Mapping[str, Scores], tracks: Mapping[str, Tracks] | None
) -> Regions:
    if tracks is None:
        tracks = {}
        with progress("tracks", len(dataset)) as advance:
            for video in dataset:
                tracks[video.name] = tracks_of(video)
                advance(note=video.name)
    derived, notes = sum(t.derived for t in tracks.values()), ()
    if derived:
        notes = (f"rbdc and tbdc: tracks of {derived} videos are derived from their pixel masks",)
    return Regions(tracks, {name: detections_of(s) for name, s in scores.items()}, notes)


def _rows_by_video(table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Row numbers of each video's frames in order; videos in the order of their appearance."""
    videos, first, which = np.unique(table["video"], return_index=True, return_inverse=True)
    found = {}
    for number in np.argsort(first):
        rows = np.flatnonzero(which == number)
        rows = rows[np.argsort(table["frame"][rows], kind="stable")]
        if not np.array_equal(table["frame"][rows], np.arange(len(rows))):
            raise ValueError(f"video {videos[number]} has missing or doubled frames")
        found[str(videos[number])] = rows
    return found


class RunFacts(TypedDict):
    """What a run knows of itself, beside its figures."""

    device: str
    """Such as ``cpu x2``."""
    command: str
    commit: str
    date: str
    """YYYY-MM-DD."""


def run_facts(*, device: str, command: str) -> RunFacts:
    """``device``, ``command``, ``commit`` and ``date`` of a run that goes on now.

    ``device`` is auto, cpu or cuda, and becomes ``cpu x2`` or the GPU's name.  Absolute paths in
    ``command`` become their last part, since they mean nothing elsewhere.
    """
    return {
        "device": device_name(device),
        "command": portable_command(command),
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }


def device_name(device: str) -> str:
    """``cpu x2`` (the cores that this process may use) or the GPU's name."""
    if device != "cpu":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    return f"cpu x{len(os.sched_getaffinity(0))}"


def portable_command(command: str) -> str:
    """``command`` on one line, with every absolute path cut to its last part."""
    folder = r"(^|[:=,])(?:~/|/(?!/))[^:=,]*?([^/:=,]+)/?(?=,|$)"
    words = [re.sub(folder, r"\1\2", word) for word in shlex.split(command)]
    return printable(shlex.join(words))


def commit() -> str:
    """Short hash of the checkout this package runs from, ``-dirty`` when its code was changed.

    ``v`` and the version where it is installed without a checkout.
    """
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return f"v{__version__}"

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "src")
        return git("rev-parse", "--short", "HEAD") + "-dirty" * bool(changed)
    except (OSError, subprocess.CalledProcessError):
        return f"v{__version__}"

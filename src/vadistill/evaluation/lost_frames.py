"""Labels of videos of which frames could not be decoded: those of the frames that were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from vadistill.datasets.base import Dataset, Track, Video
from vadistill.datasets.sources import frame_times
from vadistill.datasets.tracks import Tracks
from vadistill.errors import VideoError
from vadistill.scores import Scores


def leave_out_lost(
    dataset: Dataset, scores: Mapping[str, Scores], tracks: Mapping[str, Tracks] | None = None
) -> tuple[Dataset, Mapping[str, Tracks] | None, list[str]]:
    """The data set and the tracks with labels of scored frames alone, and a note a video.

    Only videos that have fewer scores than labels are others, and of these only those whose
    frames' times tell which are missing; the lengths of others will be found unequal.
    """
    videos, notes, tracks = [], [], None if tracks is None else dict(tracks)
    for video in dataset:
        kept = kept_frames(video, scores[video.name]) if video.name in scores else None
        if kept is None or video.frame_labels is None:
            videos.append(video)
            continue
        lost = len(video.frame_labels) - len(kept)
        frames = "frame" if lost == 1 else "frames"
        notes.append(f"{video.name}: {lost} {frames} that cannot be decoded left out, with labels")
        if tracks is not None and video.name in tracks:
            tracks[video.name] = _tracks(tracks[video.name], kept)
        mask = video.mask
        videos.append(
            replace(
                video,
                frame_labels=video.frame_labels[kept],
                mask=None if mask is None else partial(_mask, mask, kept),
                tracks=tuple(_track(track, kept) for track in video.tracks),
            )
        )
    return replace(dataset, videos=tuple(videos)), tracks, notes


def kept_frames(video: Video, scores: Scores) -> Int[np.ndarray, " n"] | None:
    """The labelled frame that each score is of; None unless frames are missing and times tell."""
    labels = video.frame_labels
    if labels is None or not len(scores) < len(labels):
        return None
    if not isinstance(video.source, Path) or video.source.is_dir():
        return None
    times = np.array([frame.time for frame in scores], np.float64)
    try:
        every = frame_times(video.source)
    except VideoError:
        return None
    if len(every) == len(labels):
        after = np.searchsorted(every, times).clip(1, len(every) - 1)
        kept = after - (times - every[after - 1] < every[after] - times)
    else:
        kept = np.round(times * scores.fps).astype(np.int64)
    sound = len(kept) > 0 and kept[-1] < len(labels) and bool((np.diff(kept) > 0).all())
    return kept if sound else None


def _mask(
    mask: Callable[[int], Bool[np.ndarray, "h w"]], kept: Int[np.ndarray, " n"], index: int
) -> Bool[np.ndarray, "h w"]:
    return mask(int(kept[index]))


def _places(
    frames: Int[np.ndarray, " m"], kept: Int[np.ndarray, " n"]
) -> tuple[Bool[np.ndarray, " m"], Int[np.ndarray, " _"]]:
    """Which frames are kept, and where these are now."""
    here = np.isin(frames, kept)
    return here, np.searchsorted(kept, frames[here])


def _tracks(tracks: Tracks, kept: Int[np.ndarray, " n"]) -> Tracks:
    here, places = _places(tracks.frame, kept)
    return replace(tracks, track=tracks.track[here], frame=places, boxes=tracks.boxes[here])


def _track(track: Track, kept: Int[np.ndarray, " n"]) -> Track:
    here, places = _places(track.frames, kept)
    return replace(track, frames=places, boxes=track.boxes[here])

"""Runs that a folder holds already: none is lost for one of another model, scores or videos."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from vadistill import __version__
from vadistill.datasets.base import Dataset
from vadistill.datasets.footage import footage_hash
from vadistill.datasets.tracks import Tracks
from vadistill.detector import Detector, in_the_way
from vadistill.errors import printable
from vadistill.evaluation.given import Given
from vadistill.files import content_hash, folder_hash, read_json


def origin_of(
    scorer: Detector | Given, test: Dataset, tracks: Mapping[str, Tracks] | None = None
) -> str:
    """16 digits that two runs share which have the same scores, labels and tracks.

    They are of a detector's settings and weights, or the files of scores, and of the videos, their
    labels and hidden parts.  Empty where there are no files to tell the videos by.
    """
    try:
        parts = [*_scorer(scorer), test.name, footage_hash(test)]
    except OSError:
        return ""
    for video in test:
        given = Tracks.of(video.tracks) if tracks is None else tracks.get(video.name)
        labels = () if video.frame_labels is None else (video.frame_labels,)
        rows = () if given is None else (given.track, given.frame, given.boxes)
        parts += [video.name, *(array.tobytes() for array in (*labels, *rows))]
    return content_hash(__version__, *parts)


def check_earlier(origins: Mapping[Path, str]) -> None:
    """Raise ConfigError for a folder with a run of another origin than the one that it is to have.

    Of the same origin, scores are the same, and no figure is lost that they do not give again.
    """
    for folder, origin in origins.items():
        if not (folder / "run.json").is_file():
            continue
        try:
            kept = read_json(folder / "run.json")
            told = ": ".join(kept["facts"][name] for name in ("date", "command"))
            same = bool(origin) and kept.get("origin") == origin
            there = f"another run ({told})" if origin else f"a run ({told}) that may be another"
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            same, there = False, "a run that cannot be told from this one"
        if not same:
            raise in_the_way(folder, printable(there), "a run of the same scores and videos")


def _scorer(scorer: Detector | Given) -> Iterator[bytes | str]:
    if isinstance(scorer, Given):
        yield str(scorer)
        for path in scorer.paths:
            yield folder_hash(path) if path.is_dir() else content_hash(path)
        return
    import torch

    tensors, facts = scorer.state()
    yield from (scorer.name, json.dumps(facts, sort_keys=True, default=str))
    for name in sorted(tensors):
        yield name
        yield tensors[name].detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()

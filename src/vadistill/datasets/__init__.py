"""Data sets: lists of clips with, where they exist, frame labels, pixel masks and tracks.

Imports ``video`` and what lies below it, never what makes the data.
"""

from __future__ import annotations

from vadistill.datasets.base import Dataset, Splits, Video
from vadistill.datasets.recognise import DATASETS, Videos, open_dataset, open_source, split_of

__all__ = [
    "DATASETS",
    "Dataset",
    "Splits",
    "Video",
    "Videos",
    "open_dataset",
    "open_source",
    "split_of",
]

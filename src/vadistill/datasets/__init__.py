"""Data sets: lists of clips with, where they exist, frame labels, pixel masks and tracks."""

from __future__ import annotations

from vadistill.datasets.base import Clip, Dataset, Splits
from vadistill.datasets.recognise import DATASETS, open_dataset

__all__ = ["DATASETS", "Clip", "Dataset", "Splits", "open_dataset"]

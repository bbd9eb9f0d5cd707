"""Errors that a user can cause and mend.

Every message is one line that says what was got, what was expected, and what to do.
The command line prints that line and exits with status 2; nothing else does.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "DataError",
    "NotFittedError",
    "StorageError",
    "VadistillError",
    "VideoError",
    "WeightsError",
]


class VadistillError(Exception):
    """Base of all errors below: ``got``, ``expected`` and ``fix``, joined into one line."""

    def __init__(self, got: str, *, expected: str, fix: str) -> None:
        self.got, self.expected, self.fix = got, expected, fix
        super().__init__(" ".join(f"{got}: expected {expected}; {fix}".split()))


class VideoError(VadistillError):
    """A video, frame folder or stream cannot be opened, decoded or written."""


class DataError(VadistillError):
    """A data set, label file or score table is missing, misaligned or malformed."""


class ConfigError(VadistillError):
    """A setting, name or combination of settings is not valid."""


class WeightsError(VadistillError):
    """A checkpoint or weight file is missing, foreign, damaged or cannot be written."""


class NotFittedError(VadistillError):
    """A detector was asked to score or save before it was fitted or loaded."""


class StorageError(VadistillError):
    """The store of events or a file that belongs to it is damaged, foreign or cannot be written."""

"""What other installed packages add to a table: detectors, localisers, data sets, sinks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from vadistill.errors import ConfigError


def added(group: str) -> dict[str, Callable[[], Any]]:
    """The entry points of ``group`` by name, such as ``vadistill.localisers``.

    A value imports what its entry point names when it is called, so that a broken package breaks
    nothing else; it then raises ConfigError.
    """
    return {point.name: partial(_imported, point) for point in entry_points(group=group)}


def _imported(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # whatever another package's code raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        package = point.dist.name if point.dist else "its package"
        raise ConfigError(
            f"{point.group} '{point.name}' cannot be imported from {point.value} ({reason})",
            expected=f"what {package} says it adds",
            fix=f"update {package}, or uninstall it",
        ) from error

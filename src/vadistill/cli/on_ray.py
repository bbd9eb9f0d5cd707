"""What verbs that may run on a Ray cluster ask and tell alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vadistill.cli.terminal import console
from vadistill.errors import ConfigError

if TYPE_CHECKING:
    from vadistill.cluster.run import Archive


def cluster_address(ray: Sequence[str], workers: int | None) -> str:
    """The address that ``--ray`` asks for; raises ConfigError, also without Ray."""
    from vadistill.cluster.connecting import LOCAL, check_address

    if len(ray) > 1:
        raise ConfigError(
            f"{len(ray)} words after --ray",
            expected="one address, or none for a cluster of this machine's own",
            fix="give what else there is before it",
        )
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers {workers}", expected="1 or more", fix="correct it")
    address = ray[0] if ray else LOCAL
    check_address(address)
    return address


def check_workers(workers: int | None) -> None:
    """Raise ConfigError for ``--workers`` where there is no ``--ray``."""
    if workers is not None:
        raise ConfigError("--workers without --ray", expected="both", fix="add --ray")


def show_work(archive: Archive) -> None:
    """How fast it was, and which workers died."""
    if not archive.workers:
        return
    died = f", {archive.deaths} died and their videos were done again" * bool(archive.deaths)
    console().print(
        f"[dim]{archive.frames:,} frames at {archive.speed:.1f} frames/s by {archive.workers} "
        f"worker{'s' * (archive.workers != 1)}{died}[/]",
        soft_wrap=True,
    )

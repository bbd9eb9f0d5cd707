"""Features of an archive's videos, made on Ray: in one store, of which the driver keeps the list.

Workers write rows, each file whole; ``manifest.json`` has one writer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vadistill.backbones import Crops
from vadistill.backbones.extraction import Extracted, Tally, features_of, opened, videos_of
from vadistill.backbones.store import Facts, FeatureStore, file_of
from vadistill.cluster.connecting import LOCAL, check_address
from vadistill.cluster.run import Archive, Run, environment, places_of
from vadistill.cluster.worker import Done, Plan, Task, Worker
from vadistill.devices import Device
from vadistill.files import content_hash

NOTED_EVERY = 5.0
"""Seconds between two times that ``manifest.json`` is written, which takes longer as it grows."""


@dataclass(frozen=True, kw_only=True)
class ExtractionPlan(Plan):
    """By which backbones, and where to."""

    backbones: tuple[str, ...]
    crops: Crops
    store: Path


@dataclass(frozen=True, eq=False, kw_only=True)
class Featured(Done):
    """What the store holds of a video."""

    entries: dict[str, Facts] = field(default_factory=dict)
    damaged: int = 0
    """Entries that were made again."""
    tally: Tally = field(default_factory=Tally)

    def facts(self) -> dict[str, Any]:
        files = [file_of(name) for name in self.entries]
        return {**super().facts(), "files": files, "entries": self.entries}


class Extractor(Worker[ExtractionPlan]):
    """Backbones that are opened once, for one video at a time."""

    def open(self) -> None:
        plan = self.plan
        self.backbones = opened(plan.backbones, device=plan.device, crops=plan.crops)

    def do(self, task: Task) -> Featured:
        """Have a video's rows in the store; what of it is there stays."""
        store, tally = FeatureStore(self.plan.store, listed=False), Tally()
        features_of(task.video, [*self.backbones], store, self.backbones.__getitem__, tally=tally)
        damaged = len(store.damaged)
        return Featured(frames=tally.frames, entries=store.entries, damaged=damaged, tally=tally)


@dataclass
class ExtractedArchive(Archive):
    """What extraction from an archive came to; ``made`` is as without Ray, but for failures."""

    made: Extracted = field(default_factory=lambda: Extracted("", [], {}))


def extract_archive(
    data: Path | Sequence[Path],
    out: Path,
    *,
    backbones: Sequence[str] = ("compact",),
    crops: Crops = 1,
    device: Device = "auto",
    address: str = LOCAL,
    workers: int | None = None,
) -> ExtractedArchive:
    """Features of every 16 frames of a data set's videos, in the store ``out``, made on Ray.

    ``data``: a data set, or addresses of videos and patterns, which workers fetch and delete.

    ``out``/_manifest.jsonl lists the videos, done and failed; what is done is left out by a run
    again.  ``workers`` of one core each, by default one a core of the cluster; unless ``device`` is
    cpu they share its GPUs.  Raises DataError where there are no videos, ConfigError, WeightsError;
    a video that cannot be read is among the ``errors``.
    """
    check_address(address)
    name, videos = videos_of(data)
    found = opened(backbones, device="cpu", crops=crops)
    run = _Extraction(
        ExtractedArchive(made=Extracted(name, [*found.values()], dict.fromkeys(found, 0))),
        ExtractionPlan(
            device=device,
            folder=Path.cwd(),
            environment=environment(),
            backbones=tuple(found),
            crops=crops,
            store=out.absolute(),
        ),
    )
    run.over(videos, places_of(videos), address, workers)
    return run.archive


class _Extraction(Run[ExtractedArchive, Featured]):
    """A run that extracts; it alone writes the store's manifest."""

    label = "extracting"

    def __init__(self, archive: ExtractedArchive, plan: ExtractionPlan) -> None:
        prints = {each.fingerprint for each in archive.made.backbones}
        kind = content_hash("features", *sorted(prints))
        super().__init__(archive, plan.store, plan, Extractor, kind)
        self._store = FeatureStore(plan.store)
        self._new: dict[str, Facts] = {}
        self._noted = time.monotonic()

    def skip(self, line: Mapping[str, Any]) -> None:
        self._count(line["entries"])

    def take(self, task: Task, done: Featured) -> Featured:
        """Count and list what is in the store."""
        self._count(done.entries)
        self.archive.made.damaged += done.damaged
        self.archive.made.tally.add(done.tally)
        if time.monotonic() - self._noted > NOTED_EVERY:
            self.end()
        return done

    def end(self) -> None:
        """Write the store's manifest."""
        self._store.note(self._new)
        self._new, self._noted = {}, time.monotonic()

    def _count(self, entries: Mapping[str, Facts]) -> None:
        made = self.archive.made
        made.videos += 1
        for name, facts in entries.items():
            for backbone in made.backbones:
                if name.startswith(f"{backbone.fingerprint}/"):
                    made.rows[backbone.name] += int(facts["clips"])
        self._new |= entries

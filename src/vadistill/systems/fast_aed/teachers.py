"""Who teaches the student: fitted from one pass over the video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vadistill import objects
from vadistill.datasets.sampling import Sample, clip_names
from vadistill.detector import Detector
from vadistill.errors import ConfigError
from vadistill.files import content_hash
from vadistill.objects.learning import (
    Wanted,
    fit_localiser,
    is_fitted_there,
    learn_in_one_pass,
    localiser_key,
)
from vadistill.objects.patches import PatchStore
from vadistill.systems import fitted_or_new
from vadistill.systems.fast_aed.data import WindowFiles
from vadistill.systems.fast_aed.targets import is_complete
from vadistill.systems.object_centric import ObjectCentric

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.devices import Device

OWN = "fast_aed"


def open_teacher(
    name: str, train: Dataset, work: Path, *, localiser: str, device: Device
) -> tuple[Detector, Path]:
    """A teacher by name, and its folder: fitted if it is there, else it is to be fitted to there.

    ``name`` is ``SYSTEM``, ``SYSTEM:RECIPE``, or the folder of a fitted detector
    (``fitted_or_new``).  Raises ConfigError, WeightsError.
    """
    if name.partition(":")[0] == OWN and not Path(name).is_dir():
        raise ConfigError(
            f"teacher '{name}'", expected="a system that is no student of others", fix="use aed"
        )
    return fitted_or_new(name, train, work, what="teacher", localiser=localiser, device=device)


def fingerprint(folder: Path) -> str:
    """That of a fitted teacher's config.json, which holds that of its weights."""
    return content_hash(folder / "config.json")


def learn_shared_patches(
    teachers: Sequence[tuple[Detector, Path | None]],
    train: Dataset,
    work: Path,
    *,
    frames: int | None,
    windows: WindowFiles,
) -> list[PatchStore | None]:
    """Write windows, and the patches that teachers learn from or teach by, in one pass.

    Given are the teachers, each with the folder of its maps once it is fitted, and how many frames
    the student keeps.  Returned is for each the store that its maps can be made from: None for one
    that is no ObjectCentric, has another localiser than the first, or has its maps complete.
    """
    centric = [t for t, _ in teachers if isinstance(t, ObjectCentric)]
    localiser = objects.build(centric[0].localiser.describe()) if centric else None
    key = localiser_key(localiser, train) if localiser else ""
    sample = Sample.of(train, frames, work)
    wanted: dict[Wanted, None] = {}
    taught_by: list[Wanted | None] = []
    for teacher, maps in teachers:
        taught_by.append(None)
        if not localiser or not isinstance(teacher, ObjectCentric):
            continue
        if localiser_key(teacher.localiser, train) != key:
            continue
        fitted = teacher.calibration is not None
        if maps and all(is_complete(maps / name) for name in clip_names(train)):
            continue
        if fitted:
            fit_localiser(localiser, train, work)
            if not is_fitted_there(teacher.localiser, train, work):
                continue
        learned = Wanted(teacher.training_cut, teacher.config.frames)
        of_learned = Sample.of(train, learned.frames, work)
        covers = of_learned.keeps_all or of_learned == sample
        if covers and (not fitted or learned.folder(work, key).exists()):
            taught_by[-1] = learned
        else:
            taught_by[-1] = Wanted(teacher.cut, frames)
        wanted |= dict.fromkeys([taught_by[-1]] if fitted else [learned, taught_by[-1]])
    made = learn_in_one_pass(
        train, work, localiser=localiser, wanted=list(wanted), beside=[windows]
    )
    stores = dict(zip(wanted, made, strict=True))
    return [want and stores[want] for want in taught_by]

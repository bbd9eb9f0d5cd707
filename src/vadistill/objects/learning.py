"""What training needs of objects: a localiser fitted once, and patches cut in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from vadistill.datasets.sampling import Sample, clip_names, data_key, known_lengths
from vadistill.errors import DataError
from vadistill.files import content_hash, files_named, replacing
from vadistill.objects.base import Localiser
from vadistill.objects.patches import MOVES, Cut, FramePatches, PatchStore, cut_frames
from vadistill.progress import progress
from vadistill.video import Frame

if TYPE_CHECKING:
    from vadistill.datasets import Dataset, Video


def fit_localiser(localiser: Localiser, train: Dataset, work: Path) -> str:
    """Fit a localiser once for all that share ``work``; return a hash of data and description.

    What it learned lies in ``work`` and is read from there the next time.
    """
    key = localiser_key(localiser, train)
    path = _learned(work, key)
    if path.exists():
        with np.load(path) as learned:
            localiser.restore(dict(learned))
        return key
    localiser.fit(train)
    arrays: dict[str, Any] = localiser.arrays()
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)
    return key


def localiser_key(localiser: Localiser, train: Dataset) -> str:
    """A hash of what a localiser learns from, and of how it is described."""
    described = localiser.describe()
    return content_hash(data_key(train), repr(described), *files_named(described))


def is_fitted_there(localiser: Localiser, train: Dataset, work: Path) -> bool:
    """Whether ``fit_localiser`` in ``work`` gives what this fitted localiser has learned."""
    path = _learned(work, localiser_key(localiser, train))
    if not path.exists():
        return False
    own = localiser.arrays()
    with np.load(path) as learned:
        return own.keys() == set(learned) and all(
            np.array_equal(own[name], learned[name], equal_nan=own[name].dtype.kind == "f")
            for name in own
        )


def _learned(work: Path, key: str) -> Path:
    return work / f"localiser-{key}.npz"


@dataclass(frozen=True)
class Wanted:
    """Patches to store: how they are cut, and of how many training frames (None: all)."""

    cut: Cut
    frames: int | None

    def folder(self, work: Path, located: str) -> Path:
        """Where they lie; ``located`` is the localiser's key."""
        return work / f"patches-{content_hash(located, str(self.frames), repr(self.cut))}"


@runtime_checkable
class Beside(Protocol):
    """What else is written from the frames of a pass, one file set a video."""

    def is_complete(self, number: int) -> bool:
        """Whether video ``number`` need not be done again."""
        ...

    def recording(self, number: int) -> AbstractContextManager[Callable[[Frame], None]]:
        """Take every frame of video ``number`` in order; it is complete when this is left."""
        ...


def learn_patches(
    train: Dataset, work: Path, *, localiser: Localiser, cut: Cut, frames: int | None
) -> PatchStore:
    """Fit the localiser, write the patches of evenly spaced training frames to ``work``, map them.

    ``frames`` are kept (None: all), the same share of each video.  Every frame is localised, since
    background models need the sequence.  A video that is complete is not done again, whichever
    system left it there.  Raises DataError when the localiser finds nothing at all.
    """
    wanted = [Wanted(cut, frames)]
    (store,) = learn_in_one_pass(train, work, localiser=localiser, wanted=wanted)
    if len(store) < 2:
        raise DataError(
            f"the localiser found {len(store)} moving objects in {train.name}",
            expected="normal video with people or things that move",
            fix="train on more video, or choose another --localiser",
        )
    return store


def learn_in_one_pass(
    train: Dataset,
    work: Path,
    *,
    localiser: Localiser | None,
    wanted: Sequence[Wanted],
    beside: Sequence[Beside] = (),
) -> list[PatchStore]:
    """``learn_patches`` of several cuts with one localiser, and what is written beside them.

    Each video is decoded once, unless all is complete, and each of its frames localised once;
    without a cut none is.
    """
    names = clip_names(train)
    located = fit_localiser(localiser, train, work) if localiser and wanted else ""
    samples = [Sample.of(train, want.frames, work) for want in wanted]
    folders = [want.folder(work, located) for want in wanted]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    lengths = known_lengths(train, work)
    with progress("patches" if wanted else "frames", sum(lengths)) as advance:
        for number, (video, name) in enumerate(zip(train, names, strict=True)):
            files = [
                PatchFiles(folder / name, want.cut, partial(sample.keeps, number))
                for folder, want, sample in zip(folders, wanted, samples, strict=True)
            ]
            files = [file for file in files if not file.is_complete]
            others = [other for other in beside if not other.is_complete(number)]
            if files or others:
                _write(video, number, localiser, files, others, partial(advance, note=video.name))
            else:
                advance(lengths[number])
    return [
        PatchStore(folder, names, content_hash(located, str(want.frames)), want.cut, sample)
        for folder, want, sample in zip(folders, wanted, samples, strict=True)
    ]


class PatchFiles:
    """The patches of one video, on their way to the files of a store."""

    def __init__(self, stem: Path, cut: Cut, keeps: Callable[[int], bool]) -> None:
        self.stem, self.cut, self.keeps = stem, cut, keeps
        self._frames: list[FramePatches] = []

    def _file(self, kind: str) -> Path:
        return self.stem.with_name(f"{self.stem.name}.{kind}.npy")

    @property
    def is_complete(self) -> bool:
        """Whether all files are there; earlier versions left some out."""
        return all(self._file(kind).exists() for kind in ("counts", "boxes", "moves"))

    def add(self, frame: FramePatches) -> None:
        """Take the patches of the next kept frame."""
        self._frames.append(frame)

    def write(self) -> None:
        """Write the files, each atomically."""
        cut, side, frames = self.cut, self.cut.size, self._frames
        patches = np.zeros((0, len(cut.offsets), side, side, 3), np.uint8)
        flow = np.zeros((0, len(cut.flows), 2, side, side), np.float16)
        boxes = np.zeros((0, 4), np.float32)
        moves = np.zeros((0, len(MOVES) if cut.reach else 0), np.float32)
        arrays = {
            "patches": np.concatenate([patches, *(frame.patches for frame in frames)]),
            "flow": np.concatenate([flow, *(frame.flow for frame in frames)]),
            "boxes": np.concatenate([boxes, *(frame.boxes for frame in frames)]),
            "moves": np.concatenate([moves, *(frame.moves for frame in frames)]),
            # Last: it marks the video as complete.
            "counts": np.array([len(frame.boxes) for frame in frames], np.int64),
        }
        for kind, array in arrays.items():
            with replacing(self._file(kind)) as temporary:
                np.save(temporary, array)


def _write(
    video: Video,
    number: int,
    localiser: Localiser | None,
    files: Sequence[PatchFiles],
    beside: Sequence[Beside],
    advance: Callable[[], None],
) -> None:
    """One pass over a video; ``advance`` is called for each of its frames."""
    source = video.open()
    with ExitStack() as stack:
        takers = [stack.enter_context(other.recording(number)) for other in beside]

        def watched() -> Iterator[Frame]:
            for frame in source:
                for take in takers:
                    take(frame)
                yield frame
                advance()

        if not files or localiser is None:
            for _ in watched():
                pass
            return
        localiser.start(source.info)
        wanted = [(file.cut, file.keeps) for file in files]
        for made in cut_frames(watched(), localiser, wanted, fps=source.info.fps):
            for file, patches in zip(files, made, strict=True):
                if patches is not None:
                    file.add(patches)
    for file in files:
        file.write()

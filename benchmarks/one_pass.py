"""What one pass over the video brings to fast_aed's preparation: all of ``fit`` before training.

    python benchmarks/one_pass.py --data UCSDped2 [--videos 4] [--smoke] [--out results.json]

Both ways give the same: patches that ``aed`` and ``ssmtl`` learn from by default, those from which
their maps are made, and the student's windows.  The former way learns the localiser for each
teacher, localises every video for its patches and once more for its maps, with flow for every
frame, and decodes for the windows twice, to count and to write; now it is one pass.  The teachers'
networks, which score all frames in the former way and the kept ones now, are left out of both.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from rows import Rows

from vadistill import objects
from vadistill.datasets import Dataset, open_dataset
from vadistill.datasets.sampling import Sample, clip_names
from vadistill.evaluation.runs import run_facts
from vadistill.objects.learning import PatchFiles, learn_in_one_pass
from vadistill.objects.patches import frame_patches
from vadistill.reproduce.records import of_measurement
from vadistill.reproduce.tables import markdown_table
from vadistill.systems import aed, fast_aed, ssmtl
from vadistill.systems.aed.detector import Aed
from vadistill.systems.fast_aed.data import WindowFiles, fit_size
from vadistill.systems.fast_aed.teachers import learn_shared_patches
from vadistill.systems.object_centric import ObjectCentric
from vadistill.systems.ssmtl.detector import Ssmtl

OFFSETS = (-3, 0, 3)


def teachers(frames: int, localiser: str) -> list[ObjectCentric]:
    return [
        Aed(replace(aed.Config(), frames=frames, localiser=localiser), device="cpu"),
        Ssmtl(replace(ssmtl.Config(), frames=frames, localiser=localiser), device="cpu"),
    ]


def windows(train: Dataset, work: Path, frames: int) -> WindowFiles:
    info = next(iter(train)).open().info
    size = fit_size(info.width, info.height, fast_aed.Config().width)
    sample = Sample.of(train, frames)
    return WindowFiles(train, work / "windows", sample=sample, offsets=OFFSETS, size=size)


def former(train: Dataset, work: Path, frames: int, localiser: str) -> None:
    """A localiser, patches and maps for each teacher, then windows."""
    sample = Sample.of(train, frames)
    for teacher in teachers(frames, localiser):
        own = objects.build_for_patches(localiser)
        own.fit(train)
        folder = work / teacher.name
        folder.mkdir()
        for number, (video, name) in enumerate(zip(train, clip_names(train), strict=True)):
            keeps = partial(sample.keeps, number)
            files = PatchFiles(folder / name, teacher.training_cut, keeps)
            for patches in frame_patches(video.open(), own, files.cut):
                if keeps(patches.index):
                    files.add(patches)
            files.write()
        for video in train:
            for _ in frame_patches(video.open(), own, teacher.cut):
                pass
    for video in train:
        sum(1 for _ in video.open())
    files = windows(train, work, frames)
    learn_in_one_pass(train, work, localiser=None, wanted=(), beside=[files])


def now(train: Dataset, work: Path, frames: int, localiser: str) -> None:
    """All in one pass; the patches that maps are made from are read."""
    taught = teachers(frames, localiser)
    stores = learn_shared_patches(
        [(teacher, None) for teacher in taught],
        train,
        work,
        frames=frames,
        windows=windows(train, work, frames),
    )
    for teacher, store in zip(taught, stores, strict=True):
        assert store is not None
        for number in range(len(train)):
            for _ in store.frames(number, teacher.cut, lambda index: True):
                pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--videos", type=int, default=4, help="training videos; 0 takes all")
    parser.add_argument("--frames", type=int, default=160, help="frames that are kept")
    parser.add_argument("--localiser", default="background")
    parser.add_argument("--smoke", action="store_true", help="one video, 16 frames kept")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    count, frames = (1, 16) if arguments.smoke else (arguments.videos, arguments.frames)
    whole = open_dataset(arguments.data).train
    train = replace(whole, videos=whole.videos[: count or None])
    command = f"python benchmarks/one_pass.py --data {arguments.data.name}"
    facts = run_facts(device="cpu", command=f"{command} --videos {count} --frames {frames}")
    rows = Rows(arguments.out)
    former_seconds = 0.0
    for name, way in (("a pass for each", former), ("one pass", now)):
        with tempfile.TemporaryDirectory() as folder:
            # Processor time: other work on the machine does not count.
            start = time.process_time()
            way(train, Path(folder), frames, arguments.localiser)
            seconds = time.process_time() - start
        former_seconds = former_seconds or seconds
        rows.add(
            of_measurement(
                "seconds",
                round(seconds, 2),
                system="fast_aed",
                variant=f"preparation, {name}",
                dataset=whole.name,
                note=f"{len(train)} videos, {frames} frames kept; processor time",
                ratio_to=f"{seconds / former_seconds:.2f} x a pass for each",
                facts=facts,
            )
        )
    print(markdown_table(rows))


if __name__ == "__main__":
    main()

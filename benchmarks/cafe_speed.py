"""Where CAFE's time goes, and what each step of the fast path brought.

    python benchmarks/cafe_speed.py --data UCSDped2 [--model MODEL.vad] [--out results.json]

Prints and records, all from one run on one machine, synchronised and after a warm-up:
patches a second of each runtime for the paper's networks and the compact pair (with the ratio to
plain PyTorch), the share of decoding, localising, cropping and networks in a frame, and
decode-to-score frames a second of ``motion`` and of saved models.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from rows import Rows

import vadistill
from vadistill import objects
from vadistill.backbones.teachers import ARCHITECTURES, PATCH, ResNet
from vadistill.datasets import open_dataset
from vadistill.distill import FrozenTeacher
from vadistill.evaluation.runs import run_facts
from vadistill.objects.patches import Cut, frame_patches
from vadistill.program import Arrays
from vadistill.reproduce.records import of_measurement
from vadistill.runtime import Runtime, open_runtime
from vadistill.systems import motion
from vadistill.systems.cafe.model import PatchScorer, as_program, scorer_inputs


def seconds(run: Callable[[], object], repeats: int = 3) -> float:
    """Median wall seconds of ``run`` after one warm-up (CPU work is synchronous)."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def unfused(scorer: PatchScorer, inputs: Arrays) -> Callable[[], object]:
    """The obvious implementation: PyTorch, default memory format, one patch after the other."""
    tensors = [torch.from_numpy(array) for array in inputs]

    @torch.inference_mode()
    def run() -> None:
        for i in range(len(tensors[0])):
            scorer(*(tensor[i : i + 1] for tensor in tensors))

    return run


def network_rates(patches: np.ndarray, pair: tuple[str, str]) -> dict[str, float]:
    """Patches a second by runtime; random weights take the same time as trained ones."""
    torch.manual_seed(0)
    teacher, student = (ResNet(ARCHITECTURES[name]) for name in pair)
    scorer = PatchScorer(
        FrozenTeacher(teacher), student, torch.nn.ModuleDict(), layers=4, reduction="mean"
    ).eval()
    none = np.zeros((len(patches), 0, 2, 32, 32), np.float16)
    few, inputs = scorer_inputs(patches[:32], none[:32]), scorer_inputs(patches, none)
    rates = {"torch, one event at a time": len(few[0]) / seconds(unfused(scorer, few))}

    def opened(name: str, batch: int = 128) -> Runtime:
        return open_runtime(as_program(scorer, [few], batch=batch), name, torch.device("cpu"))

    runtimes = {
        "onnx fp32, one frame at a time": opened("onnx", 16),
        "onnx fp32, batched over frames": opened("onnx"),
        "onnx int8, batched over frames": opened("onnx-int8"),
        "torch fp32, channels last, batched": opened("torch"),
        "torch bf16, channels last, batched": opened("torch-bf16"),
    }
    for name, runtime in runtimes.items():
        rates[name] = len(patches) / seconds(lambda runtime=runtime: runtime(*inputs))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, action="append", default=[], help="saved detectors")
    parser.add_argument(
        "--frames", type=int, default=200, help="frames of the decode-to-score runs"
    )
    parser.add_argument("--smoke", action="store_true", help="two frames, the compact pair")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    command = "python benchmarks/cafe_speed.py --data " + arguments.data.name
    splits = open_dataset(arguments.data)
    clip = splits.test.videos[0]
    rows = Rows(arguments.out)
    if arguments.smoke:
        arguments.frames = 2

    def record(variant: str, metric: str, value: float, note: str = "", ratio: str = "") -> None:
        rows.add(
            of_measurement(
                metric,
                value,
                system="motion" if variant.startswith("motion") else "cafe",
                variant=variant,
                dataset=splits.test.name,
                seconds=0.0,
                note=note,
                ratio_to=ratio or None,
                facts=run_facts(device="cpu", command=command),
            )
        )

    localiser = objects.build("background")
    localiser.fit(splits.train)
    seen = 8 if arguments.smoke else 64
    start = time.perf_counter()
    frames = list(islice(frame_patches(clip.open(), localiser, Cut(PATCH, (-1, 0, 1))), seen))
    events_seconds = (time.perf_counter() - start) / len(frames)
    patches = np.concatenate([f.patches for f in frames])[: 32 if arguments.smoke else 256]
    record("decode, localise, crop", "ms_per_frame", 1e3 * events_seconds)
    start = time.perf_counter()
    decoded = sum(1 for _ in islice(clip.open(), seen))
    record("decode", "ms_per_frame", 1e3 * (time.perf_counter() - start) / decoded)
    pairs = {"paper": ("resnet34", "resnet9"), "compact": ("narrow34", "narrow9")}
    for label, pair in list(pairs.items())[1 if arguments.smoke else 0 :]:
        rates = network_rates(patches, pair)
        first = next(iter(rates))
        for name, rate in rates.items():
            ratio = f"{rate / rates[first]:.1f} x {label}: {first}"
            record(f"{label}: {name}", "events_per_s", rate, ratio=ratio)
    models = [vadistill.load(path, device="cpu") for path in arguments.model]
    with tempfile.TemporaryDirectory() as folder:
        baseline = motion.Motion().fit(splits.train, out=folder)
    for detector, name in [
        (baseline, "motion"),
        *zip(models, map(str, arguments.model), strict=True),
    ]:
        for _ in islice(detector.stream(clip.open()), min(32, arguments.frames)):
            pass
        start, done = time.perf_counter(), 0
        while done < arguments.frames:
            for test_clip in splits.test:
                done += sum(
                    1 for _ in islice(detector.stream(test_clip.open()), arguments.frames - done)
                )
        record(Path(name).stem, "fps", done / (time.perf_counter() - start), "decode to score")


if __name__ == "__main__":
    main()

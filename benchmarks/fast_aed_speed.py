"""How fast fast_aed's students are, and where their time goes.

    python benchmarks/fast_aed_speed.py --video VIDEO [--out results.json]
    python benchmarks/fast_aed_speed.py --device cuda --batch 64 [--out results.json]

Prints and records, all from one run on one machine, synchronised and after a warm-up: parameters
and multiply-accumulates of ``reference``, ``paper`` and ``lite``; of each runtime the latency of a
window and windows a second in batches; on a CPU, frames a second from decoding to scores on VIDEO
at 640x360 and 360x240, too; and the share of each kind of operator.  Random weights take the same
time as trained ones.  Ratios are to ``reference`` in plain PyTorch, in batches or from decoding to
scores.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from rows import Rows
from torch.profiler import ProfilerActivity, profile

from vadistill.evaluation.runs import run_facts
from vadistill.levels import Calibration
from vadistill.objects.maps import MapBoxes
from vadistill.reproduce.records import of_measurement
from vadistill.runtime import Runtime, open_runtime
from vadistill.systems.fast_aed import Config, FastAed
from vadistill.systems.fast_aed.data import Size, resized
from vadistill.systems.fast_aed.model import Student, count_parameters, frame_score, macs_per_window
from vadistill.systems.fast_aed.scoring import as_program
from vadistill.video import open_video
from vadistill.video.writer import VideoWriter

STUDENTS = ("reference", "paper", "lite")
SIZES: tuple[Size, ...] = ((360, 640), (240, 360))
PUBLISHED = {"parameters": 4_997_846, "gmac": 7.05}
"""Of the public configuration at 9x640x360."""

Run = Callable[[int], object]
"""Scores so many frames, synchronised."""


def seconds(run: Callable[[], object], at_least: float) -> float:
    """Median wall seconds of ``run`` after a warm-up: 3 times or more, ``at_least`` seconds."""
    run()
    times: list[float] = []
    while len(times) < 3 or sum(times) < at_least:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def untrained(name: str, size: Size) -> Student:
    torch.manual_seed(0)
    architecture = Config(architecture=name).network  # pyright: ignore[reportArgumentType]
    return Student(architecture, size).eval()


def torch_run(
    student: Student, windows: torch.Tensor, *, compiled: bool = False, graph: bool = False
) -> Run:
    """Scores of windows in PyTorch, in the type of the student's weights, on its device."""

    def score(windows: torch.Tensor) -> torch.Tensor:
        return frame_score(student(windows))

    if compiled:
        score = torch.compile(score)

    @torch.inference_mode()
    def run(count: int) -> None:
        score(windows[:count])
        if windows.is_cuda:
            torch.cuda.synchronize()

    if not graph:
        return run
    graphs: dict[int, torch.cuda.CUDAGraph] = {}

    @torch.inference_mode()
    def replay(count: int) -> None:
        if count not in graphs:
            for _ in range(3):
                score(windows[:count])
            torch.cuda.synchronize()
            graphs[count] = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graphs[count]):
                score(windows[:count])
        graphs[count].replay()
        torch.cuda.synchronize()

    return replay


def cpu_runs(
    student: Student, windows: np.ndarray, *, compiling: bool = True
) -> Iterator[tuple[str, Run, float | None]]:
    """Each runtime by name, with its highest difference to PyTorch's scores."""
    exact, _ = opened(student, "torch", windows)(windows[:4])
    given = torch.from_numpy(windows)
    yield "torch eager", torch_run(student, given), None
    if compiling:
        yield "torch compiled", torch_run(student, given, compiled=True), None
    for label, name in (("onnx fp32", "onnx"), ("onnx int8", "onnx-int8")):
        runtime = opened(student, name, windows)
        difference = float(np.abs(runtime(windows[:4])[0] - exact).max())
        yield label, lambda count, runtime=runtime: runtime(windows[:count]), difference


def opened(student: Student, runtime: str, seen: np.ndarray) -> Runtime:
    """The student in a runtime on the CPU; ranges of 8 bits are those of the first windows."""
    program = as_program(student, runtime, int8=[(seen[:4],)])
    return open_runtime(program, runtime, torch.device("cpu"))


def cuda_runs(
    student: Student, windows: np.ndarray, *, compiling: bool = True
) -> Iterator[tuple[str, Run, float | None]]:
    """On a GPU: fp32 without and with TF32, then both half precisions.

    Eager, as a CUDA graph, and in fp16 compiled, too; windows lie on the GPU, and cuDNN chooses
    among its convolutions by trial.
    """
    student = student.cuda().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    given = torch.from_numpy(windows).cuda().contiguous(memory_format=torch.channels_last)
    torch.backends.cudnn.benchmark = True
    exact = None
    for name in ("fp32", "tf32", "fp16", "bf16"):
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(name, torch.float32)
        cast = copy.deepcopy(student).to(dtype)
        with torch.inference_mode():
            scores = frame_score(cast(given)).float()
        exact = scores if exact is None else exact
        difference = float((scores - exact).abs().max())
        yield f"torch eager {name}", torch_run(cast, given), difference
        yield f"torch CUDA graph {name}", torch_run(cast, given, graph=True), difference
        if name == "fp16" and compiling:
            compiled = torch_run(cast, given, compiled=True)
            yield f"torch compiled {name}", compiled, difference
            graph = torch_run(cast, given, compiled=True, graph=True)
            yield f"torch compiled CUDA graph {name}", graph, difference


def operator_shares(
    student: Student, windows: np.ndarray, device: Literal["cpu", "cuda"]
) -> list[tuple[str, float]]:
    """The share of time of each kind of operator in eager PyTorch, the largest first."""
    run = torch_run(student.to(device), torch.from_numpy(windows).to(device))
    run(len(windows))
    activities = {ProfilerActivity.CPU}  # named twice, the CPU is no activity for the profiler
    if device == "cuda":
        activities.add(ProfilerActivity.CUDA)
    with profile(activities=activities) as recorded:
        run(len(windows))
    field = f"self_{device if device == 'cpu' else 'device'}_time_total"
    events = [e for e in recorded.key_averages() if "aten::" in e.key]
    times = {e.key: getattr(e, field) for e in events}
    total = sum(times.values())
    return sorted(((key, t / total) for key, t in times.items()), key=lambda kt: -kt[1])


def detector_for(student: Student, name: str, runtime: str, seen: np.ndarray) -> FastAed:
    """The student as a detector, with ranges and levels as if it had been fitted."""
    config = replace(Config(architecture=name, runtime=runtime))  # pyright: ignore[reportArgumentType]
    detector = FastAed(config, device="cpu")
    detector.student, detector.boxes_at = student, MapBoxes(0.5)
    detector.calibration = Calibration.fit([0.0, 1.0])
    detector.runtime = opened(student, runtime, seen)
    return detector


def resized_video(source: Path, size: Size, frames: int, folder: Path) -> Path:
    """The first frames of a video, repeated as needed, at a size as H.264."""
    path = folder / f"{size[1]}x{size[0]}.mp4"
    with VideoWriter(path, width=size[1], height=size[0], fps=25) as writer:
        written = 0
        while written < frames:
            for frame in islice(open_video(source), frames - written):
                writer.write(resized(frame.image, size))
                written += 1
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, help="any video file or frame folder, on CPUs")
    parser.add_argument("--frames", type=int, default=300, help="of the decode-to-score runs")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--smoke", action="store_true", help="lite at 144x96, without compiling")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    on_cpu = arguments.device == "cpu"
    students, sizes, least = STUDENTS, SIZES, 2.0 if on_cpu else 0.5
    if arguments.smoke:
        students, sizes, least = ("lite",), ((96, 144),), 0.0
        arguments.batch, arguments.frames = 2, 10
    if on_cpu and arguments.video is None:
        parser.error("--video is needed on a CPU")
    given = "--video VIDEO" if on_cpu else f"--device cuda --batch {arguments.batch}"
    command = f"python benchmarks/fast_aed_speed.py {given}"
    rows = Rows(arguments.out)
    firsts: dict[str, float] = {}

    def record(
        variant: str, metric: str, value: float, note: str = "", *, paper: float | None = None
    ) -> None:
        first = firsts.setdefault(metric, value)
        compared = metric in ("latency_ms", "fps")
        ratio = f"{value / first:.2f} x reference" if compared else None
        rows.add(
            of_measurement(
                metric,
                value,
                system="fast_aed",
                variant=variant,
                dataset="",
                paper=paper,
                seconds=0.0,
                note=note,
                ratio_to=ratio,
                facts=run_facts(device=arguments.device, command=command),
            )
        )

    rng = np.random.default_rng(0)
    size = sizes[0]
    shown = f"{size[1]}x{size[0]}"
    for name in students:
        student = untrained(name, size)
        known = PUBLISHED if name == "reference" else {}
        record(name, "parameters", count_parameters(student), paper=known.get("parameters"))
        gmac = macs_per_window(student) / 1e9
        record(name, "gmac", gmac, shown, paper=known.get("gmac"))
    for name in students:
        student = untrained(name, size)
        windows = rng.integers(0, 256, (arguments.batch, 9, *size), np.uint8)
        runs = cpu_runs if on_cpu else cuda_runs
        for runtime, run, difference in runs(student, windows, compiling=not arguments.smoke):
            note = shown
            if difference is not None:
                note += f", scores differ from PyTorch's in fp32 by {difference:.1e} at most"
            single = seconds(lambda run=run: run(1), least)
            record(f"{name}, {runtime}, batch 1", "latency_ms", 1e3 * single, note)
            batched = seconds(lambda run=run: run(arguments.batch), least) / arguments.batch
            record(f"{name}, {runtime}, batch {arguments.batch}", "fps", 1 / batched, note)
    for name in students[::2]:
        windows = rng.integers(0, 256, (8, 9, *size), np.uint8)
        for key, share in operator_shares(untrained(name, size), windows, arguments.device)[:6]:
            record(f"{name}: {key}", "share_of_time", share, "torch eager, batch 8")
    if on_cpu:
        firsts.pop("fps")
        with tempfile.TemporaryDirectory() as folder:
            for size in sizes:
                video = resized_video(arguments.video, size, arguments.frames, Path(folder))
                for name, runtime in (
                    ("reference", "torch"),
                    ("reference", "onnx"),
                    ("lite", "onnx"),
                    ("lite", "onnx-int8"),
                ):
                    if name not in students:
                        continue
                    seen = rng.integers(0, 256, (4, 9, *size), np.uint8)
                    detector = detector_for(untrained(name, size), name, runtime, seen)
                    frames = arguments.frames if name == "lite" else arguments.frames // 5
                    for _ in islice(detector.stream(open_video(video)), 32):
                        pass
                    start = time.perf_counter()
                    done = sum(1 for _ in islice(detector.stream(open_video(video)), frames))
                    fps = done / (time.perf_counter() - start)
                    record(f"{name}, {runtime}, decode to score {size[1]}x{size[0]}", "fps", fps)


if __name__ == "__main__":
    main()

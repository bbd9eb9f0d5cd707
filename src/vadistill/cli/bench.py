"""``vadistill bench``: how fast models are here, by part, end to end, and for how many cameras."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from vadistill.cli.terminal import Device, console, parse, plain, table
from vadistill.errors import ConfigError

if TYPE_CHECKING:
    from vadistill.evaluation.speed import Speed

EXAMPLES = """
vadistill bench entrance.vad --video today.mp4
vadistill bench entrance.vad baseline.vad --video today.mp4 --out speed.json
vadistill bench entrance.vad --video today.mp4 --runtimes torch onnx openvino
"""

COLUMNS = ("model", "runtime", "decode", "localise", "rest", "file to scores", "ms a frame, live",
           "ms of a core", "cameras", "memory")  # fmt: skip


def run(argv: list[str]) -> None:
    def bench(
        models: Annotated[Positional[tuple[Path, ...]], arg(metavar="MODEL...")],
        *,
        video: Annotated[Path, arg(metavar="VIDEO")],
        runtimes: tuple[str, ...] = (),
        frames: int = 300,
        out: Annotated[Path | None, arg(metavar="FILE.json")] = None,
        device: Device = "auto",
    ) -> None:
        """Say how many frames a second fitted models score on this machine, and where time goes.

        Decoding, finding objects and the rest are timed apart, then all of it from the file to
        scores, then frame by frame as cameras' frames are scored.  Nothing else should run on the
        machine meanwhile.  Rows are of one run and may be compared; --out has each as it is made.

        Args:
            models: Fitted models' folders.
            video: A file or folder of frames, as the cameras' pictures are.
            runtimes: What runs the networks: torch, torch-bf16, onnx, openvino, or auto, which is
                the fastest of those that compute in fp32; default each model's own.
            frames: Of the video, at most.
            out: Figures as JSON.
            device: auto takes the GPU where there is one.
        """
        import torch

        from vadistill.cli.outputs import check_ending, check_outputs
        from vadistill.evaluation.runs import run_facts
        from vadistill.evaluation.speed import CAMERA_FPS, Speed, measure_speed
        from vadistill.files import write_json

        if frames < 3:
            raise ConfigError(f"--frames {frames}", expected="3 or more", fix="correct it")
        if out is not None:
            check_ending("--out", out, (".json",))
            check_outputs([*models, video], files=[("--out", out)])
        facts = run_facts(device=device, command="vadistill bench " + shlex.join(argv))
        cores, rows = torch.get_num_threads(), list[Speed]()
        for model in models:
            for row in measure_speed(
                model, video, runtimes=runtimes, frames=frames, cores=cores, device=device
            ):
                rows.append(row)
                if out is not None:
                    write_json(out, {"run": facts, "rows": [made.to_json() for made in rows]})
        shown = table(*COLUMNS, numbers=COLUMNS[2:])
        for row in rows:
            shown.add_row(plain(row.model), row.runtime or "–", *_figures(row))
        console().print(shown)
        console().print(
            f"frames a second, of {rows[0].frames} frames on {plain(facts['device'])}; cameras: of "
            f"{CAMERA_FPS:g} frames/s that {cores} threads carry"
        )
        for row in rows:
            if row.auto:
                console().print(f"{plain(row.model)}: auto is {row.auto}", soft_wrap=True)
        if len(rows) > 1:
            ratios = (f"{plain(_named(r))} {r.whole / rows[0].whole:.2f}" for r in rows[1:])
            console().print(f"file to scores beside {plain(_named(rows[0]))}: {', '.join(ratios)}")

    parse(bench, argv, prog="vadistill bench", examples=EXAMPLES)


def _named(row: Speed) -> str:
    return f"{row.model} ({row.runtime})" if row.runtime else row.model


def _figures(row: Speed) -> list[str]:
    def rate(value: float | None) -> str:
        return "–" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.1f}"

    live = "–"
    if row.latency_ms is not None:
        live = f"{row.latency_ms:.1f} (95 %: {row.latency_95_ms:.1f})"
    return [
        rate(row.decode),
        rate(row.localise),
        rate(row.rest),
        rate(row.whole),
        live,
        f"{row.cpu_ms:.1f}",
        rate(row.cameras),
        f"{row.memory_mb:.0f} MB",
    ]

"""``vadistill export``: a fitted model for ONNX Runtime or OpenVINO, with its bare graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vadistill.cli.outputs import check_outputs
from vadistill.cli.terminal import console, parse, plain

EXAMPLES = """
vadistill export entrance.vad --to onnx --data normal_videos/ --out entrance-onnx.vad
vadistill export entrance.vad --to openvino --int8 --data labelled/ --out entrance-int8.vad
"""


def run(argv: list[str]) -> None:
    def export(
        model: Annotated[Positional[Path], arg(metavar="MODEL")],
        *,
        data: Annotated[Path, arg(metavar="PATH")],
        out: Annotated[Path, arg(metavar="FOLDER")],
        to: Literal["onnx", "openvino", "auto"] = "onnx",
        int8: bool = False,
        frames: int = 200,
        tolerance: float | None = None,
        force: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Write a fitted model for another runtime, and say how alike both score real frames.

        What is written is a model that all verbs take, with its runtime set, and beside it the bare
        network (network.onnx, or network.xml of OpenVINO) with its signature (graph.json).

        Args:
            model: A folder that 'vadistill fit' wrote.
            data: A data set: frames of its test split (else training split) are scored by both;
                with --int8, ranges, and what stays in fp32, are measured on its normal training
                footage.
            out: The new folder, or that of the same export, made before.
            to: What runs the network; auto: whatever is the fastest where the model is used, in
                fp32, with --int8 in 8 bits where that is faster.
            int8: Convolutions in 8 bits, but for those with which scores would differ much.
            frames: Frames that are scored by both.
            tolerance: The largest difference of two scores, as a share of the scores' range, that
                is let pass; default 0.001, with --int8 0.1.
            force: Write it whatever the difference is.
            overwrite: Replace another model that is there.
        """
        check_outputs([model, data], folders=[("--out", out)])
        from vadistill.evaluation.exporting import export

        made = export(
            model,
            out,
            data,
            to=to,
            int8=int8,
            frames=frames,
            tolerance=tolerance,
            force=force,
            overwrite=overwrite,
        )
        console().print(f"parity  {made.parity.words}", soft_wrap=True)
        if made.kept is not None:
            console().print(f"8 bits  {plain(made.kept.words)}", soft_wrap=True)
        console().print(f"graph   {plain(str(made.graph))}", soft_wrap=True)
        console().print(f"model   {plain(str(made.folder))}", soft_wrap=True)

    parse(export, argv, prog="vadistill export", examples=EXAMPLES)

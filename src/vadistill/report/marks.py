"""Published figures to stand beside ours, as their papers report them, each by its own protocol."""

from __future__ import annotations

from typing import NamedTuple

from vadistill.report.page import ReportTable


class Mark(NamedTuple):
    """What a paper reports on one data set, as shares in [0, 1]."""

    method: str
    micro: float | None = None
    """Frame-level micro AUC."""
    rbdc: float | None = None
    tbdc: float | None = None
    """With published tracks."""


MARKS: dict[str, tuple[Mark, ...]] = {
    "ucsd_ped2": (
        Mark("MULDE (CVPR 2024), object-centric", 0.997),
        Mark("HF²-VAD (ICCV 2021)", 0.993),
        Mark("AI-VAD", 0.991),
        Mark("CAFE (ACM MM 2022)", 0.984),
        Mark("SSMTL (CVPR 2021)", 0.975, 0.728, 0.912),
        Mark("AED-MAE (CVPR 2024), frame level", 0.954),
        Mark("fast student of two teachers", 0.936),
    ),
    "avenue": (
        Mark("MULDE (CVPR 2024), object-centric", 0.943),
        Mark("AI-VAD", 0.937),
        Mark("CAFE (ACM MM 2022)", 0.926),
        Mark("SSMTL (CVPR 2021)", 0.915, 0.570, 0.583),
        Mark("AED-MAE (CVPR 2024), frame level", 0.913),
        Mark("HF²-VAD (ICCV 2021)", 0.911),
        Mark("fast student of two teachers", 0.882),
    ),
    "shanghaitech": (
        Mark("MULDE (CVPR 2024), object-centric", 0.867),
        Mark("AI-VAD", 0.859),
        Mark("SSMTL (CVPR 2021)", 0.824, 0.428, 0.839),
        Mark("AED-MAE (CVPR 2024), frame level", 0.791),
        Mark("fast student of two teachers", 0.779),
        Mark("CAFE (ACM MM 2022)", 0.770),
        Mark("HF²-VAD (ICCV 2021)", 0.762),
    ),
}


def marks_table(dataset: str) -> ReportTable | None:
    """The published figures on a data set, best first; None where none are known."""
    marks = MARKS.get(dataset, ())
    if not marks:
        return None
    rows = [[m.method, *(_percent(value) for value in (m.micro, m.rbdc, m.tbdc))] for m in marks]
    return ReportTable(
        "Published figures",
        ["method", "micro AUC", "RBDC", "TBDC"],
        rows,
        "In per cent, as the papers report them: with smoothing of their own, and RBDC and TBDC "
        "with published tracks, so a guide and no ranking.",
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"

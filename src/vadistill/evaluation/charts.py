"""Charts as SVG text that takes its colours from the page, so that light and dark both work."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from vadistill.evaluation.alignment import Aligned

COLOURS = 6
"""Systems that get a colour of their own; CSS variables --c0 … hold them."""

POINTS = 800
"""Columns of a timeline; each keeps its lowest and highest score, so that no peak is lost."""

# Matplotlib wants real colours: these stand for the page's and are replaced in its output.
_INK, _FAINT = "#010101", "#020202"
_SERIES = [f"#0300{i:02x}" for i in range(COLOURS)]


def roc_and_pr(data_by_system: Mapping[str, Aligned], salt: str = "curves") -> str:
    """Two small charts, ROC and precision-recall, with one line a system."""
    import matplotlib
    from matplotlib.figure import Figure
    from sklearn.metrics import precision_recall_curve, roc_curve

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "font.size": 9,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": _FAINT,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "grid.color": _FAINT,
        "grid.linewidth": 0.4,
    }
    charts = []
    for kind in ("roc", "pr"):
        with matplotlib.rc_context({**style, "svg.hashsalt": f"{salt}-{kind}"}):
            figure = Figure(figsize=(3.5, 3.3), layout="constrained")
            axes = figure.subplots()
            for number, data in enumerate(data_by_system.values()):
                labels, scores = data.all_labels, data.all_scores
                if kind == "roc":
                    x, y, _ = roc_curve(labels, scores)
                else:
                    y, x, _ = precision_recall_curve(labels, scores)
                x, y = _thinned(x, y)
                axes.plot(x, y, color=_SERIES[number % COLOURS], linewidth=1.6)
            if kind == "roc":
                axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=0.8, linestyle="--")
                axes.set(xlabel="false positive rate", ylabel="true positive rate")
            else:
                axes.set(xlabel="recall", ylabel="precision")
            axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
            axes.grid(True)
            text = io.StringIO()
            nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
            figure.savefig(text, format="svg", transparent=True, metadata=nothing)
        title = {"roc": "ROC curve", "pr": "precision-recall curve"}[kind]
        charts.append(_for_page(text.getvalue(), f"{title} of {', '.join(data_by_system)}", kind))
    return "\n".join(charts)


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most about a thousand points of a curve: the last in each cell of a fine grid."""
    cell = np.stack([np.round(x * 500), np.round(y * 500)])
    keep = np.append(np.any(np.diff(cell, axis=1), axis=0), True)
    keep[0] = True
    return x[keep], y[keep]


def _for_page(svg: str, title: str, prefix: str) -> str:
    """Matplotlib's SVG as an element of a page: no prolog, page colours, ids of its own."""
    svg = svg[svg.index("<svg") :]
    for i, colour in enumerate(_SERIES):
        svg = svg.replace(colour, f"var(--c{i})")
    svg = svg.replace(_INK, "currentColor").replace(_FAINT, "var(--faint)")
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'((?:xlink:)?href="|url\()#', rf"\g<1>#{prefix}-", svg)
    return re.sub(
        "<svg ", f'<svg class="curve" role="img" aria-label="{escape(title)}" ', svg, count=1
    )


def timeline(
    curves: Mapping[int, Float[np.ndarray, " _"]],
    labels: UInt8[np.ndarray, " n"] | None,
    marks: Int[np.ndarray, " _"] | None = None,
) -> str:
    """One video's scores over time, stretched to the page's width; text stands outside.

    ``curves`` maps a colour number to scores in [0, 1]; abnormal frames are bands, ``marks`` ticks.
    """
    frames = max((len(v) for v in curves.values()), default=0)
    parts = []
    if labels is not None:
        edges = np.flatnonzero(np.diff(np.concatenate([[0], labels.astype(np.int8), [0]])))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            x, width = 1000 * start / frames, 1000 * (end - start) / frames
            parts.append(
                f'<rect class="band" x="{x:.1f}" y="0" width="{width:.1f}" height="100">'
                f"<title>abnormal: frames {start} to {end - 1}</title></rect>"
            )
    for frame in marks if marks is not None else ():
        x = 1000 * (frame + 0.5) / frames
        parts.append(f'<path class="mark" d="M{x:.1f} 0V100"/>')
    for colour, values in curves.items():
        if len(values):
            parts.append(f'<path style="stroke:var(--c{colour % COLOURS})" d="{_path(values)}"/>')
    body = "".join(parts)
    return (
        '<svg class="line" viewBox="0 -2 1000 104" preserveAspectRatio="none" role="img" '
        f'aria-label="scores over time">{body}</svg>'
    )


def _path(values: Float[np.ndarray, " n"]) -> str:
    count = len(values)
    if count <= 2 * POINTS:
        x, y = np.arange(count), values
    else:
        starts = np.linspace(0, count, POINTS, endpoint=False).astype(int)
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        x, y = np.repeat(starts, 2), np.stack([low, high], axis=1).ravel()
    points = [
        f"{1000 * (a + 0.5) / count:.1f} {100 - 100 * b:.1f}" for a, b in zip(x, y, strict=True)
    ]
    return "M" + "L".join(points)

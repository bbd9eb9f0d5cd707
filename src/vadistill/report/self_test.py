"""The page of a self-test: what the model found of planted anomalies, and what it missed."""

from __future__ import annotations

from html import escape
from pathlib import Path

from vadistill.evaluation.selftest import KindFigure, SelfTest
from vadistill.evaluation.selftest.kinds import CONTROL
from vadistill.evaluation.selftest.results import HIGH, Picture
from vadistill.files import replacing
from vadistill.report.moments import jpeg
from vadistill.report.page import page, section, small, table
from vadistill.report.timelines import clock

MISSED = 3
"""Pictures of each kind that were missed."""

FOUND = 1
"""Pictures of each kind that were found."""


def write_self_test(found: SelfTest, path: str | Path) -> None:
    """Write the page, one file that needs no network; raises WeightsError."""
    title = f"Self-test of {found.system}"
    words = found.words
    body = "\n".join(
        [
            f"<header><p class=soft>vadistill self-test</p><h1>{escape(title)}</h1>",
            f"<p>{escape(words[:1].upper() + words[1:])}.</p></header>",
            section("By kind", *_figures(found)),
            section("What was missed", *_gallery(found, missed=True)),
            section("What was found", *_gallery(found, missed=False)),
            section("How it was made", *(f"<p>{escape(line)}</p>" for line in _method(found))),
        ]
    )
    with replacing(Path(path)) as temporary:
        temporary.write_text(page(title, body, None), encoding="utf-8")


def _figures(found: SelfTest) -> list[str]:
    """The table, and which kinds had no place in this footage."""
    lines = [f"{kind}: not planted, {why}" for kind, why in found.left_out.items()]
    return [table(found.header, found.rows), *map(small, lines)]


def _gallery(found: SelfTest, *, missed: bool) -> list[str]:
    parts = []
    for kind in found.kinds:
        own = [p for p in found.pictures if p.kind == kind.kind and p.found != missed]
        most = FOUND
        if missed and kind.kind != CONTROL:
            most = MISSED
        shown = own[:most] if missed else own[::-1][:most]
        if shown and (kind.kind != CONTROL or not missed):
            words = "".join(map(_figure, shown))
            parts.append(f'<h3>{escape(_heading(kind))}</h3><div class="moments">{words}</div>')
    return parts


def _heading(kind: KindFigure) -> str:
    return f"{kind.kind}: {kind.found} of {kind.plants} found"


def _figure(picture: Picture) -> str:
    words = f"{picture.video}, {clock(picture.time)}"
    words += f": above {picture.calibrated:.1%} of normal frames"
    alt = escape(f"{picture.kind}, planted")
    return (
        f'<figure><img alt="{alt}" src="{jpeg(picture.image)}">'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )


def _method(found: SelfTest) -> list[str]:
    high = (
        ""
        if found.high is None
        else (
            f" {found.high:.1%} of these frames without plants score above {HIGH:.0%} of normal "
            "training frames."
        )
    )
    seen = (
        "which training did not see"
        if found.held_out
        else "which training saw, so that false alarms are fewer here than they will be"
    )
    return [
        f"Objects of normal footage were cut out by their silhouettes, changed, and painted into "
        f"{clock(found.seconds)} of footage ({found.videos} videos, {found.frames:,} frames) {seen}"
        f". Foreign objects are drawn.{high}",
        f"Found: an alarm stood while the plant was abnormal, at the level that is meant to give "
        f"{found.false_alarms_per_day:g} false alarms a day, and the score was higher than without "
        "the plant. AUC: the plant's frames against all frames of the same footage without plants.",
        f"'{CONTROL}' is an object planted as it was: what of it is found is the planting's own "
        "trace, or crowds that the model does not know.",
    ]

"""A scatter plot of two protocols' figures of the same models, one panel a data set, as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from vadistill.reproduce.records import Record

SIDE, LEFT, TOP, BOTTOM, GAP = 260, 52, 34, 46, 30
"""Pixels: a panel, what is left of it, above and below it, and between panels."""

COLUMNS = 3
"""Panels in a row."""

COLOURS = {"motion": "#8a6d00", "cafe": "#0b6fb8", "blend": "#b0245f"}

Point = tuple[str, str, float, float]
"""System, variant, and both figures in [0, 1]."""


def scatter(records: Sequence[Record], across: str, up: str) -> str:
    """The plot as text; a point tells its model when it is hovered over."""
    panels: dict[str, list[Point]] = {}
    by_model: dict[tuple[str, str, str], dict[str, float]] = {}
    for record in records:
        if record.metric == "auc" and record.protocol in (across, up):
            key = (record.dataset, record.system, record.variant)
            by_model.setdefault(key, {})[record.protocol] = record.value
    for (dataset, system, variant), both in by_model.items():
        if len(both) == 2:
            panels.setdefault(dataset, []).append((system, variant, both[across], both[up]))
    across_by, down_by = LEFT + SIDE + GAP, TOP + SIDE + BOTTOM
    width = min(len(panels), COLUMNS) * across_by
    height = -(-len(panels) // COLUMNS) * down_by
    body = [
        f'<g transform="translate({number % COLUMNS * across_by} {number // COLUMNS * down_by})">\n'
        f"{_panel(dataset, points, across, up)}</g>\n"
        for number, (dataset, points) in enumerate(panels.items())
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{"".join(body)}</svg>\n'
    )


def _panel(dataset: str, points: Sequence[Point], across: str, up: str) -> str:
    left = LEFT
    x_low, x_high = _ends(x for _, _, x, _ in points)
    y_low, y_high = _ends(y for *_, y in points)
    parts = [
        f'<text x="{left}" y="{TOP - 12}" font-weight="bold">{escape(dataset)}</text>',
        f'<rect x="{left}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#999"/>',
        f'<text x="{left + SIDE / 2}" y="{TOP + SIDE + 36}" text-anchor="middle">'
        f"AUC % by the {escape(across)}</text>",
        f'<text transform="translate({left - 38} {TOP + SIDE / 2}) rotate(-90)" '
        f'text-anchor="middle">true AUC % ({escape(up)})</text>',
    ]
    for value, x, anchor in ((x_low, left, "start"), (x_high, left + SIDE, "end")):
        y = TOP + SIDE + 16
        parts.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}">{100 * value:.0f}</text>')
    for value, y in ((y_low, TOP + SIDE), (y_high, TOP + 10)):
        x = left - 5
        parts.append(f'<text x="{x}" y="{y}" text-anchor="end">{100 * value:.0f}</text>')
    for system, variant, x, y in points:
        place_x = left + SIDE * (x - x_low) / (x_high - x_low)
        place_y = TOP + SIDE * (1 - (y - y_low) / (y_high - y_low))
        colour = COLOURS.get(system, "#444")
        parts.append(
            f'<circle cx="{place_x:.1f}" cy="{place_y:.1f}" r="4" fill="{colour}" '
            f'fill-opacity="0.75"><title>{escape(variant)}: {100 * x:.1f}, {100 * y:.1f}</title>'
            "</circle>"
        )
    systems = list(dict.fromkeys(point[0] for point in points))
    for number, system in enumerate(systems):
        x, y = left + SIDE - 58 * (len(systems) - number) + 8, TOP - 12
        colour = COLOURS.get(system, "#444")
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 9}" y="{y}">{escape(system)}</text>')
    return "\n".join(parts) + "\n"


def _ends(values: Iterable[float]) -> tuple[float, float]:
    """Ends of an axis on whole per cents around the values."""
    known = list(values)
    return int(100 * min(known) - 1) / 100, int(100 * max(known) + 2) / 100

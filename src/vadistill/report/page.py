"""The frame of a report's page: one file, no network, light and dark, wide and narrow."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

SCRIPTS = ("numbers.js", "player.js", "report.js")
"""The page's own script, in this order."""


@dataclass(frozen=True)
class ReportTable:
    """A table for a report's page, in a section of its own."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    """As long as the header.  Text stands as it is; other numbers than whole ones get four
    digits, None is a dash.  Columns of numbers are right-aligned."""
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON with every field; cells that are neither numbers nor None become text."""
        rows = [[c if isinstance(c, int | float | None) else str(c) for c in r] for r in self.rows]
        return {"title": self.title, "header": list(self.header), "rows": rows, "note": self.note}


def page(title: str, body: str, data: Any) -> str:
    """A whole HTML document; ``title`` is text, ``body`` is HTML, ``data`` is drawn by its script.

    Without ``data`` (None) it has no script.

    The page's own rule (Content-Security-Policy) refuses whatever is not in the file: scripts by
    their hash, no connection at all.  Films are blobs that the script makes of ``data``.
    """
    scripts = [] if data is None else [_plotly(), "".join(map(_own, SCRIPTS))]
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts) or "'none'"
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data:; media-src blob:; base-uri 'none'; form-action 'none'"
    )
    # Escaped so that no name of a file can end the element.
    words = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_own('report.css')}</style></head>\n"
        f"<body>\n{body}\n"
        + (f'<script type="application/json" id="data">{words}</script>\n' if scripts else "")
        + "".join(f"<script>{script}</script>\n" for script in scripts)
        + "</body></html>\n"
    )


def section(title: str, *content: str) -> str:
    """A headed part of the page; empty without content."""
    inside = "\n".join(part for part in content if part)
    return f"<section><h2>{escape(title)}</h2>\n{inside}\n</section>" if inside else ""


def folded(summary: str, content: str) -> str:
    """What is there when its summary is clicked."""
    return f"<details><summary>{escape(summary)}</summary>\n{content}</details>"


def small(words: str) -> str:
    """A line of small text."""
    return f"<p><small>{escape(words)}</small></p>" if words else ""


SENTENCE = 32
"""Letters from which on a cell's words may be broken into lines."""


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """An HTML table; cells are escaped.  A column of sentences breaks its lines."""
    texts = [[_cell(cell) for cell in row] for row in rows]
    columns = [[row[i] for row in texts] for i in range(len(header))]
    kinds = [
        " class=n"
        if all(map(_is_number, own))
        else " class=w" * any(len(c) > SENTENCE for c in own)
        for own in columns
    ]

    def line(tag: str, cells: Sequence[str]) -> str:
        parts = (
            f"<{tag}{kind}>{escape(words)}</{tag}>"
            for words, kind in zip(cells, kinds, strict=True)
        )
        return f"<tr>{''.join(parts)}</tr>"

    body = "\n".join(line("td", row) for row in texts)
    return f'<div class="scroll"><table>{line("th", header)}\n{body}</table></div>'


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(words: str) -> bool:
    """Whether a cell holds a number, an interval of numbers, a number with its unit, or a dash."""
    return re.fullmatch(r"[-–−+±\d.,()%/ ]*( (s|min|h|ms))?", words) is not None


@cache
def _own(name: str) -> str:
    return (files("vadistill.report") / name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


@cache
def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

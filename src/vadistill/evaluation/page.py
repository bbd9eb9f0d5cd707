"""The frame of a report's page: one file, no network, light and dark, wide and narrow."""

from __future__ import annotations

from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #1b1d21; --paper: #fbfbfa; --card: #ffffff;
  --soft: #62676f; --faint: #c9ccd1; --band: #e24fb138; --mark: #b0801a;
  --c0: #1668c7; --c1: #c2571a; --c2: #16805a; --c3: #8a3fb8; --c4: #a8323e; --c5: #6b6b18; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e7e9; --paper: #15171a; --card: #1d2024;
  --soft: #9aa0a8; --faint: #43474e; --band: #e24fb140; --mark: #e0b050;
  --c0: #6cb2ff; --c1: #ff9d5c; --c2: #58cfa0; --c3: #cf94f2; --c4: #ff8790; --c5: #cfcf62; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem clamp(.8rem, 3vw, 2rem) 3rem; max-width: 72rem;
  font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .2rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .3rem 0; } .soft, figcaption, dt, small { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; background: var(--card); font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .8rem; border-bottom: 1px solid var(--faint);
  white-space: nowrap; }
td.n, th.n { text-align: right; } td b { font-size: 1.05rem; }
.key span { display: inline-block; margin-right: 1.2rem; }
.key i { display: inline-block; width: 1.2rem; height: .25rem; margin-right: .4rem;
  vertical-align: middle; } .key i.band { height: .9rem; background: var(--band); }
.curves { display: flex; flex-wrap: wrap; gap: 1rem; }
svg.curve { width: min(100%, 24rem); height: auto; background: var(--card); }
svg.line { display: block; width: 100%; height: 5.5rem; background: var(--card);
  border: 1px solid var(--faint); }
svg.line path { fill: none; stroke-width: 1.4; vector-effect: non-scaling-stroke; }
svg.line .band { fill: var(--band); }
svg.line path.mark { stroke: var(--mark); stroke-dasharray: 2 3; }
.video { margin: 0 0 1.1rem; } .video p { display: flex; flex-wrap: wrap; gap: 0 1rem; }
.video .axis { justify-content: space-between; font-size: .8rem; color: var(--soft); }
.moments { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr));
  gap: 1rem; }
figure { margin: 0; } figure img, .lost { width: 100%; height: auto; display: block;
  background: var(--card); } .lost { padding: 3rem 1rem; border: 1px dashed var(--faint); }
figcaption { font-size: .88rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; }
  th, td { padding: .35rem .5rem; } }
"""

NO_NETWORK = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The page's own rule: a browser refuses whatever is not in the file."""


def page(title: str, body: str) -> str:
    """A whole HTML document; ``title`` is text, ``body`` is HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{NO_NETWORK}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body>\n{body}\n</body></html>\n"
    )


def section(title: str, *content: str) -> str:
    """A headed part of the page; empty without content."""
    inside = "\n".join(part for part in content if part)
    return f"<section><h2>{escape(title)}</h2>\n{inside}\n</section>" if inside else ""


def table(header: list[str], rows: list[list[str]], numeric: list[bool]) -> str:
    """Cells are text and are escaped."""

    def line(tag: str, texts: list[str]) -> str:
        cells = (
            f"<{tag}{' class=n' * right}>{escape(words)}</{tag}>"
            for words, right in zip(texts, numeric, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    body = "\n".join(line("td", row) for row in rows)
    return f'<div class="scroll"><table>{line("th", header)}\n{body}</table></div>'

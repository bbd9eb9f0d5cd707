"""What the verbs have in common: parsing of options, consoles and tables."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vadistill.addresses import redacted_words
from vadistill.cli import complain
from vadistill.errors import printable
from vadistill.progress import show_progress

Device = Literal["auto", "cpu", "cuda"]

Mask = Annotated[
    Path | None,
    tyro.conf.arg(
        metavar="FILE.json",
        help="Parts of the picture that are neither learned from nor scored: "
        "[[[x, y], ...], ...], corners of polygons in [0, 1].",
    ),
]
"""An option of verbs that look at pictures of one camera."""


def masked(mask: Path | None) -> str:
    """What a command needs for a model to see what it learned from."""
    return f" --mask {plain(mask)}" if mask else ""


Result = TypeVar("Result")

CONFIG = (tyro.conf.FlagCreatePairsOff,)


def parse(
    function: Callable[..., Result], argv: Sequence[str], *, prog: str, examples: str
) -> Result:
    """Turn ``function``'s signature and docstring into options, parse ``argv``, and call it.

    Draws progress on stderr from here on.  Ends the process after help, and after wrong options
    with one line.
    """
    summary = inspect.cleandoc(function.__doc__ or "").split("\nArgs:")[0].strip()
    commands = "\n".join(f"  {line}" for line in examples.strip().splitlines())
    said = io.StringIO()

    def parsed(words: Sequence[str]) -> Any:
        said.seek(said.truncate(0))
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                function if isinstance(function, type) else _later(function),
                prog=prog,
                args=list(words),
                description=f"{summary}\n\nexamples:\n{commands}",
                config=CONFIG,
            )

    try:
        call = parsed(argv)
    except SystemExit as stop:
        if stop.code != 2:
            raise
        with contextlib.suppress(SystemExit):
            parsed(redacted_words(argv))  # it says the same of words without passwords
        raise SystemExit(complain(one_line(said.getvalue(), prog))) from None
    sys.stderr.write(said.getvalue())
    show_progress(Console(stderr=True))
    return call if isinstance(function, type) else call()


BEGINS = {"Error parsing ": "cannot read ", "Argument helptext: ": "expected "}
"""How parts of a box begin, and how they do in a line."""


def one_line(box: str, prog: str) -> str:
    """What tyro's box around a wrong option says: what was got, the nearest option, where to look.

    A box has a title and parts between rules, of which the last one points to the help.
    """
    rows = [row.strip(" │╭╮╰╯") for row in box.splitlines()[1:]]
    parts = re.split(r"^[─-]+$", "\n".join(rows), flags=re.MULTILINE)
    words = []
    for part in (" ".join(part.split()) for part in parts):
        near = re.match(r"Perhaps you meant: (\S+)", part)
        if near:
            words.append(f"did you mean '{near[1]}'?")
        elif part and not part.startswith("For full helptext"):
            for begins, instead in BEGINS.items():
                part = instead + part.removeprefix(begins) if part.startswith(begins) else part
            words.append(part[0].lower() + part[1:].rstrip("."))
    return "; ".join([*words, f"see '{prog} --help'"])


def _later(function: Callable[..., Result]) -> Callable[..., Callable[[], Result]]:
    """``function`` with the same options, but giving its call: what it says is its own."""

    @functools.wraps(function)
    def bound(*arguments, **options) -> Callable[[], Result]:  # pyright: ignore[reportMissingParameterType]
        return functools.partial(function, *arguments, **options)

    return bound


def console() -> Console:
    """For results on stdout; wide in files and pipes, so that tables are not folded there."""
    return Console(width=None if sys.stdout.isatty() else 140, highlight=False)


def table(*columns: str, numbers: Sequence[str] = (), title: str | None = None) -> Table:
    """An empty table; ``numbers`` are the columns that are aligned to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for name in columns:
        made.add_column(name, justify="right" if name in numbers else "left")
    return made


def plain(text: object) -> str:
    """A name for a console: on one line, and no part of it is taken for markup."""
    return escape(printable(str(text)))


def tell_ended(folder: Path) -> None:
    """Say of a model that it was fitted before, and that there is nothing to be done."""
    known = f"[bold]{plain(folder)}[/] was fitted before, to this footage with these settings"
    console().print(f"{known} (--overwrite: anew)", soft_wrap=True)


def link(path: Path) -> str:
    """The file:// address of ``path``, which terminals let one click."""
    return path.resolve().as_uri()

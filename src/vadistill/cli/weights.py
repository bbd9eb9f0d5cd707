"""``vadistill weights``: what can be named, where it comes from, and what is here."""

from __future__ import annotations

from typing import Annotated, Literal

from tyro.conf import Positional, arg

from vadistill.cli.terminal import console, parse, plain, table
from vadistill.errors import ConfigError

EXAMPLES = """
vadistill weights
vadistill weights fetch yolox_nano s3d
"""

DIGITS = 16
"""Of a hash that is shown in the table."""


def run(argv: list[str]) -> None:
    def weights(
        what: Annotated[Positional[Literal["list", "fetch"]], arg(metavar="list|fetch")] = "list",
        names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME...")] = (),
    ) -> None:
        """List the weights that can be named, or have some on this machine before they are needed.

        They are kept in PyTorch's cache (TORCH_HOME moves it), and each is checked by its SHA-256.
        Without a network, 'fetch' says in a line what to put where.  What torchvision and timm
        have besides is fetched when it is named.

        Args:
            what: list shows all names; fetch has those named fetched, unless they are here.
            names: Of what is fetched.
        """
        if what == "fetch":
            fetch_all(names)
        elif names:
            raise ConfigError(
                f"'list' with {names[0]}",
                expected="nothing behind it",
                fix=f"write 'vadistill weights fetch {names[0]}'",
            )
        else:
            show_all()

    parse(weights, argv, prog="vadistill weights", examples=EXAMPLES)


def fetch_all(names: tuple[str, ...]) -> None:
    """Fetch what is not here; raises ConfigError, WeightsError."""
    from vadistill.backbones.named import fetch

    if not names:
        raise ConfigError(
            "no name", expected="one of those of 'vadistill weights'", fix="name one or several"
        )
    out = console()
    for name in names:
        fetch(name, lambda line: out.print(plain(line), soft_wrap=True))


def show_all() -> None:
    """A row for each name, and below them where each comes from."""
    from vadistill.backbones.named import named_weights

    known = named_weights()
    shown = table("name", "for", "licence", "MB", "SHA-256", "here", numbers=("MB",))
    for name, each in known.items():
        size = f"{each.size / 1e6:.1f}" if each.size else "–"
        digits = each.sha256[:DIGITS] + "…" * bool(each.sha256) or "–"
        shown.add_row(
            name, each.option, each.licence, size, digits, "yes" if each.is_here else "no"
        )
    out = console()
    out.print(shown)
    for name, each in known.items():
        out.print(plain(f"{name}: {each.source}"), soft_wrap=True)

"""Addresses of videos in stores and on the web, and where their results lie, without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from vadistill.addresses import STORES, Address, hashed
from vadistill.datasets.sources import VIDEOS
from vadistill.errors import ConfigError

WEB = ("http", "https")

AZURE = ("abfs", "az")
"""Whose authority may be CONTAINER@ACCOUNT."""

TICKETS = re.compile(
    r"x-(amz|goog)-.*|token|sig(nature)?|expires|policy|key-pair-id|awsaccesskeyid|googleaccessid"
    r"|s[eprtv]|spr"
)
"""Of a query what opens a file and changes while the file is the same: a signature, its end, …"""


def is_stored(source: object) -> bool:
    """Whether a video's source is an address of a store or of the web."""
    return isinstance(source, str | Path) and Address(str(source)).scheme in STORES


def is_file(source: object) -> bool:
    """Whether it is an address of files, and none of the web's that may be a camera's stream.

    Those name a video file, or are a pattern.
    """
    if not is_stored(source):
        return False
    address = Address(str(source))
    if address.scheme not in WEB or has_star(address):
        return True
    return re.split("[?#]", address.parts[1])[0].lower().endswith(VIDEOS)


def has_star(address: Address) -> bool:
    """Whether a web address is a pattern: there ? begins a query, and [ an IPv6 host."""
    return "*" in re.split("[?#]", address.parts[1])[0]


def place_of(source: Path) -> str:
    """Where the results of an address lie below the folder of all, such as s3/bucket/a.mp4.

    Raises ConfigError for an address whose host cannot be told from a password.
    """
    address = Address(str(source))
    scheme, (authority, path) = address.scheme, address.parts
    # A key with '/' in it reaches past the authority.
    hidden = ":" in authority and "@" not in authority and "@" in path
    if hidden or (scheme in WEB and not address.host):
        raise ConfigError(
            f"'{address}', whose host cannot be told from a password",
            expected="an address with '/', '?', '#' and '@' in its password as %2F, %3F, %23, %40",
            fix="write it so, or put the password into ~/.netrc",
        )
    if scheme in WEB:
        return "/".join([scheme, address.host, *_web_file(address)])
    user, _, host = authority.rpartition("@")
    container = [user] if scheme in AZURE and user else []
    return "/".join([scheme, host, *container, *_parts(path)])


def check_strokes(words: Iterable[str]) -> None:
    """Raise ConfigError for an address with // behind its host, of which a Path keeps one /.

    It would be another file's.
    """
    for address in map(Address, words):
        if address.scheme in STORES and "//" in address.parts[1]:
            raise ConfigError(
                f"'{address}', which has '//' behind its host",
                expected="single strokes, which name one file",
                fix="write '/' in a query as %2F, or give the file a name without '//'",
            )


def _web_file(address: Address) -> tuple[str, str]:
    """A hash of the folder, and the file's name with one of the query, if that tells files apart.

    So a file has one place however often its signature changes.
    """
    path, _, query = address.parts[1].partition("#")[0].partition("?")
    folder, _, file = path.rpartition("/")
    mark = hashed(f"{address.scheme}://{address.host}{folder}")[:8]
    asked = "&".join(
        each for each in query.split("&") if not TICKETS.fullmatch(each.partition("=")[0].lower())
    )
    if not file.lower().endswith(VIDEOS):
        return mark, hashed(f"{file}?{asked}" if asked else file)[:8]  # which may be a key
    name = PurePosixPath(file)
    return mark, f"{name.stem}-{hashed(asked)[:8]}{name.suffix}" if asked else file


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".", "..")]

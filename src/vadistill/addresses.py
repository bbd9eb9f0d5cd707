"""Addresses of live streams and other secrets: what is kept of them, and what may be shown.

An address has its password where anyone puts it: in the authority, unescaped, in the path, in the
query.  So of every address the scheme and the host alone are shown, and of one whose host cannot be
told from a password the scheme alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import PurePath

# What a scheme may go on to open: never a file, so that no camera has one read for it.
WEB = "http,https,httpproxy,tls,tcp,crypto"
PROTOCOLS = {
    "rtsp": "rtp,rtcp,srtp,udp,tcp,crypto",
    "rtsps": "rtp,rtcp,srtp,udp,tls,tcp,crypto",
    "http": WEB,
    "https": WEB,
}
STORES = frozenset({"abfs", "az", "gcs", "gs", "http", "https", "memory", "oss", "s3", "s3a"})
"""Of stores of files, of which an archive may be scored; by fsspec's names."""
SCHEMES = re.compile(
    r"abfs|amqp|az|concat|file|ftps?|gc?s|gopher|https?|httpproxy|icecast|memory|mms[ht]?|mqtts?"
    r"|oss|rtmp[est]?|rtps?|rtsp[stu]?|s3a?|sctp|sftp|smb|srtp?|tcp|tls|udp|wss?"
)
"""Of networks and stores, and FFmpeg's own; a Path leaves one of the two strokes after them."""
DOTS = "•••"
"""How a secret prints."""

_ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+):(/+)")
_WEBCAM = re.compile(r"webcam:\d{1,3}|/dev/video\d{1,3}")
_HOST = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.%]+\])(:\d*)?")
_WITHOUT_SCHEME = re.compile(
    r"[^/?#]*@(?!.*\.[A-Za-z][A-Za-z0-9]{1,3}$)|.*:.*@|[^/]*/.*\?.*=", re.DOTALL
)
"""How text begins that is an address without its scheme, rather than a path."""
_WITHIN = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]+:/++(?!(?:[\w.:\[\]-]+(?:/…)?|…)(?:[\s'\"),;]|$)(?!.*@)).+"
    r"|[^\s'\"(]*:\S.*@.*",
    re.DOTALL,
)
"""What may be an address in a sentence, which may have blanks in it, and so all behind it; but not
what has been shown."""


class Secret:
    """Text that prints as dots, in logs, errors and everything else; ``reveal`` gives it.

    >>> print(Secret("hunter2"), repr(Secret("hunter2")))
    ••• Secret('•••')
    """

    __slots__ = ("_text",)

    def __init__(self, text: str | Secret = "") -> None:
        self._text: str = text._text if isinstance(text, Secret) else text

    def reveal(self) -> str:
        """The text itself, for what needs it: nothing that is shown may be made of it."""
        return self._text

    def __str__(self) -> str:
        return DOTS if self._text else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)


class Address(Secret):
    """Where a source or a sink is: an address of a network, a webcam, or a path.

    Prints as it may be shown: a path and a webcam as they are, of any other address scheme, host
    and port, and … for the rest.

    >>> print(Address("rtsp://user:secret@host:554/x?token=1"))
    rtsp://host:554/…
    """

    __slots__ = ("_rest", "scheme")

    def __init__(self, text: str | Secret = "") -> None:
        super().__init__(text)
        found = _ADDRESS.match(self._text)
        if found is not None and len(found[2]) == 1 and not SCHEMES.fullmatch(found[1].lower()):
            found = None  # such as boxes:/data/boxes.csv
        self.scheme = found[1].lower() if found else ""
        """In lower case; empty for a webcam, a path, and an address that lacks it."""
        self._rest = self._text[found.end() :] if found else self._text

    @property
    def url(self) -> str:
        """The whole address, its scheme in lower case and with the strokes that a Path cuts."""
        return f"{self.scheme}://{self._rest}" if self.scheme else self._text

    @property
    def is_live(self) -> bool:
        """Whether it is a stream's (rtsp, rtsps, http, https) or a webcam's."""
        return self.scheme in PROTOCOLS or self.is_webcam

    @property
    def is_webcam(self) -> bool:
        return _WEBCAM.fullmatch(self._text) is not None

    @property
    def is_path(self) -> bool:
        """Whether it is neither a webcam's nor one of a network."""
        return not (self.scheme or self.is_webcam or _WITHOUT_SCHEME.match(self._text))

    @property
    def host(self) -> str:
        """Host and port; empty where they cannot be told from a password for certain."""
        authority, beyond = self.parts
        host = authority.rpartition("@")[2]
        # A password with '/', '?' or '#' in it reaches past the authority.
        return host if _HOST.fullmatch(host) and "@" not in beyond else ""

    @property
    def name(self) -> str:
        """A short name that may be shown: the host, the webcam, or the file's stem."""
        if self.is_path:
            return PurePath(self._text).stem
        named = self._text if self.is_webcam else re.sub(r":\d*$", "", self.host)
        return re.sub(r"[^\w.-]+", "-", named).strip("-.") or "live"

    @property
    def identity(self) -> str:
        """A hash that tells one view from another, whatever the user, the password and the query.

        It is for what is kept, so that a changed password leaves a camera the same.
        """
        view = re.split("[?#]", self._rest.rpartition("@")[2])[0]
        return hashed(f"{self.scheme}://{view}" if self.scheme else self._text)

    def __str__(self) -> str:
        if self.is_webcam or self.is_path:
            return self._text
        begin = f"{self.scheme}://" if self.scheme else ""
        if not self.host:
            return f"{begin}…"
        authority, beyond = self.parts
        user = "…@" if "@" in authority and not self.scheme else ""
        return f"{begin}{user}{self.host}{'/…' if beyond.strip('/') else ''}"

    @property
    def parts(self) -> tuple[str, str]:
        """User, password, host and port, as nearly all take them, and what follows: secrets."""
        authority = re.split(r"[/?#]", self._rest, maxsplit=1)[0]
        return authority, self._rest[len(authority) :]


def hashed(text: str) -> str:
    """16 hexadecimal digits of a text that is not to be kept itself."""
    return hashlib.sha256(b"address " + text.encode(errors="surrogateescape")).hexdigest()[:16]


def is_live(address: str | Address) -> bool:
    """Whether ``address`` is a stream's (rtsp, rtsps, http, https) or a webcam's."""
    return Address(address).is_live


def redacted(address: str | Address) -> str:
    """``address`` as it may be shown."""
    return str(Address(address))


def redacted_words(words: Iterable[str]) -> list[str]:
    """The words of a command with every address as it may be shown, also after ``--option=``."""
    shown = []
    for word in words:
        option = re.match(r"--?[A-Za-z][\w-]*=", word)
        begin = option[0] if option else ""
        shown.append(begin + redacted(word[len(begin) :]))
    return shown


def without_addresses(text: str) -> str:
    """A text of unknown origin, such as a library's message, with its addresses as shown."""
    return _WITHIN.sub(lambda found: redacted(found[0]), text)

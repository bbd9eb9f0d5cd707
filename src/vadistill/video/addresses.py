"""Addresses of live streams, and how they may be shown."""

from __future__ import annotations

import re

# What a scheme may go on to open: never a file, so that no camera has one read for it.
WEB = "http,https,httpproxy,tls,tcp,crypto"
PROTOCOLS = {
    "rtsp": "rtp,rtcp,srtp,udp,tcp,crypto",
    "rtsps": "rtp,rtcp,srtp,udp,tls,tcp,crypto",
    "http": WEB,
    "https": WEB,
}
ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+):/+")
"""How a network address of any scheme begins; a Path leaves one of its two strokes."""
USER = re.compile(r"[^/@]*:[^@]*@")
"""How an address begins that lacks its scheme."""
WEBCAM = re.compile(r"webcam:\d{1,3}|/dev/video\d{1,3}")
HOST = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.%]+\])(:\d*)?")
SECRET = re.compile(r"(?i)(pass|pwd|user|login|token|secret|auth|key)[^/]*[=:]")


def is_live(address: str) -> bool:
    """Whether ``address`` is a stream's (rtsp, rtsps, http, https) or a webcam's."""
    scheme = ADDRESS.match(address)
    known = scheme is not None and scheme[1].lower() in PROTOCOLS
    return known or WEBCAM.fullmatch(address) is not None


def redacted(address: str) -> str:
    """``address`` as it may be shown: without user, password, query and what may be one of them.

    >>> redacted("rtsp://user:secret@host/x?token=1")
    'rtsp://host/x'
    """
    scheme = ADDRESS.match(address)
    if scheme is None:
        return USER.sub("…@", address, count=1) if USER.match(address) else address
    rest = address[scheme.end() :]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = re.split(r"[?#]", rest[len(authority) :], maxsplit=1)[0]
    query = rest[len(authority) + len(path) :]
    host = authority.rpartition("@")[2]
    # A password with '/', '?' or '#' in it reaches past the authority.
    torn = "@" in path or ("@" in query and "@" not in authority and ":" in authority)
    if torn or not HOST.fullmatch(host):
        return f"{scheme[1].lower()}://…"
    parts = ("…" if SECRET.search(part) else part for part in path.split("/"))
    shown = f"{scheme[1].lower()}://{host}{'/'.join(parts)}"
    return "".join(c for c in shown if c.isprintable())

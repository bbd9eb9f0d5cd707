"""Videos in stores of files, such as S3's, and on the web: listed, named and fetched by fsspec.

Of a web address its host and a video's file name are shown, and a hash stands for the folder, which
may be a secret; user, password and query are shown nowhere.  Folders of object stores are shown:
who may read those is told elsewhere.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from vadistill.addresses import Address, without_addresses
from vadistill.datasets.base import Video
from vadistill.datasets.places import (
    AZURE,
    WEB,
    check_strokes,
    has_star,
    is_file,
    is_stored,
    place_of,
)
from vadistill.datasets.sources import VIDEOS
from vadistill.errors import ConfigError, VadistillError, VideoError, in_a_line, lacking
from vadistill.files import short_names
from vadistill.video import natural_key

CONNECT_SECONDS, READ_SECONDS = 30, 60
"""Longest waits for a web server, and for its next bytes; a whole video may take any time."""

MARKS = ("size", "ETag", "etag", "Content-MD5", "md5Hash", "content_md5", "Last-Modified",
         "LastModified", "last_modified", "updated", "created")  # fmt: skip
"""What stores tell of a file that changes with its content."""

FETCHED = "vadistill-fetched-"
"""How the folders of fetched files begin."""

SETTLED = 5.0
"""Seconds after which a folder is held, if anybody holds it."""


def _is_meant(source: object, streams: bool) -> bool:
    return is_file(source) if streams else is_stored(source)


def listed(given: Sequence[Path], *, streams: bool = False) -> list[Path]:
    """Addresses with the patterns among them, such as s3://bucket/*.mp4, as the videos they match.

    Paths stay as they are, and with ``streams`` all that ``is_file`` is not true of.  Raises
    ConfigError without fsspec or what it needs for a scheme, and as ``place_of`` and
    ``check_strokes`` do, VideoError for a pattern that nothing matches and a store that does not
    answer.
    """
    found: list[Path] = []
    for each in given:
        if not _is_meant(each, streams):
            found.append(each)
            continue
        address = Address(str(each))
        place_of(each)  # refuses what would show a key, before it is asked for
        if streams and address.scheme in WEB and not has_star(address):
            found.append(each)  # which may be read as it comes, without fsspec
            continue
        with _told(address):
            system, path = _opened(address)
            if not _is_pattern(address, system, path):
                found.append(each)
                continue
            names = sorted(map(str, system.glob(path)), key=natural_key)
        before, container = _before(address, path)
        any_file = PurePosixPath(path).suffix
        matched = [
            f"{before}{name.removeprefix(container)}"
            for name in names
            if not name.endswith("/") and (any_file or _file(address, name).endswith(VIDEOS))
        ]
        check_strokes(matched)
        if not matched:
            raise VideoError(
                f"no video matches a pattern at {address}",
                expected="a pattern such as s3://bucket/*.mp4, or a web page that links to videos",
                fix="check the bucket or the host, the folder and the ending",
            )
        found += map(Path, matched)
    return list(dict.fromkeys(found))


def named(given: Sequence[Path], *, streams: bool = False) -> list[Path | Video]:
    """Addresses as videos with names of their own, among others, which stay as in ``listed``."""
    paths = [each for each in given if not _is_meant(each, streams)]
    stems = [PurePosixPath(place_of(each)).stem for each in given if _is_meant(each, streams)]
    counts = Counter([*short_names(paths), *stems])
    left = iter(stems)
    found: list[Path | Video] = []
    for each in given:
        if not _is_meant(each, streams):
            found.append(each)
            continue
        stem = next(left)
        found.append(Video(stem if counts[stem] == 1 else place_of(each), each))
    return found


def told(video: Video) -> tuple[int, str]:
    """Bytes of a stored video, 0 if that is not known, and what changes with its content or ''.

    Raises VideoError, ConfigError.
    """
    address = Address(str(video.source))
    with _told(address):
        system, path = _opened(address)
        info = system.info(path)
    marks = [f"{name} {info[name]}" for name in MARKS if info.get(name) not in (None, "")]
    return int(info.get("size") or 0), f"{marks} hidden {video.hidden}" if marks else ""


@contextlib.contextmanager
def at_hand(video: Video, *, streams: bool = False) -> Iterator[Video]:
    """A video as a file of this machine; a stored one is fetched, and deleted at the end.

    With ``streams``, what the web gives without a length, or without fsspec, stays as it is, to be
    read as it comes.  Raises VideoError where it cannot be fetched, ConfigError without fsspec or
    what it needs; these, and errors that name the file, name the video instead.
    """
    if not is_stored(video.source) or (streams and not is_file(video.source)):
        yield video
        return
    address = Address(str(video.source))
    sweep()
    with _folder() as folder:
        path = folder / (PurePosixPath(place_of(Path(str(video.source)))).name or "video")
        is_fetched = False
        try:
            is_here = _fetch(address, path, streams=streams)
            is_fetched = True
            yield replace(video, source=path) if is_here else video
        except VadistillError as error:
            if is_fetched and str(path) not in error.got:
                raise  # it may be another video's, or a model's
            got = error.got.replace(str(path), str(address))
            got = got if got.startswith(video.name) else f"{video.name}: {got}"
            raise type(error)(got, expected=error.expected, fix=error.fix) from error


def _fetch(address: Address, path: Path, *, streams: bool) -> bool:
    """Fetch a file; whether it was, which with ``streams`` some of the web are not."""
    on_web = address.scheme in WEB
    with _told(address):
        try:
            system, there = _opened(address)
        except ConfigError:
            if streams and on_web:
                return False
            raise
        if on_web and not system.info(there).get("size"):
            if streams:
                return False
            raise VideoError(
                f"{address} tells no length",
                expected="a file, not a camera's stream, which has no end",
                fix="watch it by 'vadistill watch', or fetch it to a file",
            )
        from fsspec.callbacks import Callback

        # Its thread outlives Ctrl-C, and would fetch on into a file that is deleted.
        wanted = Callback(hooks={"wanted": lambda *_: os.stat(path.parent)})
        system.get_file(there, str(path), callback=wanted)
    return True


def sweep() -> None:
    """Delete what workers of this machine had fetched when they were killed."""
    for name in glob.glob(os.path.join(tempfile.gettempdir(), f"{FETCHED}*")):
        with contextlib.suppress(OSError, ImportError):
            if time.time() - os.stat(name).st_mtime > SETTLED:
                with _held(Path(name)):
                    shutil.rmtree(name)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder of this process alone, until the end."""
    with (
        tempfile.TemporaryDirectory(prefix=FETCHED, ignore_cleanup_errors=True) as name,
        contextlib.ExitStack() as held,
    ):
        with contextlib.suppress(OSError, ImportError):
            held.enter_context(_held(Path(name)))
        yield Path(name)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a folder; a process that dies lets go.  Raises OSError where another holds it."""
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _opened(address: Address) -> tuple[Any, str]:
    """fsspec's file system of an address, and its path there."""
    scheme, url = address.scheme, address.url
    try:
        import fsspec
    except ImportError:
        raise lacking(f"an address of {scheme} without fsspec", "stores") from None
    try:
        kind = fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        if scheme in WEB:
            raise lacking(f"an address of {scheme} without aiohttp", "stores") from None
        raise ConfigError(
            f"an address of {scheme} without its package ({in_a_line(error)})",
            expected="what fsspec needs for it, on every machine that fetches",
            fix="install it with pip",
        ) from None
    options = kind._get_kwargs_from_urls(url) | (_web(url) if scheme in WEB else {})
    return fsspec.filesystem(scheme, **options), kind._strip_protocol(url)


def _web(url: str) -> dict[str, Any]:
    """Options of web addresses: waits with an end, passwords of ~/.netrc, proxies as usual."""
    import aiohttp  # pyright: ignore[reportMissingImports]

    wait = aiohttp.ClientTimeout(None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
    as_it_is = re.fullmatch("[!-~]+", url) is not None  # such as one whose signature is escaped
    return {"encoded": as_it_is, "client_kwargs": {"timeout": wait, "trust_env": True}}


@contextlib.contextmanager
def _told(address: Address) -> Iterator[None]:
    """What goes wrong with a store, in a line without secrets."""
    try:
        yield
    except VadistillError:
        raise
    except Exception as error:  # of any of fsspec's packages
        raise VideoError(
            f"{address} cannot be read ({_reason(error, address)})",
            expected="a store that answers, with that file in it",
            fix="check the address, and what its store's library reads its keys from",
        ) from None  # It would show a password.


def _reason(error: Exception, address: Address) -> str:
    # Of the web's files fsspec says that they are not there, whatever keeps them from being read.
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    error = cause if isinstance(cause, Exception) else error
    if status := getattr(error, "status", None):
        return f"HTTP {status}"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "it may not be read"
    words = in_a_line(error).replace(address.url, str(address))
    return " ".join(without_addresses(words).split())


def _is_pattern(address: Address, system: Any, path: str) -> bool:
    """Whether it stands for several files; in web addresses ? begins a query, [ an IPv6 host."""
    if address.scheme in WEB:
        return has_star(address)
    authority, beyond = address.parts
    name = f"{authority.rpartition('@')[2]}{beyond}"
    return "*" in name or (glob.has_magic(name) and not system.exists(path))


def _before(address: Address, path: str) -> tuple[str, str]:
    """What precedes a store's names in addresses, and how these begin where that says it, too."""
    before, authority = address.url.removesuffix(path), address.parts[0]
    if before != address.url or address.scheme not in AZURE:
        return before, ""
    return f"{address.scheme}://{authority}/", f"{authority.partition('@')[0]}/"


def _file(address: Address, path: str) -> str:
    """The last part of a path at an address, in lower case."""
    path = re.split("[?#]", path)[0] if address.scheme in WEB else path
    return path.rpartition("/")[2].lower()

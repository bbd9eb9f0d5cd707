"""What is decoded may be so large, and opens nothing else: asked before, wherever that is told."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import warnings
import zlib

import numpy as np

from vadistill.limits import ALLOCATION_BYTES, FRAME_PIXELS, PROBED_BYTES

DECODING = {"max_pixels": str(FRAME_PIXELS)}
"""FFmpeg's option of decoders that refuse larger pictures before they take memory for them."""

PROBING = {**DECODING, "probesize": str(PROBED_BYTES)}
"""Options of ``av.open``, for the decoders that find out what a stream is, too."""

LISTS = ("avisynth", "concat", "dash", "hls", "imf", "mlv", "sdp", "vapoursynth", "vobsub")
"""FFmpeg's formats whose files have others opened: playlists, scripts, and parts of one film."""
WEB_LISTS = ("dash", "hls")
"""Those of them whose parts, from an address of the web, are of the web too."""
LISTED = "it only names other files or streams, which are not opened for it"


@functools.cache
def formats(*lists: str) -> str:
    """FFmpeg's option of the formats that a file may have: none that opens others but ``lists``.

    Devices, patterns of pictures and network sessions are left out with the lists.
    """
    import av
    from av.format import ContainerFormat, Flags

    names = []
    for name in sorted(av.formats_available):
        with contextlib.suppress(ValueError):  # it is for writing alone
            found = ContainerFormat(name, "r")
            opens = set(found.name.split(",")) & set(LISTS) or found.flags & Flags.no_file.value
            if not opens:
                names.append(found.name)
    return ",".join((*dict.fromkeys(names), *lists))


@functools.cache
def bound_memory() -> None:
    """Have FFmpeg refuse, in this process, to take more than ``ALLOCATION_BYTES`` at once.

    So a stream that lies about lengths, or never ends a picture, fails by itself alone.
    """
    import av._core

    # The library that PyAV brings is found through PyAV's own; a build without it has no bound.
    with contextlib.suppress(OSError, AttributeError):
        bound = ctypes.CDLL(av._core.__file__).av_max_alloc
        bound.argtypes, bound.restype = [ctypes.c_size_t], None
        bound(ALLOCATION_BYTES)


def too_large(width: int, height: int) -> str:
    """What to say of a picture with too many pixels; '' where it is small enough."""
    if width * height <= FRAME_PIXELS:
        return ""
    return f"pictures of {width}x{height} pixels, {FRAME_PIXELS / 1e6:g} million at most"


def unfit(data: bytes | np.ndarray) -> str:
    """Why an encoded picture is not to be decoded, from its header and its end; '' where it is.

    It is no picture that is known, has too many pixels, or is cut short.
    """
    from PIL import Image

    data = bytes(data)
    begin = data[:8]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of 89 megapixels
            with Image.open(io.BytesIO(data)) as picture:
                reason = too_large(*picture.size)
    except Image.DecompressionBombError:
        return f"more than {FRAME_PIXELS / 1e6:g} million pixels"
    except Exception:  # whatever damaged headers bring up
        return "no picture that is known"
    if not reason and begin.startswith(b"\xff\xd8") and not _has_end(data):
        return "cut short"
    if not reason and begin == b"\x89PNG\r\n\x1a\n":
        return _fault_of_png(data)
    return reason


def _fault_of_png(data: bytes) -> str:
    """What is wrong with the chunks that make a PNG's picture; its decoder does not look at all."""
    at = 8
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 8 + length
        told = int.from_bytes(data[end : end + 4], "big")
        if end + 4 <= len(data) and kind[:1].isupper() and zlib.crc32(data[at + 4 : end]) != told:
            return "a wrong checksum"
        if kind == b"IEND":
            return ""
        at = end + 4
    return "cut short"


def _has_end(data: bytes) -> bool:
    """Whether the mark of the end stands behind the first scan of a JPEG."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:
            return data.find(b"\xff\xd9", at) > 0
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        at += 1 if marker == 0xFF else 2 + length
    return True  # its decoder knows better

"""Whether a file is as long as its container says: what a cut copy or a full disk leaves is not."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def lacks_end(path: Path) -> bool:
    """Whether an AVI or Matroska file ends before the end that its first bytes tell.

    False for others, and where the recorder did not get to write the length.  Raises OSError.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head, at = file.read(12), 0
        while head[:4] == b"RIFF" and any(head[4:8]):
            length = int.from_bytes(head[4:8], "little")
            at += 8 + length + length % 2
            if at > size + 1:  # the last byte may be filling
                return True
            file.seek(at)
            head = file.read(12)
        if head[:4] != EBML:
            return False
        file.seek(len(EBML))
        file.seek(_length(file) or 0, 1)
        if file.read(len(SEGMENT)) != SEGMENT:
            return False
        length = _length(file)
        return length is not None and file.tell() + length > size


def _length(file: BinaryIO) -> int | None:
    """A length as EBML writes it: leading zeros tell how many bytes; all ones: not known."""
    first = file.read(1)
    zeros = 8 - first[0].bit_length() if first else 8
    rest = file.read(zeros)
    if zeros == 8 or len(rest) < zeros:
        return None
    bits = 7 * (zeros + 1)
    value = int.from_bytes(first + rest, "big") & (1 << bits) - 1
    return None if value == (1 << bits) - 1 else value

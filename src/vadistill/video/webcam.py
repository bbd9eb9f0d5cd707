"""Webcams of this machine."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from vadistill.addresses import Address

if TYPE_CHECKING:
    from av.container import InputContainer


def open_webcam(address: Address, timeout: tuple[float, float]) -> InputContainer:
    """The webcam of that number, compressed pictures preferred: USB carries more of them."""
    import av
    from av.error import FFmpegError

    number = re.sub(r"\D", "", address.url)
    if sys.platform == "darwin":
        return av.open(f"{number}:none", format="avfoundation", timeout=timeout)
    if not sys.platform.startswith("linux"):
        raise ValueError("webcams are read on Linux and macOS only")
    name = f"/dev/video{number}"
    try:
        return av.open(name, format="v4l2", options={"input_format": "mjpeg"}, timeout=timeout)
    except FFmpegError:
        return av.open(name, format="v4l2", timeout=timeout)

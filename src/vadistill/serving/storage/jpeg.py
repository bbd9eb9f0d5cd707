"""Pictures as JPEGs and back."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8


def to_jpeg(image: UInt8[np.ndarray, "h w 3"], quality: int = 85) -> bytes:
    """An RGB picture as a JPEG of ``quality`` 1 to 100."""
    import cv2

    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def from_jpeg(jpeg: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """The inverse of ``to_jpeg``, but for what it loses."""
    import cv2

    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

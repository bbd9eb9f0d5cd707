"""Mask pictures: which pixels of a video are abnormal, frame by frame."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from vadistill.datasets.sources import pictures
from vadistill.errors import DataError, VideoError
from vadistill.video import read_picture

JPEG_WHITE = 127
"""Of a JPEG: what is brighter is abnormal.  It rings around an edge, so dark grey is no label."""


class PictureMasks:
    """A folder of mask pictures, one a frame in natural order: any pixel above 0 is abnormal.

    Of pictures with an alpha channel that are otherwise black, what is not transparent; of others
    with one, what is neither black nor transparent.  Calling it with a 0-based frame index gives
    that mask, read then and there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = pictures(folder)

    def __len__(self) -> int:
        return len(self.paths)

    def __call__(self, index: int) -> Bool[np.ndarray, "h w"]:
        """Raises DataError for a picture that cannot be read, IndexError past the last one."""
        return _last_read(self.paths[index]).copy()

    def frame_labels(self) -> UInt8[np.ndarray, " t"]:
        """1 for each frame with an abnormal pixel; reads every picture."""
        return np.array([_last_read(path).any() for path in self.paths], np.uint8)


def read_mask(path: Path) -> Bool[np.ndarray, "h w"]:
    """One picture as ``PictureMasks`` reads it; raises DataError."""
    import cv2

    jpeg = path.suffix.lower() in {".jpg", ".jpeg"}
    try:
        flags = cv2.IMREAD_GRAYSCALE if jpeg else cv2.IMREAD_UNCHANGED
        picture = read_picture(path, flags)
    except VideoError as error:
        raise DataError(
            f"cannot read the mask: {error.got}",
            expected="a whole png, bmp, tif or jpg picture",
            fix="copy it again from the data set",
        ) from error
    if jpeg and 0 < (brightest := int(picture.max())) <= JPEG_WHITE:
        raise DataError(
            f"the mask {path} is a JPEG with values up to {brightest}",
            expected="0 and 255 in a JPEG, which keeps no small differences",
            fix="save the masks again as PNG, or with 255 where they are abnormal",
        )
    if picture.ndim == 2:
        return picture > (JPEG_WHITE if jpeg else 0)
    colours = np.asarray((picture[..., :3] > 0).any(2))
    if picture.shape[2] < 4:
        return colours
    alpha = picture[..., 3]
    if not alpha.any() and colours.any() and len(np.unique(picture[..., :3])) == 2:
        raise DataError(
            f"the mask {path} is transparent all over, but its colours are a mask",
            expected="a mask in grey, or in the alpha channel of a picture",
            fix="save the masks again without an alpha channel",
        )
    black_with_holes = not colours.any() and alpha.min() != alpha.max()
    return np.asarray(alpha > 0 if black_with_holes else colours & (alpha > 0))


@lru_cache(maxsize=1)
def _last_read(path: Path) -> Bool[np.ndarray, "h w"]:
    return read_mask(path)

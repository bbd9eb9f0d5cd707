"""Mask pictures: which pixels of a video are abnormal, frame by frame."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from vadistill.datasets.sources import pictures
from vadistill.errors import DataError


class PictureMasks:
    """A folder of mask pictures, one a frame in natural order: any pixel above 0 is abnormal.

    Calling it with a 0-based frame index gives that mask, read then and there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = pictures(folder)

    def __len__(self) -> int:
        return len(self.paths)

    def __call__(self, index: int) -> Bool[np.ndarray, "h w"]:
        """Raises DataError for a picture that cannot be read, IndexError past the last one."""
        return _read_mask(self.paths[index]).copy()

    def frame_labels(self) -> UInt8[np.ndarray, " t"]:
        """1 for each frame with an abnormal pixel; reads every picture."""
        return np.array([_read_mask(path).any() for path in self.paths], np.uint8)


@lru_cache(maxsize=1)
def _read_mask(path: Path) -> Bool[np.ndarray, "h w"]:
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise DataError(
            f"cannot read the mask {path}",
            expected="a whole png, bmp, tif or jpg picture",
            fix="copy it again from the data set",
        )
    # JPEG rings around an edge: dark grey there is not a label.
    return picture > (127 if path.suffix.lower() in {".jpg", ".jpeg"} else 0)

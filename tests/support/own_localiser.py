"""A localiser of somebody else's package: whatever is brighter than half, as one box."""

import numpy as np

from vadistill.objects import Boxes, Localiser
from vadistill.windows import Triplet


class Own(Localiser):
    name = "own"

    def boxes(self, window: Triplet) -> Boxes:
        y, x = np.nonzero(window.current.image.max(2) > 127)
        found = [(x.min(), y.min(), x.max() + 1, y.max() + 1)] if len(x) else []
        return np.array(found, np.float32).reshape(-1, 4)

"""The discriminators of adversarial distillation: is a set of anomaly maps the teacher's?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.systems.fast_aed.model import Architecture, Maps

SLOPE = 0.2
"""Negative slope of the activations: our choice, as sparse maps would silence ReLUs."""


class Discriminator(nn.Module):
    """D_T of Eq. 5: one prediction from the maps of all resolutions.

    From the finest map down: conv 3x3, activation, pooling to the next resolution, where that map
    is concatenated.  The 1x1 level ends in a layer of 50 and the output.  For (1, 4, 16): 16x16
    conv -> 4, pool; with 4x4 conv -> 8, pool; with 1x1 -> 50 -> 1: 959 parameters, as for Ped2's
    (1, 30, 60), since they do not depend on the resolutions.

    Pooling is by average, our choice: through a maximum, one cell a map would get all of the
    student's gradient, and one cell that is kept high would hide all others.  Maps are continued
    beyond their edges, not surrounded by zeros, so that D cannot tell an edge from the middle.

    ``size``s are (height, width).  ``outputs``: 1 for a teacher's own discriminator; one more than
    there are teachers for the single discriminator of Table 6, whose class 0 is the student.
    """

    HIDDEN = 50

    def __init__(self, sizes: Sequence[tuple[int, int]], *, outputs: int = 1) -> None:
        super().__init__()
        self.order = sorted(range(len(sizes)), key=lambda i: -sizes[i][0] * sizes[i][1])
        fine_to_coarse = [sizes[i] for i in self.order]
        if fine_to_coarse[-1] != (1, 1):
            fine_to_coarse.append((1, 1))
        self.pooled = fine_to_coarse[1:]
        convolutions: list[nn.Module] = []
        width, filters = 0, 4
        for _ in self.pooled:
            convolutions.append(nn.Conv2d(width + 1, filters, 3, 1, 1, padding_mode="replicate"))
            width, filters = filters, 8
        self.convolutions = nn.ModuleList(convolutions)
        inputs = width + (len(self.pooled) < len(sizes))
        self.hidden = nn.Linear(inputs, self.HIDDEN)
        self.output = nn.Linear(self.HIDDEN, outputs)

    @classmethod
    def of(cls, architecture: Architecture, *, outputs: int = 1) -> Discriminator:
        """A discriminator for the maps of a student."""
        return cls(architecture.sizes, outputs=outputs)

    def forward(self, maps: Maps) -> Float[Tensor, "n outputs"]:
        """Logits: the higher, the more like the teacher's (for one output)."""
        ordered = [maps[i][:, None] for i in self.order]
        x = ordered[0]
        for level, (convolution, size) in enumerate(
            zip(self.convolutions, self.pooled, strict=True), start=1
        ):
            x = F.adaptive_avg_pool2d(F.leaky_relu(convolution(x), SLOPE), size)
            if level < len(ordered):
                x = torch.cat([x, ordered[level]], 1)
        return self.output(F.leaky_relu(self.hidden(x.flatten(1)), SLOPE))

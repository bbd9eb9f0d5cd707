"""Table 1's rivals of the temporal aggregation module, all from (b, T, n, d) to (b, n, width).

None of them knows several sequences, so their features are laid side by side: (b, n, T d).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.errors import ConfigError
from vadistill.systems.dakd.attention import TERMS, TemporalAggregation


def side_by_side(sequences: Float[Tensor, "b t n d"]) -> Float[Tensor, "b n td"]:
    """All backbones' features of a segment in one vector."""
    return sequences.transpose(1, 2).flatten(2)


class Segmentwise(nn.Module):
    """No temporal module: every segment for itself (Table 5, without TAM)."""

    def __init__(self, sequences: int, inputs: int, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(sequences * inputs, width)

    def forward(self, sequences: Float[Tensor, "b t n d"]) -> Float[Tensor, "b n w"]:
        return F.relu(self.layer(side_by_side(sequences)))


class Recurrent(nn.Module):
    """A bidirectional RNN, LSTM or GRU of one layer, half of the width in each direction."""

    def __init__(
        self, kind: Callable[..., nn.Module], sequences: int, inputs: int, width: int
    ) -> None:
        super().__init__()
        self.cells = kind(sequences * inputs, width // 2, batch_first=True, bidirectional=True)

    def forward(self, sequences: Float[Tensor, "b t n d"]) -> Float[Tensor, "b n w"]:
        return self.cells(side_by_side(sequences))[0]


class Convolution(nn.Module):
    """One convolution over time, three segments wide."""

    def __init__(self, sequences: int, inputs: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(sequences * inputs, width, 3, padding=1)

    def forward(self, sequences: Float[Tensor, "b t n d"]) -> Float[Tensor, "b n w"]:
        return F.relu(self.conv(side_by_side(sequences).transpose(1, 2))).transpose(1, 2)


class WithSkip(nn.Module):
    """Attention with a way round it: H + W Z, Z the mean of the backbones' features.

    An attention layer of DeBERTa adds its input too.  Without it a segment's own features count
    only as far as it attends to itself.
    """

    def __init__(self, attention: nn.Module, inputs: int, width: int) -> None:
        super().__init__()
        self.attention = attention
        self.skip = nn.Linear(inputs, width)

    def forward(self, sequences: Float[Tensor, "b t n d"]) -> Float[Tensor, "b n w"]:
        return self.attention(sequences) + self.alone(sequences)

    def alone(self, sequences: Float[Tensor, "b t n d"]) -> Float[Tensor, "b n w"]:
        """What a segment brings itself, whatever the others are."""
        return self.skip(sequences.mean(1))


class MultiHead(nn.Module):
    """Plain multi-head self-attention with eight heads and no positions."""

    def __init__(self, sequences: int, inputs: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(sequences * inputs, width)
        self.attention = nn.MultiheadAttention(width, 8, batch_first=True)

    def forward(self, sequences: Float[Tensor, "b t n d"]) -> Float[Tensor, "b n w"]:
        x = self.enter(side_by_side(sequences))
        return self.attention(x, x, x, need_weights=False)[0]


class Disentangled(nn.Module):
    """Disentangled attention (He et al. 2021) on one sequence: no cross term."""

    def __init__(self, sequences: int, inputs: int, width: int) -> None:
        super().__init__()
        terms = [term for term in TERMS if term != "cross"]
        self.attention = TemporalAggregation(1, sequences * inputs, width, terms=terms)

    def forward(self, sequences: Float[Tensor, "b t n d"]) -> Float[Tensor, "b n w"]:
        return self.attention(side_by_side(sequences)[:, None])


class MultiScale(nn.Module):
    """After RTFM's multi-scale temporal network (Tian et al. 2021), without batch normalisation: a
    pyramid of dilated convolutions beside a non-local block, joined and added to its input.
    """

    DILATIONS = (1, 2, 4)

    def __init__(self, sequences: int, inputs: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(sequences * inputs, width)
        quarter = width // 4
        self.pyramid = nn.ModuleList(
            nn.Conv1d(width, quarter, 3, padding=d, dilation=d) for d in self.DILATIONS
        )
        self.narrow = nn.Conv1d(width, quarter, 1)
        self.theta, self.phi, self.g = (nn.Conv1d(quarter, quarter // 2, 1) for _ in range(3))
        self.back = nn.Conv1d(quarter // 2, quarter, 1)
        self.join = nn.Conv1d(4 * quarter, width, 3, padding=1)

    def forward(self, sequences: Float[Tensor, "b t n d"]) -> Float[Tensor, "b n w"]:
        x = self.enter(side_by_side(sequences)).transpose(1, 2)
        scales = [F.relu(conv(x)) for conv in self.pyramid]
        narrow = self.narrow(x)
        alike = self.theta(narrow).transpose(1, 2) @ self.phi(narrow) / narrow.shape[-1]
        distant = self.back((alike @ self.g(narrow).transpose(1, 2)).transpose(1, 2)) + narrow
        return (x + F.relu(self.join(torch.cat([*scales, distant], 1)))).transpose(1, 2)


RIVALS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "mtn": MultiScale,
    "multihead": MultiHead,
    "lstm": lambda *sizes: Recurrent(nn.LSTM, *sizes),
    "rnn": lambda *sizes: Recurrent(nn.RNN, *sizes),
    "disentangled": Disentangled,
    "gru": lambda *sizes: Recurrent(nn.GRU, *sizes),
    "cnn": Convolution,
    "none": Segmentwise,
}
"""Table 1's rows but the last, in its order, and no temporal module at all."""


ATTENTIVE = ("tam", "multihead", "disentangled")
"""Modules of attention alone, which ``skip`` is for."""


def temporal_module(
    name: str, sequences: int, inputs: int, width: int, *, skip: bool = True, **attention: object
) -> nn.Module:
    """``tam`` with the settings of ``attention``, or a rival by name; raises ConfigError."""
    if name != "tam" and name not in RIVALS:
        raise ConfigError(
            f"temporal module '{name}'",
            expected=f"tam or one of {', '.join(RIVALS)}",
            fix="choose one of them",
        )
    if name == "tam":
        module = TemporalAggregation(sequences, inputs, width, **attention)  # pyright: ignore[reportArgumentType]
    else:
        module = RIVALS[name](sequences, inputs, width)
    return WithSkip(module, inputs, width) if skip and name in ATTENTIVE else module

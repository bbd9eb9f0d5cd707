"""The temporal aggregation module: disentangled attention within and across backbones (Eqs. 1-4).

symbol        here                    shape
Z_t           sequences[:, t]         (n, d), the projected features of backbone t
Q, K, V       queries, keys, values   (b, T, heads, n, c), c = width / heads
Z~            positions               (2k, d), shared by all backbones
Q^r, K^r      query_r, key_r          (heads, 2k, c)
A~_t          attention_logits        (n, n), before the scale sqrt((T + 2) c)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vadistill.errors import ConfigError

Term = Literal["self", "cross", "content-to-position", "position-to-content"]

TERMS: tuple[Term, ...] = get_args(Term)
"""The four terms of the attention, in the paper's order (Table 6)."""

Index = Literal["paper", "deberta"]
"""Which relative position the position-to-content term uses: gamma(j, i) or gamma(i, j)."""


def relative_index(length: int, reach: int) -> Int[Tensor, "{length} {length}"]:
    """Eq. 1: gamma(i, j) = min(max(i - j + k, 0), 2k - 1) for k = ``reach``."""
    place = torch.arange(length)
    return (place[:, None] - place[None, :] + reach).clamp(0, 2 * reach - 1)


def attention_logits(
    queries: Float[Tensor, "b t h n c"],
    keys: Float[Tensor, "b t h n c"],
    query_r: Float[Tensor, "h p c"],
    key_r: Float[Tensor, "h p c"],
    *,
    terms: Sequence[str] = TERMS,
    index: Index = "paper",
) -> Float[Tensor, "b t h n n"]:
    """A~ before its scale: the sum of ``terms``.

    self                  Q_t,i . K_t,j
    cross                 sum over h != t of Q_t,i . K_h,j
    content-to-position   Q_t,i . K^r at gamma(i, j)
    position-to-content   K_t,j . Q^r at gamma(j, i)

    All backbones' keys are summed before they meet a query, so the cross term costs no product of
    its own.
    """
    length, reach = queries.shape[3], query_r.shape[1] // 2
    gamma = relative_index(length, reach).to(queries.device)
    met = torch.zeros_like(keys)
    if "self" in terms:
        met = met + keys
    if "cross" in terms:
        met = met + (keys.sum(1, keepdim=True) - keys)
    logits = queries @ met.transpose(-1, -2)
    if "content-to-position" in terms:
        at_positions = torch.einsum("bthnc,hpc->bthnp", queries, key_r)
        logits = logits + at_positions.gather(-1, gamma.expand(logits.shape))
    if "position-to-content" in terms:
        at_positions = torch.einsum("bthnc,hpc->bthnp", keys, query_r)
        by_key = gamma if index == "paper" else gamma.T  # [j, i]
        logits = logits + at_positions.gather(-1, by_key.expand(logits.shape)).transpose(-1, -2)
    return logits


def term_count(terms: Sequence[str], sequences: int) -> int:
    """Products in A~: T + 2 when all terms are on (Eq. 4), 3 for a single backbone."""
    return sum(sequences - 1 if term == "cross" else 1 for term in terms)


class TemporalAggregation(nn.Module):
    """T aligned sequences to one (Eqs. 2-4): H = mean over t of softmax(A~_t / sqrt(..)) V_t."""

    def __init__(
        self,
        sequences: int,
        inputs: int = 512,
        width: int = 1024,
        *,
        heads: int = 8,
        reach: int = 25,
        terms: Sequence[str] = TERMS,
        index: Index = "paper",
    ) -> None:
        super().__init__()
        unknown = [term for term in terms if term not in TERMS]
        if unknown or width % heads or reach < 1:
            raise ConfigError(
                f"attention of width {width}, {heads} heads, k = {reach}, terms {', '.join(terms)}",
                expected=f"a width that the heads divide, k above 0, terms of {', '.join(TERMS)}",
                fix="correct the setting",
            )
        self.heads, self.terms = heads, tuple(terms)
        self.index: Index = index
        bound = inputs**-0.5  # as in nn.Linear
        self.content = nn.Parameter(
            torch.empty(sequences, inputs, 3 * width).uniform_(-bound, bound)
        )
        """W_q, W_k and W_v of each backbone, side by side."""
        self.positions = nn.Parameter(torch.randn(2 * reach, inputs) * inputs**-0.5)
        self.relative = nn.Linear(inputs, 2 * width, bias=False)
        """W_qr and W_kr, side by side."""

    def forward(self, sequences: Float[Tensor, "b t n d"]) -> Float[Tensor, "b n w"]:
        batch, count, length, _ = sequences.shape
        content = sequences.transpose(0, 1).flatten(1, 2) @ self.content
        content = content.view(count, batch, length, 3, self.heads, -1)
        queries, keys, values = content.permute(3, 1, 0, 4, 2, 5)
        relative = self.relative(self.positions).view(len(self.positions), 2, self.heads, -1)
        query_r, key_r = relative.permute(1, 2, 0, 3)
        logits = attention_logits(queries, keys, query_r, key_r, terms=self.terms, index=self.index)
        products = max(1, term_count(self.terms, count))
        weights = torch.softmax(logits / (products * queries.shape[-1]) ** 0.5, dim=-1)
        each = weights @ values
        return each.mean(1).transpose(1, 2).flatten(2)

"""The temporal aggregation module: disentangled attention within and across backbones (Eqs. 1-4).

symbol        here                    shape
Z_t           sequences[:, t]         (n, d), the projected features of backbone t
LN(Z_t)       seen                    (n, d), what queries, keys and values are made of
Q, K, V       queries, keys, values   (heads, b, T, n, c), c = width / heads
Z~            positions               (2k, d), shared by all backbones
Q^r, K^r      query_r, key_r          (heads, 2k, c)
A~_t          attention_logits        (n, n), before the scale sqrt((T + 2) c)

The scale of Eq. 4 gives logits of unit variance where the T + 2 products in A~ are of vectors whose
numbers have unit variance, which the paper leaves to its reader.  Here they see rows of mean 0 and
variance 1, as in DeBERTa, and all matrices begin with variance 1 / d.  Without that the weights are
1 / n everywhere, and the module is a mean over time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from vadistill.errors import ConfigError

Term = Literal["self", "cross", "content-to-position", "position-to-content"]

TERMS: tuple[Term, ...] = get_args(Term)
"""The four terms of the attention, in the paper's order (Table 6)."""

Index = Literal["paper", "deberta"]
"""Which relative position the position-to-content term uses: gamma(j, i) or gamma(i, j)."""


Count = int | Int[Tensor, ""]
"""A number; a tensor while a graph is exported."""


def relative_index(length: Count, reach: Count) -> Int[Tensor, "n n"]:
    """Eq. 1: gamma(i, j) = min(max(i - j + k, 0), 2k - 1) for k = ``reach``; n is ``length``."""
    place = torch.arange(length)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return (place[:, None] - place[None, :] + reach).clamp(0, 2 * reach - 1)


def attention_logits(
    queries: Float[Tensor, "h b t q c"],
    keys: Float[Tensor, "h b t n c"],
    query_r: Float[Tensor, "h p c"],
    key_r: Float[Tensor, "h p c"],
    *,
    terms: Sequence[str] = TERMS,
    index: Index = "paper",
    places: Int[Tensor, "b q"] | None = None,
) -> Float[Tensor, "h b t q n"]:
    """A~ before its scale: the sum of ``terms``.

    self                  Q_t,i . K_t,j
    cross                 sum over h != t of Q_t,i . K_h,j
    content-to-position   Q_t,i . K^r at gamma(i, j)
    position-to-content   K_t,j . Q^r at gamma(j, i)

    Self and cross together are the product with the sum of all backbones' keys.  Queries are those
    of all segments, or of each sequence's segments at ``places``.
    """
    sequences, length = queries.shape[2], keys.shape[3]
    gamma = relative_index(length, query_r.shape[1] // 2).to(queries.device)
    if places is None:
        forth, back = gamma, gamma.T
    else:  # gamma(i, j) and gamma(j, i) of these i, as [i, j]
        forth, back = gamma[places][:, None], gamma.T[places][:, None]
    forth, back = (each.expand(*queries.shape[:4], length) for each in (forth, back))
    total = keys.sum(2, keepdim=True) if sequences > 1 else keys
    if "self" in terms and "cross" in terms:
        met = total
    elif "cross" in terms:
        met = total - keys
    else:
        met = keys if "self" in terms else 0 * keys
    rows = queries if met.shape[2] > 1 else queries.flatten(2, 3)[:, :, None]
    logits = (rows @ met.transpose(-2, -1)).view(*queries.shape[:4], length)
    if "content-to-position" in terms:
        products = queries.flatten(1, 3) @ key_r.transpose(-2, -1)
        by_position = products.view(*queries.shape[:4], -1)
        logits = logits + by_position.gather(-1, forth)
    if "position-to-content" in terms:
        products = keys.flatten(1, 3) @ query_r.transpose(-2, -1)
        by_position = products.view(*keys.shape[:4], -1)
        by_key = (back if index == "paper" else forth).transpose(-2, -1)  # [j, i]
        logits = logits + by_position.gather(-1, by_key).transpose(-2, -1)
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
        self.heads, self.terms, self.inputs = heads, tuple(terms), inputs
        self.index: Index = index
        content = torch.randn(sequences, inputs, 3 * width) * inputs**-0.5
        # Contiguous, since fused Adagrad goes wrong where a parameter is not.
        parts = [part.contiguous() for part in content.split(width, dim=-1)]
        self.query, self.key, self.value = map(nn.Parameter, parts)
        """W_q, W_k and W_v of each backbone."""
        self.positions = nn.Parameter(torch.randn(2 * reach, inputs))
        self.relative = nn.Linear(inputs, 2 * width, bias=False)
        """W_qr and W_kr, side by side."""
        nn.init.normal_(self.relative.weight, std=inputs**-0.5)

    def forward(self, sequences: Float[Tensor, "b t n d"]) -> Float[Tensor, "b n w"]:
        return self.gather(*self.attend(sequences))

    def attend(
        self, sequences: Float[Tensor, "b t n d"]
    ) -> tuple[Float[Tensor, "h b t n n"], Float[Tensor, "h b t n c"]]:
        """What segment i of backbone t takes from its segment j (rows sum to 1), and the values."""
        queries, keys, values = self.content(sequences)
        return self.weights(queries, keys, self.positional()), values

    def content(self, sequences: Float[Tensor, "b t n d"]) -> list[Float[Tensor, "h b t n c"]]:
        """Queries, keys and values."""
        # The width as a plain number: ONNX knows no other.
        seen = F.layer_norm(sequences, (self.inputs,))
        return [self._by_head(seen, weight) for weight in (self.query, self.key, self.value)]

    def positional(self) -> tuple[Float[Tensor, "h p c"], Float[Tensor, "h p c"]]:
        """Q^r and K^r."""
        positions = F.layer_norm(self.positions, (self.inputs,))
        relative = self.relative(positions).view(len(positions), 2, self.heads, -1)
        query_r, key_r = relative.permute(1, 2, 0, 3)
        return query_r, key_r

    def weights(
        self,
        queries: Float[Tensor, "h b t q c"],
        keys: Float[Tensor, "h b t n c"],
        positional: tuple[Float[Tensor, "h p c"], Float[Tensor, "h p c"]],
        places: Int[Tensor, "b q"] | None = None,
    ) -> Float[Tensor, "h b t q n"]:
        """What the segments at ``places`` (default: all) take from each; rows sum to 1."""
        logits = attention_logits(
            queries, keys, *positional, terms=self.terms, index=self.index, places=places
        )
        products = max(1, term_count(self.terms, len(self.query)))
        return torch.softmax(logits / (products * queries.shape[-1]) ** 0.5, dim=-1)

    def gather(
        self, weights: Float[Tensor, "h b t q n"], values: Float[Tensor, "h b t n c"]
    ) -> Float[Tensor, "b q w"]:
        """H: one product sums over segments and backbones."""
        summed = weights.transpose(2, 3).flatten(3) @ values.flatten(2, 3)
        return (summed / len(self.query)).permute(1, 2, 0, 3).flatten(2)

    def _by_head(
        self, sequences: Float[Tensor, "b t n d"], weight: Float[Tensor, "t d w"]
    ) -> Float[Tensor, "h b t n c"]:
        """Each backbone's segments times its weights; heads first, as products want them."""
        batch, count, length, _ = sequences.shape
        content = sequences.transpose(0, 1).flatten(1, 2) @ weight
        by_head = content.view(count, batch, length, self.heads, -1).permute(3, 1, 0, 2, 4)
        return by_head.contiguous()

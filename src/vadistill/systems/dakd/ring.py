"""What is remembered of clips that come one after the other, so that each is projected once.

A window of clips moves on by one: all but one of its projections, queries, keys and values were
made before.  ``Remember`` makes those of a clip; ``Recall`` gives the scores of some clips of a
window from what was remembered of all, and asks only for these.  The scores are those of the whole
network, but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn

from vadistill.program import Program
from vadistill.runtime import open_runtime
from vadistill.systems.dakd.attention import TemporalAggregation
from vadistill.systems.dakd.data import normalised
from vadistill.systems.dakd.model import Baseline, Network
from vadistill.systems.dakd.temporal import Disentangled, WithSkip, side_by_side

Row = Float32[np.ndarray, " _"]

Rows = list[Row]
"""A clip's feature from each backbone of the network."""


def attention_of(network: Network | Baseline) -> TemporalAggregation | None:
    """The attention whose queries, keys and values can be kept; other modules begin anew."""
    module = network.temporal if isinstance(network, Network) else None
    if isinstance(module, WithSkip):
        module = module.attention
    if isinstance(module, Disentangled):
        module = module.attention
    return module if isinstance(module, TemporalAggregation) else None


class Remember(nn.Module):
    """Of each backbone's clips (b, n, _), each for itself, what a window needs: (b, n, m).

    Queries, keys and values, and what the skip brings; of other modules than attention the
    projections.
    """

    def __init__(self, network: Network | Baseline, *, normalise: bool) -> None:
        super().__init__()
        self.network, self.normalise = network, normalise

    def forward(self, *features: Float[Tensor, "b n _"]) -> Float[Tensor, "b n m"]:
        sequences = self.network.project([normalised(x, self.normalise) for x in features])
        attention = attention_of(self.network)
        if attention is None:
            return side_by_side(sequences)
        joined = side_by_side(sequences)[:, None] if len(attention.query) == 1 else sequences
        content = torch.stack(attention.content(joined))  # 3 h b t n c
        kept = [content.permute(2, 4, 0, 1, 3, 5).flatten(2)]
        if isinstance(self.network.temporal, WithSkip):
            kept.append(self.network.temporal.alone(sequences))
        return torch.cat(kept, -1)


class Recall(nn.Module):
    """Scores of some clips of windows, from what was remembered of all their clips."""

    query_r: Float[Tensor, "h p c"]
    key_r: Float[Tensor, "h p c"]

    def __init__(self, network: Network | Baseline) -> None:
        super().__init__()
        self.network = network
        attention = attention_of(network)
        if attention is not None:
            with torch.no_grad():
                query_r, key_r = attention.positional()
            self.register_buffer("query_r", query_r)
            self.register_buffer("key_r", key_r)

    def forward(
        self, memory: Float[Tensor, "b n m"], places: Int[Tensor, "b q"]
    ) -> Float[Tensor, "b q"]:
        attention = attention_of(self.network)
        if attention is None:
            sequences = memory.unflatten(2, (self._sequences(), -1)).transpose(1, 2)
            return self.network.judge(sequences).scores.gather(1, places)
        assert isinstance(self.network, Network)
        width = 3 * attention.key.shape[0] * attention.key.shape[2]
        asked = memory.gather(1, places[..., None].expand(-1, -1, memory.shape[-1]))
        queries = self._content(attention, asked[..., :width].contiguous())[0]
        _, keys, values = self._content(attention, memory[..., :width].contiguous())
        positional = (self.query_r, self.key_r)
        aggregated = attention.gather(attention.weights(queries, keys, positional, places), values)
        alone = None
        if isinstance(self.network.temporal, WithSkip):
            alone = asked[..., width:]
            aggregated = aggregated + alone
        return self.network.logits(aggregated, alone).float().sigmoid()

    def _sequences(self) -> int:
        return len(self.network.projections) if isinstance(self.network, Network) else 1

    @staticmethod
    def _content(
        attention: TemporalAggregation, memory: Float[Tensor, "b n m"]
    ) -> Float[Tensor, "3 h b t n c"]:
        """Queries, keys and values, as they were."""
        # As a view, whose sizes stay free in a graph.
        parts = memory.view(*memory.shape[:2], 3, attention.heads, attention.key.shape[0], -1)
        return parts.permute(2, 3, 0, 4, 1, 5)


class Ring:
    """Both in a runtime."""

    def __init__(
        self,
        network: Network | Baseline,
        widths: Sequence[int],
        runtime: str,
        device: torch.device,
        *,
        normalise: bool = False,
    ) -> None:
        remember = Remember(network.eval(), normalise=normalise)
        examples = {f"features{i}": torch.zeros(1, 3, w) for i, w in enumerate(widths)}
        program = Program(remember, examples, ("memory",), free=(1,))
        self._remember = open_runtime(program, runtime, device)
        with torch.no_grad():
            memory = remember(*(each.to(device) for each in examples.values())).cpu()
        inputs = {"memory": memory, "places": torch.tensor([[0, 1]])}
        program = Program(Recall(network), inputs, ("scores",), free=(1,))
        self._recall = open_runtime(program, runtime, device)

    def remember(self, rows: Rows) -> Row:
        """What a clip adds to every window that it is in."""
        return self._remember(*(row[None, None] for row in rows))[0][0, 0]

    def scores(self, held: Iterable[Row], places: Sequence[int]) -> list[float]:
        """Scores in [0, 1] of the clips at some places of a window, of which all are ``held``."""
        if not places:
            return []
        memory = np.stack(list(held))[None]
        return self._recall(memory, np.array([places], np.int64))[0][0].tolist()

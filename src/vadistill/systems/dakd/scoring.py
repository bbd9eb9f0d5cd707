"""How a network scores a video's clips, from the features of the clips around each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

from vadistill.datasets.snippets import SEGMENTS, segment_means, segment_of_snippets
from vadistill.program import Program
from vadistill.runtime import Runtime
from vadistill.systems.dakd.data import normalised
from vadistill.systems.dakd.model import Baseline, Network
from vadistill.systems.dakd.recipes import Scoring
from vadistill.systems.dakd.ring import Ring, Row, Rows

Array = Float32[np.ndarray, "_ _"]

TOGETHER = 32
"""Windows that go through the network at once, where all are known: as many as caches hold."""


class SegmentScorer(nn.Module):
    """A network's scores alone, of features as they were extracted."""

    def __init__(self, network: Network | Baseline, *, normalise: bool) -> None:
        super().__init__()
        self.network, self.normalise = network, normalise

    def forward(self, *features: Float[Tensor, "b n _"]) -> Float[Tensor, "b n"]:
        return self.network([normalised(x, self.normalise) for x in features]).scores


GRAPH = {
    "features0": "snippet features, a row a snippet of 16 frames, of the first backbone of "
    "config.json; features1, … of the others",
    "scores": "of each snippet, 0 to 1",
    "before": "extract features with the backbones ('vadistill extract')",
    "after": "give each snippet's score to its 16 frames",
}
"""What inputs and outputs of ``as_program`` are, and what is done before and after."""


def as_program(
    network: Network | Baseline, widths: Sequence[int], *, normalise: bool = False
) -> Program:
    """A network for a runtime: windows of any length of each backbone's features in, scores out."""
    examples = {f"features{i}": torch.zeros(2, SEGMENTS, w) for i, w in enumerate(widths)}
    scorer = SegmentScorer(network, normalise=normalise)
    return Program(scorer, examples, ("scores",), free=(0, 1), batch=TOGETHER)


class ClipScorer:
    """A network's score of every clip of a video, from the features of the clips around it.

    ``mode`` is ``Config.scoring``.  Windows are of ``length`` clips, shorter at a video's start
    (live) or in a short video.  A ``ring`` is for clips that come one after the other.
    """

    def __init__(
        self,
        runtime: Runtime,
        mode: Scoring,
        *,
        length: int = SEGMENTS,
        ring: Ring | None = None,
    ) -> None:
        self.runtime, self.length, self.ring = runtime, length, ring
        self.mode: Scoring = mode

    @property
    def lookahead(self) -> int | None:
        """Clips that may have to come before a clip is scored; None: all of the video."""
        return {"live": 0, "dense": self.length - 1, "segments": None}[self.mode]

    def __call__(self, clips: Iterable[Rows]) -> Iterator[float]:
        """One score in [0, 1] a clip, in order, as soon as it is known."""
        modes: dict[Scoring, Callable[[Iterable[Rows]], Iterator[float]]] = {
            "dense": self._dense,
            "live": self._live,
            "segments": self._segments,
        }
        return modes[self.mode](clips)

    def whole(self, arrays: Sequence[Array]) -> Float32[np.ndarray, " n"]:
        """The same scores of a video whose features are all known, (clips, width) a backbone.

        Windows go through the network together, so they differ from the others by rounding.
        """
        clips, length = len(arrays[0]), self.length
        if self.mode == "segments":
            return self.segments([arrays])[0][segment_of_snippets(clips, length)]
        if clips <= length and self.mode == "dense":
            return self._scores([a[None] for a in arrays])[0]
        # One row a window, that of the clips from its number on.
        slid = [sliding_window_view(a, min(length, clips), axis=0) for a in arrays]
        scores = self._scores([w.transpose(0, 2, 1) for w in slid])
        if self.mode == "live":
            early = [self._scores([a[None, :n] for a in arrays])[0, -1] for n in range(1, length)]
            return np.concatenate([early[: clips - 1], scores[:, -1]])[:clips].astype(np.float32)
        place = np.arange(clips)
        start = np.clip(place - length // 2, 0, clips - length)
        return scores[start, place - start]

    def crops(self, arrays: Sequence[Float32[np.ndarray, "n c _"]]) -> Float32[np.ndarray, " n"]:
        """The mean of the scores of each crop; of a backbone with fewer crops, they go round."""
        views = range(max(array.shape[1] for array in arrays))
        each = [self.whole([a[:, view % a.shape[1]] for a in arrays]) for view in views]
        return np.stack(each).mean(0)

    def segments(self, videos: Sequence[Sequence[Array]]) -> Float32[np.ndarray, "v s"]:
        """Segment scores of many videos at once, each given as (clips, width) a backbone."""
        reduced = [[segment_means(array, self.length) for array in video] for video in videos]
        return self._scores([np.stack(each) for each in zip(*reduced, strict=True)])

    def _scores(
        self, windows: Sequence[Float32[np.ndarray, "w n _"]]
    ) -> Float32[np.ndarray, "w n"]:
        """Scores of the clips of several windows, given by backbone."""
        return self.runtime(*windows)[0]

    def _live(self, clips: Iterable[Rows]) -> Iterator[float]:
        """Each clip as the last of those so far."""
        assert self.ring is not None, "clips that come one by one need a ring"
        held: deque[Row] = deque(maxlen=self.length)
        for rows in clips:
            held.append(self.ring.remember(rows))
            yield from self.ring.scores(held, [len(held) - 1])

    def _dense(self, clips: Iterable[Rows]) -> Iterator[float]:
        """Each clip in the window whose middle it is, or the nearest one at the video's ends."""
        assert self.ring is not None, "clips that come one by one need a ring"
        held: deque[Row] = deque(maxlen=self.length)
        seen = given = 0
        for rows in clips:
            held.append(self.ring.remember(rows))
            seen += 1
            if seen >= self.length:
                start, known = seen - self.length, seen - self.length + self.length // 2 + 1
                yield from self.ring.scores(held, [n - start for n in range(given, known)])
                given = known
        start = seen - len(held)
        yield from self.ring.scores(held, [n - start for n in range(given, seen)])

    def _segments(self, clips: Iterable[Rows]) -> Iterator[float]:
        """The video's segments; each clip has its segment's score."""
        rows = list(clips)
        if not rows:
            return
        yield from map(float, self.whole([np.stack(each) for each in zip(*rows, strict=True)]))

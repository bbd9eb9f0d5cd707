"""The networks of Fig. 2, teacher and student alike, and how they score a video's clips."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

from vadistill.datasets.snippets import SEGMENTS, segment_means, segment_of_snippets
from vadistill.runtime import Program, Runtime
from vadistill.systems.dakd.data import normalised
from vadistill.systems.dakd.recipes import Config, Scoring
from vadistill.systems.dakd.standard import entrances
from vadistill.systems.dakd.temporal import WithSkip, temporal_module

WIDTH = 1024
"""Width of the paper's aggregated features H; half of it are every backbone's projected ones."""


class Scored(NamedTuple):
    """What a network says of a batch of videos."""

    features: Float[Tensor, "b n w"]
    """H, one aggregated feature a segment."""
    logits: Float[Tensor, "b n"]
    """Anomaly scores before the sigmoid."""

    @property
    def scores(self) -> Float[Tensor, "b n"]:
        """Anomaly scores in [0, 1]."""
        return self.logits.float().sigmoid()


def projection(width: int, common: int) -> nn.Sequential:
    """A backbone's two-layer MLP to the common width."""
    return nn.Sequential(nn.Linear(width, common), nn.ReLU(), nn.Linear(common, common))


def head(width: int, hidden: int) -> nn.Sequential:
    """width -> hidden -> 32 -> 1, a logit a segment; the paper's has 512 hidden units."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 32), nn.ReLU(), nn.Linear(32, 1)
    )


class Network(nn.Module):
    """T backbones' segment features to aggregated features and scores: the teacher for T > 1.

    ``temporal`` is ``tam`` or a rival of Table 1; ``attention`` are the settings of ``tam``, and
    ``skip`` is for all that attend.  ``width`` is that of H.  With ``guarded`` a segment's logit is
    the lesser of two: the one of H, and that of what the skip alone brings.
    """

    def __init__(
        self,
        widths: Sequence[int],
        temporal: str = "tam",
        *,
        width: int = WIDTH,
        standardise: bool = False,
        skip: bool = True,
        guarded: bool = False,
        **attention: object,
    ) -> None:
        super().__init__()
        self.guarded = guarded
        common = width // 2
        self.entrances = entrances(widths, standardise)
        self.projections = nn.ModuleList(projection(each, common) for each in widths)
        self.temporal = temporal_module(
            temporal, len(widths), common, width, skip=skip, **attention
        )
        self.head = head(width, common)

    def forward(self, features: Sequence[Float[Tensor, "b n _"]]) -> Scored:
        seen = [enter(x) for enter, x in zip(self.entrances, features, strict=True)]
        each = [project(x) for project, x in zip(self.projections, seen, strict=True)]
        sequences = torch.stack(each).transpose(0, 1)
        aggregated = self.temporal(sequences)
        logits = self.head(aggregated).squeeze(-1)
        if self.guarded and isinstance(self.temporal, WithSkip):
            alone = self.head(self.temporal.alone(sequences)).squeeze(-1)
            logits = torch.minimum(logits, alone)
        return Scored(aggregated, logits)


class Baseline(nn.Module):
    """Sultani et al.'s network: the head alone on features side by side, each segment for itself.

    Its H, for what wants one, is the features themselves.
    """

    def __init__(
        self, widths: Sequence[int], *, width: int = WIDTH, standardise: bool = False
    ) -> None:
        super().__init__()
        self.entrances = entrances(widths, standardise)
        self.head = head(sum(widths), width // 2)

    def forward(self, features: Sequence[Float[Tensor, "b n _"]]) -> Scored:
        joined = torch.cat([e(x) for e, x in zip(self.entrances, features, strict=True)], -1)
        return Scored(joined, self.head(joined).squeeze(-1))


class Projector(nn.Module):
    """g of Eq. 5: an MLP with one hidden layer, z = W2 relu(W1 h), for teacher and student."""

    def __init__(self, inputs: int = WIDTH, hidden: int = 512, outputs: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, outputs, bias=False)
        )

    def forward(self, features: Float[Tensor, "*n w"]) -> Float[Tensor, "*n z"]:
        return self.layers(features)


def teacher_network(config: Config, widths: list[int]) -> Network | Baseline:
    """The untrained teacher."""
    if config.temporal == "baseline":
        return Baseline(widths, width=config.width, standardise=config.standardise)
    return Network(widths, config.temporal, **_settings(config, config.terms))


def student_network(config: Config, width: int) -> Network:
    """The untrained student: one backbone, and so no cross term."""
    terms = tuple(term for term in config.terms if term != "cross")
    return Network([width], config.temporal, **_settings(config, terms))


def _settings(config: Config, terms: tuple[str, ...]) -> dict[str, Any]:
    """Settings of a network; those of the temporal aggregation module for no other."""
    shared: dict[str, Any] = {
        "width": config.width,
        "standardise": config.standardise,
        "skip": config.skip,
        "guarded": config.guarded,
    }
    if config.temporal != "tam":
        return shared
    return {**shared, "reach": config.reach, "terms": terms, "index": config.index}


Row = Float32[np.ndarray, " _"]

Rows = list[Row]
"""A clip's feature from each backbone of the network."""

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
    (live) or in a short video.
    """

    def __init__(
        self,
        runtime: Runtime,
        mode: Scoring,
        *,
        length: int = SEGMENTS,
    ) -> None:
        self.runtime, self.length = runtime, length
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

    def _window(self, clips: Iterable[Rows]) -> Float32[np.ndarray, " n"]:
        """Scores of the clips of one window."""
        return self._scores([np.stack(rows)[None] for rows in zip(*clips, strict=True)])[0]

    def _live(self, clips: Iterable[Rows]) -> Iterator[float]:
        """Each clip as the last of those so far."""
        held: deque[Rows] = deque(maxlen=self.length)
        for rows in clips:
            held.append(rows)
            yield float(self._window(held)[-1])

    def _dense(self, clips: Iterable[Rows]) -> Iterator[float]:
        """Each clip in the window whose middle it is, or the nearest one at the video's ends."""
        held: deque[Rows] = deque(maxlen=self.length)
        middle = self.length // 2
        seen = given = 0
        scores = np.zeros(0, np.float32)
        for rows in clips:
            held.append(rows)
            seen += 1
            if seen < self.length:
                continue
            scores = self._window(held)
            start = seen - self.length
            while given <= start + middle:
                yield float(scores[given - start])
                given += 1
        if 0 < seen < self.length:
            scores = self._window(held)
        for score in scores[len(scores) - (seen - given) :]:
            yield float(score)

    def _segments(self, clips: Iterable[Rows]) -> Iterator[float]:
        """The video's segments; each clip has its segment's score."""
        rows = list(clips)
        if not rows:
            return
        yield from map(float, self.whole([np.stack(each) for each in zip(*rows, strict=True)]))

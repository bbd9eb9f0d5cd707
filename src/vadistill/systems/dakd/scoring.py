"""Clip features of a video to clip scores: the paper's 32 segments, a sliding window, or live."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float32

from vadistill.features.segments import SEGMENTS, segment_means, segment_of_clips
from vadistill.systems.dakd.bags import normalised
from vadistill.systems.dakd.model import Baseline, Network
from vadistill.systems.dakd.recipes import Scoring

Row = Float32[np.ndarray, " _"]

Rows = list[Row]
"""A clip's feature from each backbone of the network."""


class ClipScorer:
    """A network's score of every clip of a video, from the features of the clips around it.

    ``mode`` is ``Config.scoring``.  Windows are of ``length`` clips, shorter at a video's start
    (live) or in a short video.
    """

    def __init__(
        self,
        network: Network | Baseline,
        mode: Scoring,
        *,
        device: torch.device,
        normalise: bool = False,
        length: int = SEGMENTS,
    ) -> None:
        self.network, self.device = network.eval(), device
        self.mode: Scoring = mode
        self.normalise, self.length = normalise, length

    @property
    def lookahead(self) -> int:
        """Clips that may have to come before a clip is scored; for segments, all of the video."""
        return 0 if self.mode == "live" else self.length - 1

    def __call__(self, clips: Iterable[Rows]) -> Iterator[float]:
        """One score in [0, 1] a clip, in order, as soon as it is known."""
        modes: dict[Scoring, Callable[[Iterable[Rows]], Iterator[float]]] = {
            "dense": self._dense,
            "live": self._live,
            "segments": self._segments,
        }
        return modes[self.mode](clips)

    def _window(self, clips: Iterable[Rows]) -> Float32[np.ndarray, " n"]:
        """Scores of the clips of one window."""
        features = [torch.from_numpy(np.stack(rows)) for rows in zip(*clips, strict=True)]
        with torch.inference_mode():
            ready = [normalised(x, self.normalise)[None].to(self.device) for x in features]
            return self.network(ready).scores[0].cpu().numpy()

    def segments_of(
        self, videos: Sequence[Sequence[Float32[np.ndarray, "_ _"]]]
    ) -> Float32[np.ndarray, "v s"]:
        """Segment scores of many videos at once, each given as (clips, width) of each backbone."""
        reduced = [[segment_means(array, self.length) for array in video] for video in videos]
        features = [torch.from_numpy(np.stack(each)) for each in zip(*reduced, strict=True)]
        with torch.inference_mode():
            ready = [normalised(x, self.normalise).to(self.device) for x in features]
            return self.network(ready).scores.cpu().numpy()

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
        arrays = [np.stack(each) for each in zip(*rows, strict=True)]
        scores = self.segments_of([arrays])[0]
        for segment in segment_of_clips(len(rows), self.length):
            yield float(scores[segment])

"""The features of simulated videos: scenes, activity, noise, events and distractors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from vadistill.datasets.intervals import CLIP
from vadistill.simulated.features.plan import BACKBONES, CLASSES, SimulatedConfig, Video

SCALE = 0.3
"""Of all features, which makes them about as large as I3D's."""

SCENES, ACTIVITIES = 32, 16
"""Directions of each backbone that scenes and activities mix."""

PLAIN = (0.4, 1.2)
"""Least and most of an event's strength, which varies from video to video."""

SIGNATURE = (0.3, 0.45, 0.25)
"""Shares of a signature's square: what all anomalies have in common, its own, and activity."""

SEEN = (1.0, 0.5, 0.1)
"""How well a backbone sees a class, by the rest of their places' sum divided by three."""


@dataclass(frozen=True)
class World:
    """What all videos share: the directions of each backbone, one a row."""

    means: dict[str, Float32[np.ndarray, " _"]]
    scenes: dict[str, Float32[np.ndarray, "_ _"]]
    activities: dict[str, Float32[np.ndarray, "_ _"]]
    signatures: dict[str, Float32[np.ndarray, "_ _"]]

    @classmethod
    def of(cls, config: SimulatedConfig) -> World:
        rng = np.random.default_rng([config.seed, 2])
        world = cls({}, {}, {}, {})
        for backbone, width in BACKBONES.items():
            count = SCENES + ACTIVITIES + len(CLASSES) + 1
            basis = np.linalg.qr(rng.normal(size=(width, count)))[0].T.astype(np.float32)
            scenes, activities, own = np.split(basis[:-1], (SCENES, SCENES + ACTIVITIES))
            leaning = rng.normal(size=(len(CLASSES), ACTIVITIES)).astype(np.float32) @ activities
            leaning /= np.linalg.norm(leaning, axis=1, keepdims=True)
            world.means[backbone] = rng.normal(size=width).astype(np.float32)
            world.scenes[backbone], world.activities[backbone] = scenes, activities
            parts = zip(SIGNATURE, (basis[-1:], own, leaning), strict=True)
            signatures = sum(np.float32(np.sqrt(share)) * part for share, part in parts)
            world.signatures[backbone] = np.asarray(signatures)
        return world

    def features(
        self, video: Video, config: SimulatedConfig
    ) -> Iterator[tuple[str, Float32[np.ndarray, "_ _"]]]:
        """Each backbone's rows."""
        seed = [config.seed, 3, video.split == "test", video.number]
        rng = np.random.default_rng(seed)
        # One scene and one course of activity, which each backbone sees in its own directions.
        scene = config.scene * rng.normal(size=SCENES).astype(np.float32)
        course = _wandering(rng, video.clips, ACTIVITIES) * np.float32(config.activity)
        # Some anomalies are plain and others hardly show, whoever looks.
        plain = rng.uniform(*PLAIN)
        event = np.float32(config.event * plain) * _envelope(video.intervals, video.clips)
        names = list(CLASSES)
        for place, backbone in enumerate(BACKBONES):
            rows = rng.standard_normal((video.clips, BACKBONES[backbone]), np.float32)
            rows += self.means[backbone] + scene @ self.scenes[backbone]
            rows += course @ self.activities[backbone]
            if video.kind is not None:
                kind = names.index(video.kind)
                strength = np.float32(SEEN[(kind + place) % len(SEEN)]) * event
                rows += strength[:, None] * self.signatures[backbone][kind]
            for start, end, where, like in video.distractors:
                if where == backbone:
                    strength = np.float32(config.event) * _envelope([(start, end)], video.clips)
                    rows += strength[:, None] * self.signatures[backbone][names.index(like)]
            yield backbone, np.float32(SCALE) * rows


def _wandering(rng: np.random.Generator, clips: int, count: int) -> Float32[np.ndarray, "_ _"]:
    """Courses of unit variance, of which each clip keeps nine tenths of the one before."""
    from scipy.signal import lfilter

    keep = 0.9
    steps = rng.standard_normal((clips, count)) * np.sqrt(1 - keep**2)
    steps[0] /= np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], steps, axis=0), np.float32)


def _envelope(intervals: Sequence[tuple[int, int]], clips: int) -> Float32[np.ndarray, " {clips}"]:
    """The share of each clip within the intervals, softened over the clips beside it."""
    frames = np.zeros(CLIP * clips, np.float32)
    for start, end in intervals:
        frames[start:end] = 1
    inside = np.pad(frames.reshape(clips, CLIP).mean(1), 1, mode="edge")
    return np.convolve(inside, np.array([0.25, 0.5, 0.25], np.float32), "valid")

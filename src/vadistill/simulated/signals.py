"""The plan of simulated videos and their features: scenes, activity, noise, events, distractors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from vadistill.datasets.intervals import Intervals
from vadistill.datasets.snippets import SNIPPET
from vadistill.errors import ConfigError

BACKBONES = {"i3d": 1024, "s3d": 1024, "clip": 512}
"""Width of each backbone's features."""

CLASSES = {
    "Abuse": (48, 2),
    "Arrest": (45, 5),
    "Arson": (41, 9),
    "Assault": (47, 3),
    "Burglary": (87, 13),
    "Explosion": (29, 21),
    "Fighting": (45, 5),
    "RoadAccidents": (127, 23),
    "Robbery": (145, 5),
    "Shooting": (27, 23),
    "Shoplifting": (29, 21),
    "Stealing": (95, 5),
    "Vandalism": (45, 5),
}
"""Abnormal training and test videos of each class in UCF-Crime's lists."""

NORMAL = (800, 150)
"""Normal training and test videos there."""

VIDEOS = sum(NORMAL) + sum(map(sum, CLASSES.values()))


@dataclass(frozen=True)
class SimulatedConfig:
    """What to simulate; equal settings give equal features.  Raises ConfigError."""

    videos: int = VIDEOS
    """Videos in all; fewer than UCF-Crime's 1,900 keep its shares, as far as whole videos go."""
    seed: int = 0
    share: float = 0.073
    """Abnormal share of the test frames."""
    longest: int = 2000
    """Snippets of the longest video."""
    event: float = 10.0
    """Strength of an event in a backbone that sees its class well, in units of the noise."""
    scene: float = 1.5
    """Strength of a scene, in the same units."""
    activity: float = 1.5
    """Strength of an activity, in the same units."""
    distractors: float = 0.5
    """Distractors a video, on average."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("videos", 8, 100_000),
            ("seed", 0, 2**63),
            ("share", 0.001, 0.4),
            ("longest", 32, 100_000),
            ("event", 0, 1000),
            ("scene", 0, 1000),
            ("activity", 0, 1000),
            ("distractors", 0, 10),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(
                    f"simulated features with {name} {value}",
                    expected=f"from {low} to {high}",
                    fix="correct it",
                )


@dataclass(frozen=True)
class Video:
    """The plan of one video; ``intervals`` and ``distractors`` are in frames."""

    name: str
    split: Literal["train", "test"]
    number: int
    kind: str | None
    snippets: int
    intervals: Intervals
    distractors: tuple[tuple[int, int, str, str], ...]
    """start, end, backbone, class."""


def plan_videos(config: SimulatedConfig) -> list[Video]:
    rng = np.random.default_rng([config.seed, 1])
    videos = []
    for index, split in enumerate(("train", "test")):
        kinds: list[str | None] = [None] * _scaled(NORMAL[index], config)
        for kind, counts in CLASSES.items():
            kinds += [kind] * _scaled(counts[index], config)
        if not any(kinds):
            kinds.append("Explosion")
        # UCF-Crime's lengths and events, in snippets: both log-normal.
        spread = rng.normal(4.8, 1.0, len(kinds))
        snippets = np.clip(np.exp(spread), 9, config.longest).astype(int)
        lengths = np.exp(rng.normal(2.9, 1.1, len(kinds)))
        abnormal = np.array([kind is not None for kind in kinds])
        frames = _event_frames(
            lengths, snippets, abnormal, config.share if split == "test" else None
        )
        for number, kind in enumerate(kinds):
            name = f"Simulated_{kind or 'Normal'}_{split}_{number:04d}"
            intervals = _intervals(rng, int(frames[number]), SNIPPET * int(snippets[number]))
            distractors = _distractors(rng, config, SNIPPET * int(snippets[number]), intervals)
            videos.append(
                Video(name, split, number, kind, int(snippets[number]), intervals, distractors)
            )
    return videos


def _scaled(count: int, config: SimulatedConfig) -> int:
    return round(count * config.videos / VIDEOS)


def _event_frames(
    lengths: Float[np.ndarray, " n"],
    snippets: Int[np.ndarray, " n"],
    abnormal: Bool[np.ndarray, " n"],
    share: float | None,
) -> Int[np.ndarray, " n"]:
    """Abnormal frames of each video; with ``share`` they are that part of all frames."""
    low, high = 1e-3, 1e3
    frames = np.zeros(len(snippets))
    # A video is abnormal in 70 % of its frames at most, so the right factor is searched for.
    for _ in range(60):
        factor = 1.0 if share is None else float(np.sqrt(low * high))
        frames = SNIPPET * np.clip(factor * lengths, 2, np.maximum(2, 0.7 * snippets)) * abnormal
        if share is None:
            break
        if frames.sum() > share * SNIPPET * snippets.sum():
            high = factor
        else:
            low = factor
    return frames.astype(int)


def _intervals(rng: np.random.Generator, abnormal: int, frames: int) -> Intervals:
    """One event, or two in one video of ten, anywhere in it."""
    if not abnormal:
        return ()
    parts = [abnormal]
    if abnormal >= 4 * SNIPPET and rng.random() < 0.1:
        first = int(abnormal * rng.uniform(0.3, 0.7))
        parts = [first, abnormal - first]
    free = frames - abnormal
    gaps = np.sort(rng.integers(0, free + 1, len(parts)))
    starts = gaps + np.cumsum([0, *parts[:-1]])
    return tuple((int(a), int(a) + part) for a, part in zip(starts, parts, strict=True))


def _distractors(
    rng: np.random.Generator, config: SimulatedConfig, frames: int, events: Intervals
) -> tuple[tuple[int, int, str, str], ...]:
    """Normal stretches that look like an anomaly to one backbone, apart from the events."""
    found = []
    for _ in range(rng.poisson(config.distractors)):
        length = int(min(SNIPPET * np.exp(rng.normal(2.0, 0.7)), frames / 4))
        start = int(rng.integers(0, frames - length + 1))
        backbone, kind = str(rng.choice(list(BACKBONES))), str(rng.choice(list(CLASSES)))
        if all(start + length <= a or start >= b for a, b in events):
            found.append((start, start + length, backbone, kind))
    return tuple(found)


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
        course = _wandering(rng, video.snippets, ACTIVITIES) * np.float32(config.activity)
        # Some anomalies are plain and others hardly show, whoever looks.
        plain = rng.uniform(*PLAIN)
        event = np.float32(config.event * plain) * _envelope(video.intervals, video.snippets)
        names = list(CLASSES)
        for place, backbone in enumerate(BACKBONES):
            rows = rng.standard_normal((video.snippets, BACKBONES[backbone]), np.float32)
            rows += self.means[backbone] + scene @ self.scenes[backbone]
            rows += course @ self.activities[backbone]
            if video.kind is not None:
                kind = names.index(video.kind)
                strength = np.float32(SEEN[(kind + place) % len(SEEN)]) * event
                rows += strength[:, None] * self.signatures[backbone][kind]
            for start, end, where, like in video.distractors:
                if where == backbone:
                    strength = np.float32(config.event) * _envelope([(start, end)], video.snippets)
                    rows += strength[:, None] * self.signatures[backbone][names.index(like)]
            yield backbone, np.float32(SCALE) * rows


def _wandering(rng: np.random.Generator, snippets: int, count: int) -> Float32[np.ndarray, "_ _"]:
    """Courses of unit variance, of which each snippet keeps nine tenths of the one before."""
    from scipy.signal import lfilter

    keep = 0.9
    steps = rng.standard_normal((snippets, count)) * np.sqrt(1 - keep**2)
    steps[0] /= np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], steps, axis=0), np.float32)


def _envelope(
    intervals: Sequence[tuple[int, int]], snippets: int
) -> Float32[np.ndarray, " {snippets}"]:
    """The share of each snippet within the intervals, softened over the snippets beside it."""
    frames = np.zeros(SNIPPET * snippets, np.float32)
    for start, end in intervals:
        frames[start:end] = 1
    inside = np.pad(frames.reshape(snippets, SNIPPET).mean(1), 1, mode="edge")
    return np.convolve(inside, np.array([0.25, 0.5, 0.25], np.float32), "valid")

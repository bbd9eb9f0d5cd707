"""Anomaly maps of several detectors beside the ground truth, as one picture.

    python benchmarks/fast_aed_maps.py --data UCSDped2 --out maps.png MODEL.vad ...

Five abnormal frames, each in the middle of the anomalies of a clip, clips evenly spaced.  A row is
a detector; brightness is the map's value divided by the detector's highest on these five frames, so
rows can be compared in where they light up, not in how much.  The paper's Fig. 10 is like it.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

import vadistill
from vadistill.datasets import Video, open_dataset
from vadistill.objects.maps import paint

FRAMES = 5


def chosen_frames(clips: list[Video]) -> list[tuple[Video, int]]:
    """The middle abnormal frame of some clips."""
    labelled = [c for c in clips if c.frame_labels is not None and c.frame_labels.any()]
    picks = np.unique(np.linspace(0, len(labelled) - 1, FRAMES).round().astype(int))
    chosen = []
    for clip in (labelled[i] for i in picks):
        assert clip.frame_labels is not None
        abnormal = np.flatnonzero(clip.frame_labels)
        chosen.append((clip, int(abnormal[len(abnormal) // 2])))
    return chosen


def map_of(model: vadistill.Detector, clip: Video, index: int) -> np.ndarray:
    """The map of one frame; boxes without a map are painted, above the lowest of them."""
    source = clip.open()
    frame = next(islice(model.stream(source), index, None))
    if frame.map is not None:
        return np.asarray(frame.map, np.float32)
    scores = np.asarray(frame.box_scores, np.float32)
    above = scores - scores.min() if len(scores) else scores
    return paint(frame.boxes, above, source.info.height, source.info.width)


def titled(image: np.ndarray, text: str) -> np.ndarray:
    """A picture (RGB) with a line of text above it."""
    bar = np.full((18, image.shape[1], 3), 255, np.uint8)
    cv2.putText(bar, text, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([bar, image])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=240, help="of a picture, in pixels")
    parser.add_argument("--smoke", action="store_true", help="small pictures")
    parser.add_argument("models", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.width = 60
    frames = chosen_frames(list(open_dataset(arguments.data).test))
    rows: list[np.ndarray] = []

    def add(pictures: list[np.ndarray], titles: list[str]) -> None:
        done = []
        for picture, title in zip(pictures, titles, strict=True):
            height = round(picture.shape[0] * arguments.width / picture.shape[1])
            size = (arguments.width, height)
            done.append(titled(cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST), title))
        rows.append(np.hstack(done))

    images = [next(islice(clip.open(), index, None)).image for clip, index in frames]
    add(images, [f"{clip.name}, frame {index}" for clip, index in frames])
    masks = [np.zeros((1, 1), bool) if c.mask is None else c.mask(i) for c, i in frames]
    add(
        [np.repeat(255 * m[..., None].astype(np.uint8), 3, 2) for m in masks],
        ["truth"] * len(frames),
    )
    height, width = images[0].shape[:2]
    for path in arguments.models:
        model = vadistill.load(path, device="cpu")
        maps = [map_of(model, clip, index) for clip, index in frames]
        highest = max(float(m.max()) for m in maps) or 1.0
        coloured = []
        for m, image in zip(maps, images, strict=True):
            grey = (255 * np.clip(m / highest, 0, 1)).astype(np.uint8)
            enlarged = cv2.resize(grey, (width, height), interpolation=cv2.INTER_NEAREST)
            heat = cv2.applyColorMap(enlarged, cv2.COLORMAP_INFERNO)[..., ::-1]
            coloured.append(cv2.addWeighted(heat, 0.8, image, 0.2, 0))
        add(coloured, [f"{path.stem[:24]}: {m.max():.2f}" for m in maps])
    cv2.imwrite(str(arguments.out), np.vstack(rows)[..., ::-1])
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()

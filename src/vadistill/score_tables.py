"""Frame scores as tables: CSV, Parquet and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from vadistill.errors import ConfigError, DataError
from vadistill.files import replacing, write_json
from vadistill.scores import Scores

TABLE_FORMATS = (".csv", ".parquet", ".json")


def write_scores(path: Path, scores: Sequence[Scores]) -> None:
    """Write the frame scores of some videos as one table: .csv, .parquet or .json by the ending.

    Raises ConfigError for another ending, WeightsError when the file cannot be written.
    """
    if path.suffix not in TABLE_FORMATS:
        raise ConfigError(
            f"score file '{path.name}'",
            expected=f"an ending of {', '.join(TABLE_FORMATS)}",
            fix="rename it",
        )
    parts = [s.columns() for s in scores]
    names = [n for n in (parts[0] if parts else {}) if all(n in p for p in parts)]
    table = {name: np.concatenate([p[name] for p in parts]) for name in names}
    if path.suffix == ".json":
        videos = [
            {
                "video": s.video,
                "fps": s.fps,
                "system": s.system,
                "smoothing": asdict(s.smoothing),
                **{k: v.tolist() for k, v in s.columns().items() if k != "video"},
            }
            for s in scores
        ]
        write_json(path, {"videos": videos})
    elif path.suffix == ".csv":
        import csv

        with replacing(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(table)
            writer.writerows(zip(*(column.tolist() for column in table.values()), strict=True))
    else:
        write_parquet(path, table)


def read_scores(path: Path) -> dict[str, Float[np.ndarray, " n"]]:
    """Raw scores by video from a .csv or .parquet that ``write_scores`` wrote; raises DataError."""
    try:
        if path.suffix == ".parquet":
            table = {name: column.tolist() for name, column in read_parquet(path).items()}
            videos, frames, values = table["video"], table["frame"], table["score"]
        else:
            import csv

            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            videos = [r["video"] for r in rows]
            frames = [int(r["frame"]) for r in rows]
            values = [float(r["score"]) for r in rows]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} is not a score table ({error})",
            expected="columns video, frame, score",
            fix="write it with 'vadistill score'",
        ) from error
    found: dict[str, list[tuple[int, float]]] = {}
    for video, frame, value in zip(videos, frames, values, strict=True):
        found.setdefault(video, []).append((frame, value))
    return {v: check_complete(v, rows) for v, rows in found.items()}


def check_complete(video: str, rows: list[tuple[int, float]]) -> Float[np.ndarray, " n"]:
    """Scores in frame order if each frame from 0 has exactly one finite score; raises DataError."""
    rows = sorted(rows)
    frames: Int[np.ndarray, " n"] = np.array([f for f, _ in rows])
    values = np.array([v for _, v in rows], np.float64)
    if not np.array_equal(frames, np.arange(len(rows))) or not np.isfinite(values).all():
        raise DataError(
            f"scores of {video} have missing, doubled or non-finite frames",
            expected="one finite score for every frame from 0",
            fix="score the video again",
        )
    return values


def write_parquet(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write columns of one length, atomically; raises WeightsError when that fails."""
    import pyarrow
    from pyarrow import parquet

    with replacing(path) as temporary:
        parquet.write_table(pyarrow.table(dict(columns)), temporary)


def read_parquet(path: Path) -> dict[str, np.ndarray]:
    """All columns by name; raises OSError, ValueError."""
    from pyarrow import parquet

    table = parquet.read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}

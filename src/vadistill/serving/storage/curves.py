"""Score curves of cameras, in chunks of some seconds, in the database that holds their events."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64

from vadistill.serving.storage.database import Database


class Curves:
    """The part of ``Store`` that keeps scores."""

    _database: Database

    def add_scores(
        self,
        camera: str,
        times: Float64[np.ndarray, "n"],
        scores: Float32[np.ndarray, "n"],
    ) -> None:
        """Keep a camera's scores at rising Unix times; a chunk a minute is a good size."""
        if not len(times):
            return
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO scores (camera, first, last, times, scores) VALUES (?, ?, ?, ?, ?)",
                (
                    camera,
                    float(times.min()),
                    float(times.max()),
                    times.astype("<f8").tobytes(),
                    scores.astype("<f4").tobytes(),
                ),
            )

    def scores(
        self, camera: str, since: float, until: float
    ) -> tuple[Float64[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
        """Times and scores of a camera from ``since`` to ``until`` (both included), in order."""
        chunks = self._database.rows(
            "SELECT times, scores FROM scores WHERE camera = ? AND last >= ? AND first <= ? "
            "ORDER BY first",
            (camera, float(since), float(until)),
        )
        times = np.frombuffer(b"".join(chunk["times"] for chunk in chunks), "<f8")
        scores = np.frombuffer(b"".join(chunk["scores"] for chunk in chunks), "<f4")
        # A clock that was set back makes chunks overlap.
        order = np.argsort(times, kind="stable")
        order = order[(times[order] >= since) & (times[order] <= until)]
        return times[order].astype(np.float64), scores[order].astype(np.float32)

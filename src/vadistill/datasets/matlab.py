"""MATLAB files, read by a process of its own: a damaged one can end scipy's reader with a signal.

The process starts with the first file and reads all others, a request and an answer a line; the
numbers of an answer follow its line.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from vadistill.errors import DataError

MEMORY = 6 << 30
"""Bytes that the process may take; Avenue's longest video has 330 MB of masks."""

SECONDS = 60.0
"""That an answer may take."""

Tables = dict[str, tuple[tuple[int, ...], str]]


def tables(path: Path) -> Tables:
    """Shape and MATLAB's class of every variable; raises DataError for v7.3, else ValueError."""
    answer, _ = _reader.ask(path, None)
    return {name: (tuple(shape), kind) for name, shape, kind in answer["tables"]}


def variable(path: Path, name: str) -> np.ndarray | list[np.ndarray]:
    """An array of numbers, or those of a cell in its order.

    Raises DataError for a file of v7.3, KeyError for an absent variable, and ValueError for a
    damaged file or what is neither.
    """
    answer, data = _reader.ask(path, name)
    if "arrays" not in answer:
        raise KeyError(name)
    arrays, at = [], 0
    for dtype, shape in answer["arrays"]:
        count = math.prod(shape)
        arrays.append(np.frombuffer(data, dtype, count, at).reshape(shape))
        at += arrays[-1].nbytes
    return arrays if answer["cell"] else arrays[0]


class _Reader:
    """The process, started anew where it ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, path: Path, name: str | None) -> tuple[dict[str, Any], bytearray]:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "vadistill.datasets.matlab"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
            answer, data = self._answer(self._process, json.dumps([str(path.absolute()), name]))
        if answer.get("error") == "NotImplementedError":
            raise DataError(
                f"{path} is a MATLAB v7.3 file",
                expected="MATLAB v7 or older",
                fix="save it in MATLAB with save(…, '-v7')",
            )
        if "error" in answer:
            raise ValueError(answer["text"] or answer["error"])
        return answer, data

    @staticmethod
    def _answer(process: subprocess.Popen[bytes], request: str) -> tuple[dict[str, Any], bytearray]:
        assert process.stdin is not None and process.stdout is not None
        late = threading.Timer(SECONDS, process.kill)
        late.start()
        answer: dict[str, Any] = {}
        data = bytearray()
        try:
            with suppress(OSError, ValueError):
                process.stdin.write(request.encode() + b"\n")
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
                data = bytearray(process.stdout.read(answer.get("bytes", 0)))
            whole = bool(answer) and len(data) == answer.get("bytes", 0)
        except BaseException:
            process.kill()  # else its answer would be taken for the next one's
            raise
        finally:
            late.cancel()
        if not whole:
            process.kill()
            raise ValueError(f"its reader ended with status {process.wait()}")
        return answer, data


_reader = _Reader()


def _answer(path: str, name: str | None) -> tuple[dict[str, Any], list[np.ndarray]]:
    from scipy.io import loadmat, whosmat

    if name is None:
        return {"tables": whosmat(path)}, []
    found = loadmat(path, variable_names=[name])
    if name not in found:
        return {"absent": name}, []
    cell = found[name].dtype == object
    arrays = [np.ascontiguousarray(each) for each in found[name].flat] if cell else [found[name]]
    for array in arrays:
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} holds {array.dtype} of shape {list(array.shape)}")
    told = [[array.dtype.str, array.shape] for array in arrays]
    size = sum(array.nbytes for array in arrays)
    return {"arrays": told, "cell": cell, "bytes": size}, arrays


def _serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    for line in requests:
        try:
            answer, arrays = _answer(*json.loads(line))
        # scipy raises a dozen kinds of errors for damaged files.
        except Exception as error:
            answer, arrays = {"error": type(error).__name__, "text": str(error)}, []
        answers.write(json.dumps(answer).encode() + b"\n")
        for array in arrays:
            answers.write(np.ascontiguousarray(array).tobytes())
        answers.flush()


if __name__ == "__main__":
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    _serve(sys.stdin.buffer, sys.stdout.buffer)

"""What inputs are changed into: bytes, texts, trees of JSON and tables of arrays."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np

WORDS = (
    *("", " ", "-1", "0", "-0", "1", "7", "39", "40", "1.5", "1e3", "1e308", "-1e308", "1e-320"),
    *("nan", "NaN", "inf", "-inf", "1_0", "0x10", "٣", "½", "1,5", "9" * 25, "9" * 5000, "true"),
    *("null", "None", "[]", "{}", "a", "a.mp4", "../a.mp4", "normal", "a" * 3000, "é", "\x00"),
    *("\x1b[2J", "\u2028", "\x85", "\x0c", '"', '"a"', "'", "#", "# a", "=1+1", "sep=;", "1:02"),
    *("61:61:61", "1:2:3:4", ",", ";", "\t", "file", "start", "label", "frame", "score", "x1"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 10**6, 2**31, 2**53, 10**30, -(10**30), 0.5, -0.0),
    *(1e308, 1e-320, float("nan"), float("inf"), float("-inf"), "", "x", "1", "nan", "a" * 3000),
    *("é\x1b[2J\n", "../..", [], {}, [[]], [0], [1, 2, 3], ["x"], {"x": 1}, [None]),
)
INTEGERS = (0, 1, 2, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)


def several(random: Random, change: Callable[[Any], Any], value: Any) -> Any:
    """One change mostly, up to four."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 4))):
        value = change(value)
    return value


def bytes_of(random: Random, data: bytes, other: bytes) -> bytes:
    """Bytes with flips, cuts, repeats and parts of another input."""

    def change(data: bytes) -> bytes:
        if not data:
            return other[: random.randrange(64)]
        at = random.randrange(len(data))
        if random.random() < 0.4:  # headers are at the beginning
            at = random.randrange(min(len(data), 64))
        length = random.choice((1, 2, 4, 16, 256, len(data) // 4 + 1))
        end = min(len(data), at + length)
        kind = random.randrange(9)
        if kind == 0:
            return data[:at]
        if kind == 1:
            return data[:at] + data[end:]
        if kind == 2:
            return data[:end] + data[at:]
        if kind == 3:
            return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]
        if kind == 4:
            filler = random.choice((b"\0", b"\xff", b"A"))
            return data[:at] + filler * (end - at) + data[end:]
        if kind == 5:
            return data[:at] + random.randbytes(end - at) + data[end:]
        if kind == 6:
            cut = random.randrange(len(other) + 1)
            return data[:at] + other[cut : cut + length * 4]
        if kind == 7:
            size = random.choice((2, 4, 8))
            order = random.choice(("little", "big"))
            value = random.choice(INTEGERS) % 256**size
            return data[:at] + value.to_bytes(size, order) + data[at + size :]
        return data + random.choice((b"\0" * 64, other, random.randbytes(32), b"\n"))

    return several(random, change, data)


def text_of(random: Random, data: bytes, other: bytes) -> bytes:
    """A text table with other words, lines, separators and encodings; now and then mere bytes."""
    if random.random() < 0.08:
        return bytes_of(random, data, other)
    text = several(
        random,
        lambda text: _text(random, text, other.decode(errors="replace")),
        data.decode(errors="replace"),
    )
    kind = random.random()
    if kind < 0.04:
        return text.encode("utf-16", "surrogatepass")
    if kind < 0.08:
        return b"\xef\xbb\xbf" + text.encode("utf-8", "surrogatepass")
    if kind < 0.1:
        return text.encode("latin-1", "replace")
    return text.encode("utf-8", "surrogatepass")


def _text(random: Random, text: str, other: str) -> str:
    lines = text.split("\n")
    at = random.randrange(len(lines))
    kind = random.randrange(12)
    words = list(re.finditer(r"[\w.:/-]+", text))
    if kind < 5 and words:
        # Rows more than the header, which few changes leave readable.
        word = random.choice(words[1:] or words)
        new = random.choice(WORDS)
        if kind == 4 and word[0].isdecimal():
            new = str(int(word[0][:15]) + random.choice((-1, 1, -100, 100, 10**9)))
        return text[: word.start()] + new + text[word.end() :]
    if kind == 5:
        lines[at : at + 1] = [lines[at]] * 2
    elif kind == 6:
        del lines[at]
    elif kind == 7:
        end = random.randrange(len(lines))
        lines[at], lines[end] = lines[end], lines[at]
    elif kind == 8:
        lines.insert(
            at, random.choice(("", ",,,", "# a", random.choice(WORDS), *other.split("\n")))
        )
    elif kind == 9:
        old = random.choice(",;\t .\n")
        count = random.choice((1, -1))
        return text.replace(old, random.choice((",", ";", "\t", " ", "\r\n", "\r", ",,")), count)
    elif kind == 10:
        cells = re.split("([,;\t])", lines[at])
        lines[at] = "".join([*cells, random.choice((",", ";")), random.choice(WORDS)])
    else:
        place = random.randrange(len(text) + 1)
        return text[:place] + (random.choice(WORDS) if random.random() < 0.7 else "")
    return "\n".join(lines)


def tree_of(random: Random, tree: Any) -> Any:
    """Plain JSON with other values, keys and types somewhere in it."""

    def change(tree: Any) -> Any:
        tree = copy.deepcopy(tree)
        places = list(_places(tree)) if isinstance(tree, dict | list) else []
        if not places:
            return random.choice(VALUES)
        # A long list of numbers is one place among others.
        holder, key = random.choice(places)
        value = holder[key]
        kind = random.randrange(10)
        if kind == 0 and isinstance(holder, dict):
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[random.choice(("x", "", "name", key + "s", "score"))] = holder.pop(key)
        elif kind == 2 and isinstance(holder, dict):
            holder[random.choice(("x", "stream", "config", "name"))] = random.choice(VALUES)
        elif kind == 3 and isinstance(holder, list):
            holder.append(copy.deepcopy(value))
        elif kind == 4 and isinstance(holder, list):
            del holder[key]
        elif kind == 5 and isinstance(value, int | float):
            holder[key] = random.choice((str(value), -value, value * 10**6, [value], float(value)))
        elif kind == 6 and isinstance(value, str):
            holder[key] = random.choice((value[:-1], value + "s", value.upper(), [value]))
        else:
            holder[key] = copy.deepcopy(random.choice(VALUES))
        return tree

    return several(random, change, tree)


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for number, (key, value) in enumerate(inner):
        if isinstance(tree, dict) or number < 4:
            found.append((tree, key))
        if isinstance(value, dict | list):
            found += _places(value)
    return found


def nested(text: str) -> str:
    """JSON or TOML with more lists in one another than a parser may follow."""
    return text.replace("[", "[" * 60_000, 1) if "[" in text else "[" * 60_000


def array_of(random: Random, array: np.ndarray, extras: Sequence[str] = ()) -> np.ndarray:
    """An array of other values, shape, order or type."""

    def change(array: np.ndarray) -> np.ndarray:
        kind = random.randrange(10)
        if kind == 0:
            types = ("f2", "f4", "f8", ">f4", "i1", "u1", "i8", "?", "c8", "U4", "S3", "O", "M8[s]")
            with np.errstate(all="ignore"):
                try:
                    return array.astype(random.choice(types))
                except (TypeError, ValueError, RuntimeError):
                    return array
        if kind == 1:
            return array.reshape(random.choice(((-1,), (1, *array.shape), (*array.shape, 1))))
        if kind == 2:
            return np.asfortranarray(array.T if random.random() < 0.5 else array)
        if kind == 3 and array.ndim:
            return array[: random.randrange(len(array) + 1)]
        if kind == 4:
            return array[..., :0] if array.ndim else array
        if kind == 5:
            return np.concatenate([array, array]) if array.ndim else array
        if kind == 6 and array.ndim:
            return array[::-1]
        if kind == 7 and array.size:
            return np.array(array.reshape(-1)[0])
        values = (np.nan, np.inf, -np.inf, 1e30, -1, 0, 2, 255)
        with np.errstate(all="ignore"):
            changed = np.array(array)
            if changed.size and changed.dtype.kind in "fiub":
                place = random.randrange(changed.size)
                wide = changed.astype(np.float64).reshape(-1)
                wide[slice(None) if random.random() < 0.2 else place] = random.choice(values)
                changed = wide.reshape(changed.shape).astype(changed.dtype)
        return changed

    return several(random, change, array)

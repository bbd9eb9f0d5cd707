"""Whether what was saved can be: finite, of the types that are told, the same when saved again.

A file that was damaged, edited or mixed up is refused when it is read, in a line that names it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import numpy as np

from vadistill.errors import VadistillError, WeightsError, in_a_line

if TYPE_CHECKING:
    from torch import Tensor

UNKNOWN = "localiser/typical"
"""The size of a typical object, the one tensor that may be all NaN: training showed none."""


MOST = 1_000_000
"""Of anything that a model counts: frames, pixels of a side, numbers of a feature."""


@contextlib.contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Whatever a damaged model brings up in the block becomes a WeightsError that names it.

    Errors of this package keep their kind.
    """
    try:
        yield
    except VadistillError as error:
        if str(path) in error.got:
            raise
        raise type(error)(f"{path}: {error.got}", expected=error.expected, fix=error.fix) from error
    # Settings, facts and tensors that do not fit fail in a dozen ways, in torch and elsewhere.
    except Exception as error:
        if "loading state_dict" in str(error):
            got = f"the weights in {path} are not those of this version's networks"
        else:
            got = f"{path} is no model of this version ({type(error).__name__}: {in_a_line(error)})"
        raise WeightsError(
            got, expected="a model of this version, whole", fix="fit it again, or copy it again"
        ) from error


def require_finite(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], path: Path) -> None:
    """Raise WeightsError if a tensor or a number of a model's facts is NaN or infinite.

    Such a model scores without an error, and raises no alarm, for ever.
    """
    broken = [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point()
        and not bool(tensor.isfinite().all())
        and not (name.endswith(UNKNOWN) and bool(tensor.isnan().all()))
    ]
    broken += [name for name, value in numbers("", facts) if not math.isfinite(value)]
    if broken:
        many = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise WeightsError(
            f"model {path} with NaN or infinity in {broken[0]}{many}",
            expected="finite numbers",
            fix="fit it again, on other videos or with a lower learning rate if that recurs",
        )


def numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """The numbers of plain JSON, or of what becomes JSON, with their names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from numbers(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from numbers(f"{name}[{index}]", inner)
    elif isinstance(value, float):
        yield name, value


def require_same(
    saved: tuple[Mapping[str, Tensor], Mapping[str, Any]],
    kept: tuple[Mapping[str, Tensor], Mapping[str, Any]],
) -> None:
    """Raise ValueError unless a model that was read would be saved as it was: tensors and facts.

    What this version adds may lack; what it does not know, or reads as another type or shape, is
    damaged, or another version's.
    """
    for name, tensor in saved[0].items():
        now = kept[0].get(name)
        if now is None:
            raise ValueError(f"no use for the tensor {name}")
        if (tensor.shape, tensor.dtype) != (now.shape, now.dtype):
            raise ValueError(
                f"the tensor {name} is {tensor.dtype} {[*tensor.shape]}, not {now.dtype}"
                f" {[*now.shape]}"
            )
    plain = json.loads(json.dumps(kept[1]))  # as the file has it: tuples are lists there
    if other := next(_differing("", saved[1], plain), None):
        raise ValueError(f"no use for {other}")


def _differing(name: str, saved: Any, now: Any) -> Iterator[str]:
    """Where plain JSON differs from what it was read as, with what it says there."""
    if isinstance(saved, dict) and isinstance(now, dict):
        for key, value in saved.items():
            inner = f"{name}.{key}" if name else str(key)
            if key in now:
                yield from _differing(inner, value, now[key])
            else:
                yield f"{inner} = {value!r:.60}"
    elif saved != now:
        yield f"{name} = {saved!r:.60}"


def real(facts: Mapping[str, Any], name: str, *, above: float = -math.inf) -> float:
    """A number among facts; raises KeyError, and ValueError for another type or what is lower."""
    value = facts[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > above:
        raise ValueError(f"{name} {value!r:.60}")
    return value


def whole(facts: Mapping[str, Any], name: str, *, least: int = 0) -> int:
    """A whole number among facts, of ``least`` to ``MOST``; raises KeyError, ValueError."""
    value = facts[name]
    if type(value) is not int or not least <= value <= MOST:
        raise ValueError(f"{name} {value!r:.60}")
    return value


def require_array(array: np.ndarray, name: str, kinds: str, *shape: int | None) -> np.ndarray:
    """``array`` if its dtype is one of ``kinds`` and its shape fits (None: any but 0).

    Raises ValueError.
    """
    fits = array.ndim == len(shape) and (array.size > 0 or 0 in shape)
    fits = fits and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if array.dtype.kind not in kinds or not fits:
        raise ValueError(f"{name} is {array.dtype} of shape {list(array.shape)}")
    return array


def typed(kind: type, plain: Mapping[str, Any]) -> dict[str, Any]:
    """Plain JSON as the fields of a dataclass tell; raises ValueError for another type.

    Types that are no JSON are taken as they are; so are lists for tuples.
    """
    from pydantic import PydanticSchemaGenerationError, ValidationError

    hints, found = get_type_hints(kind), {}
    for name in (field.name for field in fields(kind) if field.name in plain):
        value = plain[name]
        try:
            found[name] = _adapter(hints[name]).validate_json(json.dumps(value), strict=True)
        except PydanticSchemaGenerationError:
            found[name] = tuple(value) if isinstance(value, list) else value
        except ValidationError as error:
            raise ValueError(f"{name} = {value!r:.60}, {error.errors()[0]['msg']}") from None
    return found


@functools.cache
def _adapter(hint: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(hint)

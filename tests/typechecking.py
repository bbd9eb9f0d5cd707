"""The checker that jaxtyping's import hook puts on every function of the package under test.

jaxtyping's own decorator binds every call's arguments and checks them twice, which took half of
the tests' time.  ``jaxtyped`` stands in for it where beartype alone finds the same errors.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""beartype, with ints allowed where floats are expected, as the typing rules have it."""

_jaxtyped: Any = jaxtyping.jaxtyped


def install() -> None:
    """Have the import hook decorate with ``jaxtyped``."""
    jaxtyping.jaxtyped = jaxtyped


def jaxtyped(*given: Any, typechecker: Any = None) -> Any:
    """As jaxtyping's, with ``check`` for functions, methods and dataclasses that allow it."""
    if typechecker is None:
        return _jaxtyped(*given)
    return functools.partial(_decorated, typechecker)


def _decorated(typechecker: Any, what: Any) -> Any:
    if isinstance(what, classmethod | staticmethod):
        return type(what)(_decorated(typechecker, what.__func__))
    if isinstance(what, FunctionType):
        return _checked(what, typechecker)
    made = vars(what).get("__init__") if hasattr(what, "__dataclass_fields__") else None
    if not isinstance(made, FunctionType):
        return _jaxtyped(what, typechecker=typechecker)
    what.__init__ = _checked(made, typechecker)
    return what


def _checked(function: FunctionType, typechecker: Any) -> Callable[..., Any]:
    """The function, which raises where its annotations are not met.

    Only jaxtyping's own knows what a generator yields, and axes that are named by an argument.
    """
    hints = {name: _resolved(hint, function) for name, hint in function.__annotations__.items()}
    shapes = [shape for hint in hints.values() for shape in _shapes(hint)]
    if inspect.isgeneratorfunction(function) or any("{" in shape.dim_str for shape in shapes):
        return _jaxtyped(function, typechecker=typechecker)
    plain = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    plain.__qualname__, plain.__kwdefaults__ = function.__qualname__, function.__kwdefaults__
    plain.__annotations__ = hints
    inner = functools.update_wrapper(check(plain), function)
    if not shapes:
        return inner

    @functools.wraps(function)
    def in_context(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with _jaxtyped("context"):  # in which axes of one name have one size
            return inner(*args, **kwargs)

    return in_context


def _resolved(hint: Any, function: FunctionType) -> Any:
    """What a hint names; Any where a module imports that for type checkers only."""

    def holder() -> None: ...

    holder.__annotations__ = {"hint": hint}
    try:
        return get_type_hints(holder, function.__globals__, include_extras=True)["hint"]
    except Exception:
        return Any


def _shapes(hint: Any) -> Iterator[type[AbstractArray]]:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        yield hint
    for part in hint if isinstance(hint, list) else get_args(hint):
        yield from _shapes(part)

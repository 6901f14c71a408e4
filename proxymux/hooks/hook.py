"""One of the user's functions, with what is known of it before it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from proxymux.errors import RouterError


@dataclass(frozen=True, slots=True)
class Hook:
    """One of the user's functions.

    :param name: its name in a router file, such as ``proxy_accepted``.
    :param takes: how many of its possible arguments the function accepts; it is called with the first of them.
    :param place: ``file:line`` of its definition.
    """

    name: str
    function: Callable[..., object]
    takes: int
    place: str

    def __call__(self, *arguments: object) -> object:
        return self.function(*arguments[: self.takes])


def make_hook(name: str, function: object, filename: str, accepts: Sequence[str]) -> Hook:
    """Return the hook of one of the user's functions.

    :param filename: of the router.
    :param accepts: the names of all its possible arguments, the first of which it has to take.
    :raises RouterError: if it is no function, or cannot be called with some of them.
    """
    most = len(accepts)
    inner = inspect.unwrap(function) if callable(function) else function
    code = getattr(inner, "__code__", None)
    place = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else filename
    if not callable(function):
        raise RouterError(f"{place}: {name} is not a function")
    try:
        signature = inspect.signature(function)
    except ValueError:
        return Hook(name, function, most, place)  # a built-in function without a signature
    for takes in range(most, 0, -1):
        try:
            signature.bind(*range(takes))
        except TypeError:
            continue
        return Hook(name, function, takes, place)
    ways = " or ".join(f"({', '.join(accepts[:takes])})" for takes in range(1, most + 1))
    raise RouterError(f"{place}: {name}{signature} cannot be called; {name}{ways} can")

"""Loading a router: plain Python from a file or a module, run once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from proxymux.errors import RouterError
from proxymux.user_code import find


@dataclass(frozen=True, slots=True)
class Hook:
    """One of the user's functions.

    :param function: to be called with the first ``takes`` of the arguments that there are.
    :param place: ``file:line`` of its definition.
    """

    name: str
    function: Callable[..., Any]
    takes: int
    place: str

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments[: self.takes])


@dataclass(frozen=True, slots=True)
class Router:
    """A loaded router.

    :param name: what logs and the process title call it.
    :param filename: the file whose lines its errors name.
    """

    name: str
    filename: str
    proxy: Hook
    accepted: Hook | None = None
    connect_error: Hook | None = None
    inactivity_error: Hook | None = None


def load(name: str) -> Router:
    """Load the router that ``name`` names: a file, ``package.module`` or ``package.module:attribute``.

    An attribute is the ``proxy`` function itself, or an object that has the functions as attributes.

    :raises RouterError: if that cannot be done, in one line that begins with the file and line where they are known.
    """
    return from_object(*find(name))


def from_object(found: object, name: str, filename: str) -> Router:
    """The router that a module, an object with the functions, or a ``proxy`` function is.

    :raises RouterError: if it is none.
    """
    proxy = getattr(found, "proxy", None)
    if proxy is None and callable(found):
        return Router(name, filename, _hook("proxy", found, filename, 2))
    if proxy is None:
        raise RouterError(f"{filename}: it defines no proxy(data); see docs/router.rst for what a router defines")
    return Router(
        name,
        filename,
        _hook("proxy", proxy, filename, 2),
        _optional(found, "proxy_accepted", filename, 1),
        _optional(found, "proxy_connect_error", filename, 2),
        _optional(found, "proxy_inactivity_error", filename, 2),
    )


def _optional(found: object, name: str, filename: str, most: int) -> Hook | None:
    function = getattr(found, name, None)
    return None if function is None else _hook(name, function, filename, most)


def _hook(name: str, function: object, filename: str, most: int) -> Hook:
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    place = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else filename
    if not callable(function):
        raise RouterError(f"{place}: {name} is not a function")
    try:
        signature = inspect.signature(function)
    except ValueError:
        return Hook(name, function, most, place)  # built-in, does not say
    for takes in range(most, 0, -1):
        try:
            signature.bind(*range(takes))
        except TypeError:
            continue
        return Hook(name, function, takes, place)
    accepts = {"proxy": "(data) or (data, client)", "proxy_accepted": "(client)"}.get(
        name, "(remote) or (remote, client)"
    )
    raise RouterError(f"{place}: {name}{signature} cannot be called; {name}{accepts} can")

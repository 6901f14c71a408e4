"""Loading a router: plain Python from a file or a module, run once.  Calling it is the decider's work."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from proxymux.errors import RouterError
from proxymux.user_code import find


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


@dataclass(frozen=True, slots=True)
class Router:
    """A loaded router.

    :param name: its name in logs and in the process title.
    :param filename: its file; errors name the last line of it that they went through.
    """

    name: str
    filename: str
    proxy: Hook
    accepted: Hook | None = None
    connect_error: Hook | None = None
    inactivity_error: Hook | None = None


def load(name: str) -> Router:
    """Load a router from a file, ``package.module`` or ``package.module:attribute``.

    An attribute is the ``proxy`` function itself, or an object that has the functions as attributes.

    :raises RouterError: if there is no such router or it cannot be run; one line, which begins with ``file:line`` where
        that is known.
    """
    return from_object(*find(name))


def from_object(found: object, name: str, filename: str) -> Router:
    """The router in a module, in an object that has the functions as attributes, or of a ``proxy`` function alone.

    :raises RouterError: if ``found`` is none of them, or a function of it cannot be called as a router's is.
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
    accepts = {"proxy": "(data) or (data, client)", "proxy_accepted": "(client)"}.get(
        name, "(remote) or (remote, client)"
    )
    raise RouterError(f"{place}: {name}{signature} cannot be called; {name}{accepts} can")

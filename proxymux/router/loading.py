"""Loading a router: plain Python from a file or a module, run once.  Calling it is the decider's work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxymux.errors import RouterError
from proxymux.hooks.hook import Hook, make_hook
from proxymux.router.return_lines import ReturnLines
from proxymux.user_code import find

#: The possible arguments of the functions.
_PROXY: Final = ("data", "client")
_ACCEPTED: Final = ("client",)
_FAILED: Final = ("remote", "client")


@dataclass(frozen=True, slots=True)
class Router:
    """A loaded router.

    :param name: its name in logs and in the process title.
    :param filename: its file; errors name the last line of it that they went through.
    :param returns: have noted the line by which a function has come back; None if nobody wants to know.
    """

    name: str
    filename: str
    proxy: Hook
    accepted: Hook | None = None
    connect_error: Hook | None = None
    inactivity_error: Hook | None = None
    returns: ReturnLines | None = None


def load(name: str, notes_lines: bool = False) -> Router:
    """Load a router from a file, ``package.module`` or ``package.module:attribute``.

    An attribute is the ``proxy`` function itself, or an object that has the functions as attributes.

    :param notes_lines: have its functions note the lines by which they come back.
    :raises RouterError: if there is no such router or it cannot be run; one line, which begins with ``file:line`` where
        that is known.
    """
    if not notes_lines:
        return from_object(*find(name))
    returns = ReturnLines(name.rpartition(":")[2].rpartition(".")[2])
    return replace(from_object(*find(name, editor=returns)), returns=returns)


def from_object(found: object, name: str, filename: str) -> Router:
    """The router in a module, in an object that has the functions as attributes, or of a ``proxy`` function alone.

    :raises RouterError: if ``found`` is none of them, or a function of it cannot be called as a router's is.
    """
    proxy = getattr(found, "proxy", None)
    if proxy is None and callable(found):
        return Router(name, filename, make_hook("proxy", found, filename, _PROXY))
    if proxy is None:
        raise RouterError(f"{filename}: it defines no proxy(data); see docs/router.rst for what a router defines")
    return Router(
        name,
        filename,
        make_hook("proxy", proxy, filename, _PROXY),
        _optional(found, "proxy_accepted", filename, _ACCEPTED),
        _optional(found, "proxy_connect_error", filename, _FAILED),
        _optional(found, "proxy_inactivity_error", filename, _FAILED),
    )


def _optional(found: object, name: str, filename: str, accepts: Sequence[str]) -> Hook | None:
    function = getattr(found, name, None)
    return None if function is None else make_hook(name, function, filename, accepts)

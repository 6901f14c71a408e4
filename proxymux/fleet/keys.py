"""The keys of a fleet under its prefix: ``instances/ID`` for each instance, ``once/KID/ID`` for each used token."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

#: Under it is a key for each instance.
INSTANCES: Final = "instances/"
_ONCE: Final = "once/"


def instance_key(name: str) -> str:
    """The key of an instance, below the prefix of the fleet."""
    return INSTANCES + _part(name)


def instance_name(key: str) -> str:
    """The instance of a key, of which only what follows :data:`INSTANCES` is given."""
    return unquote(key, errors="replace")


def once_key(kid: str | None, once: str) -> str:
    """The key of a one-time token, below the prefix of the fleet.

    :param kid: the id of the key that sealed the token.
    :param once: the id of the token.
    """
    return f"{_ONCE}{_part(kid or '')}/{_part(once)}"


def _part(text: str) -> str:
    """``text`` without slashes, so that no two ids have the same key; most ids stay as they are."""
    return quote(text, safe="", errors="surrogatepass")

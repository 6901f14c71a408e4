"""How large messages may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_KIB: Final = 1 << 10
_MIB: Final = 1 << 20
_GIB: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a codec, in bytes.  Their defaults are at least those of the servers.

    :param value: the most bytes of a body, or of one value in a message.
    :param line: the most bytes of a line that is a message or a value, its end included.
    :param head: the most bytes of a head, of a trailer, and of any other line.
    :param keys: the most bytes of memcached's ``get`` and ``gets`` lines, which may have very many keys.
    :param request: the most bytes of a request that is kept until it is whole.  Redis has the same default
        (``client-query-buffer-limit``).
    """

    value: int = 512 * _MIB
    line: int = 16 * _MIB
    head: int = 64 * _KIB
    keys: int = _MIB
    request: int = _GIB


#: The limits where ``--max-message`` is not given.
DEFAULT_LIMITS: Final = Limits()


def limits_of(max_message: int | None) -> Limits:
    """Return the limits for a value of ``--max-message``.

    It replaces the limits of values, bodies and lines, be it higher or lower.  What stands beside those in a message,
    heads and command lines, keeps its limits, which servers have, too.

    :param max_message: in bytes; None is the defaults.
    """
    if max_message is None:
        return DEFAULT_LIMITS
    return Limits(value=max_message, line=max_message, request=max_message + DEFAULT_LIMITS.head)

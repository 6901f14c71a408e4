"""Redis: the name of the first command (RESP, the Redis serialization protocol; inline commands)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NEED_DATA, NeedData

#: The most bytes of an inline command, with its line end (Redis's own limit).
LIMIT: Final = 65536
#: The most bytes of a command's name; the longest of Redis's has 20.
_NAME_LIMIT: Final = 64
#: The most bytes of a number and its CR.
_NUMBER_LIMIT: Final = 8
#: The most elements of an array (Redis's own limit).
_COUNT_LIMIT: Final = 1024 * 1024
#: Inline commands that are recognized: those that people and health checks send.  Not GET, as HTTP begins with it.
_INLINE: Final = frozenset(
    b"AUTH CLIENT COMMAND CONFIG DBSIZE ECHO HELLO INFO MONITOR PING QUIT ROLE SELECT SUBSCRIBE TIME".split()
)
_PRINTABLE: Final = bytes((0x09, *range(0x20, 0x7F), *range(0x80, 0x100)))


@dataclass(frozen=True, slots=True)
class Redis:
    """The first command of a Redis client (RESP).

    :param command: its name in upper case.
    """

    command: str


def redis(data: bytes) -> Redis | NeedData | None:
    """The name of the command that ``data`` begins with.

    Of an array (RESP) only the name must have come; of an inline command, its whole line.
    """
    if data[:1] not in (b"", b"*"):
        return _inline(data)
    start = _after_number(data, 1, _COUNT_LIMIT)
    if not isinstance(start, tuple):
        return start
    at = start[1]
    if data[at : at + 1] not in (b"", b"$"):
        return None
    size = _after_number(data, at + 1, _NAME_LIMIT)
    if not isinstance(size, tuple):
        return size
    length, at = size
    name = data[at : at + length]
    if not all(0x21 <= byte <= 0x7E for byte in name) or not b"\r\n".startswith(data[at + length : at + length + 2]):
        return None
    return Redis(name.decode("ascii").upper()) if len(data) >= at + length + 2 else NEED_DATA


def _after_number(data: bytes, start: int, most: int) -> tuple[int, int] | NeedData | None:
    """The number at ``start``, from 1 to ``most``, and the offset of the line after it."""
    digits, cr, _ = data[start : start + _NUMBER_LIMIT].partition(b"\r")
    if digits and not (digits.isdigit() and digits[:1] != b"0" and int(digits) <= most):
        return None
    if not cr:
        return NEED_DATA
    end = start + len(digits) + 2
    if not digits or data[end - 1 : end] not in (b"", b"\n"):
        return None
    return (int(digits), end) if len(data) >= end else NEED_DATA


def _inline(data: bytes) -> Redis | NeedData | None:
    """Read an inline command: one line of words, as typed into telnet."""
    end = data.find(b"\n", 0, LIMIT)
    begun = data[: LIMIT if end < 0 else end]
    line = begun.removesuffix(b"\r")
    word, space, arguments = line.partition(b" ")
    name = word.upper()
    is_word_whole = space or end >= 0 or line != begun
    if name not in _INLINE and (is_word_whole or not any(known.startswith(name) for known in _INLINE)):
        return None
    if line.translate(None, _PRINTABLE):
        return None
    if end < 0:
        return NEED_DATA if len(data) < LIMIT else None
    # An HTTP request line ends like this, whatever its method is.
    return None if arguments.rpartition(b" ")[2].startswith(b"HTTP/") else Redis(name.decode("ascii"))

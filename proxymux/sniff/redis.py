"""Redis: the name of the first command (RESP, the Redis serialization protocol)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NEED_DATA, NeedData

#: Bytes of a command's name; the longest there is has 20.
_NAME_LIMIT: Final = 64
#: Bytes of a number and its CR LF.
_NUMBER_LIMIT: Final = 10
#: Elements of an array (the server's own limit).
_COUNT_LIMIT: Final = 1024 * 1024
#: Commands that are recognized as plain words.  GET and the like are not: HTTP begins so.
_PLAIN: Final = frozenset(
    (b"AUTH", b"CLIENT", b"COMMAND", b"CONFIG", b"ECHO", b"HELLO", b"INFO", b"MONITOR", b"PING", b"QUIT", b"SELECT")
)


@dataclass(frozen=True, slots=True)
class Redis:
    """The first command of a Redis client.

    :param command: its name in upper case.
    """

    command: str


def redis(data: bytes) -> Redis | NeedData | None:
    """The name of the command that ``data`` begins with."""
    if data[:1] not in (b"", b"*"):
        return _plain(data)
    count = _number(data, 1, _COUNT_LIMIT)
    if not isinstance(count, tuple):
        return count
    _, at = count
    if data[at : at + 1] not in (b"", b"$"):
        return None
    size = _number(data, at + 1, _NAME_LIMIT)
    if not isinstance(size, tuple):
        return size
    length, at = size
    name = data[at : at + length]
    if not _is_name(name) or not (b"\r\n").startswith(data[at + length : at + length + 2]):
        return None
    return Redis(name.decode("ascii").upper()) if len(data) >= at + length + 2 else NEED_DATA


def _number(data: bytes, start: int, most: int) -> tuple[int, int] | NeedData | None:
    """The number at ``start``, from 1 to ``most``, and where its line ends."""
    end = data.find(b"\r", start, start + _NUMBER_LIMIT)
    digits = data[start : end if end >= 0 else start + _NUMBER_LIMIT]
    if digits and not (digits.isdigit() and 1 <= int(digits) <= most and digits[:1] != b"0"):
        return None
    if end < 0:
        return NEED_DATA if len(digits) < _NUMBER_LIMIT else None
    if not digits or data[end + 1 : end + 2] not in (b"", b"\n"):
        return None
    return (int(digits), end + 2) if len(data) > end + 1 else NEED_DATA


def _is_name(name: bytes) -> bool:
    return all(0x21 <= byte <= 0x7E for byte in name)


def _plain(data: bytes) -> Redis | NeedData | None:
    """A command typed as a line, as with telnet."""
    word = data[:_NUMBER_LIMIT].split(b" ")[0].split(b"\r")[0].split(b"\n")[0]
    name = word.upper()
    if len(word) == len(data):
        return NEED_DATA if any(known.startswith(name) for known in _PLAIN) else None
    return Redis(name.decode("ascii")) if name in _PLAIN else None

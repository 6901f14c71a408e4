"""MySQL and MariaDB: the server's greeting (MySQL's "Protocol::HandshakeV10").

The client waits for it, so that a router never sees it, and no bytes of a client tell that it is one of MySQL's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NeedData
from proxymux.sniff.fields import Fields, Malformed, Unfinished, read

_VERSION_LIMIT: Final = 255
#: Bytes after the version up to the upper half of the capabilities.
_FIXED: Final = 4 + 8 + 1 + 2 + 1 + 2 + 2
#: Bytes from which on the answer is never NEED_DATA.
LIMIT: Final = 4 + 1 + _VERSION_LIMIT + 1 + _FIXED
_TEXT: Final = re.compile(rb"[ -~]+")
_CLIENT_SSL: Final = 0x0800


@dataclass(frozen=True, slots=True)
class MysqlGreeting:
    """What a MySQL or MariaDB server says first.

    :param version: of the server, such as ``8.0.36`` or ``5.5.5-10.11.6-MariaDB``.
    :param connection_id: its number for the connection.
    :param capabilities: its capability flags; :attr:`has_tls` is one of them.
    """

    version: str
    connection_id: int
    capabilities: int

    @property
    def has_tls(self) -> bool:
        """True if the client may go on with TLS (CLIENT_SSL)."""
        return bool(self.capabilities & _CLIENT_SSL)


def mysql_greeting(data: bytes) -> MysqlGreeting | NeedData | None:
    """The greeting that ``data``, the first bytes of a *server*, begins with: for checks and tests of upstreams.

    None for a server that sends an error instead, such as "Too many connections".
    """
    return read(_greeting, data, LIMIT)


def _greeting(fields: Fields) -> MysqlGreeting:
    low, middle = fields.number(1), fields.number(1)
    length = low | middle << 8
    if length < 1 + 2 + _FIXED:
        raise Malformed
    fields.choice(b"\0\0")  # no greeting has 64 KiB; it is packet number 0
    fields.within(length)
    fields.choice(b"\x0a")
    version = _version(fields)
    connection_id = int.from_bytes(fields.take(4), "little")
    fields.take(8)  # a part of the salt
    fields.choice(b"\0")
    lower = fields.take(2)
    fields.take(1 + 2)  # character set, status
    return MysqlGreeting(version, connection_id, int.from_bytes(lower + fields.take(2), "little"))


def _version(fields: Fields) -> str:
    """Read a text that ends with a NUL."""
    text, end, _ = fields.begun[: _VERSION_LIMIT + 1].partition(b"\0")
    if len(text) > _VERSION_LIMIT or len(text) + 1 + _FIXED > fields.left:
        raise Malformed
    if not _TEXT.fullmatch(text) and (text or end):
        raise Malformed
    if not end:
        raise Unfinished
    fields.take(len(text) + 1)
    return text.decode("ascii")

"""PostgreSQL: what a client sends first (Frontend/Backend Protocol, "Message Formats")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from proxymux.core.decision import NEED_DATA, NeedData

#: Bytes of a first packet; the server's own limit (MAX_STARTUP_PACKET_LENGTH).
LIMIT: Final = 10000

_FIXED: Final[dict[int, tuple[Literal["ssl", "gss", "cancel"], int, int]]] = {
    80877103: ("ssl", 8, 8),
    80877104: ("gss", 8, 8),
    80877102: ("cancel", 16, 268),  # the key had 4 bytes up to protocol 3.0, and has up to 256 since 3.2
}


@dataclass(frozen=True, slots=True)
class Postgres:
    """The first packet of a PostgreSQL client.

    :param kind: ``startup``; ``ssl`` or ``gss``: it wants encryption, and sends its start-up once it was answered;
        ``cancel``.
    :param length: bytes that the packet has.
    :param parameters: of a start-up, pairs of names and values, in the client's order.
    """

    kind: Literal["startup", "ssl", "gss", "cancel"]
    length: int
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def user(self) -> str | None:
        """The user that logs in."""
        return dict(self.parameters).get("user")

    @property
    def database(self) -> str | None:
        """The database; it has the user's name if the client does not say."""
        return dict(self.parameters).get("database") or self.user


def postgres(data: bytes) -> Postgres | NeedData | None:
    """The first packet of a PostgreSQL client that ``data`` begins with."""
    # What is missing of the length counts as nothing, so that too long a packet is known early.
    length = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
    if length > LIMIT or (len(data) >= 4 and length < 8):
        return None
    if len(data) < 8:
        return NEED_DATA if _may_be_code(data[4:]) else None
    code = int.from_bytes(data[4:8], "big")
    fixed = _FIXED.get(code)
    if fixed is not None:
        kind, least, most = fixed
        if not least <= length <= most:
            return None
        return Postgres(kind, length) if len(data) >= length else NEED_DATA
    if code >> 16 != 3:
        return None
    if len(data) < length:
        return NEED_DATA
    parameters = _parameters(data[8:length])
    return None if parameters is None else Postgres("startup", length, parameters)


def _may_be_code(begin: bytes) -> bool:
    codes = [b"\0\3", *(code.to_bytes(4, "big") for code in _FIXED)]
    return any(code.startswith(begin) or begin.startswith(code) for code in codes)


def _parameters(block: bytes) -> tuple[tuple[str, str], ...] | None:
    """Names and values, each ended by a NUL, and a NUL after them."""
    texts = block.split(b"\0")
    if len(texts) < 2 or texts[-1] or texts[-2] or len(texts) % 2:
        return None
    names, values = texts[:-2:2], texts[1:-2:2]
    if not all(names):
        return None
    return tuple(
        (name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
        for name, value in zip(names, values, strict=True)
    )

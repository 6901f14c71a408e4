"""The gateway's handshake: one line with a token, answered by three digits.

What was read from the client goes in, and what the gateway makes of it comes out; see ``docs/gateway.rst`` for the wire
format, and :mod:`proxymux.core.token` for what a token is.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

from proxymux.core.admission import parse_address
from proxymux.core.token import MAX_TOKEN, Ticket
from proxymux.core.token.legacy import Digest, open_legacy
from proxymux.core.token.sealed import PREFIX, Keys
from proxymux.errors import BadToken

#: Seconds by which the clocks of whoever seals and of a gateway may differ.
SKEW: Final = 30
#: One-time tokens that are remembered until they expire; beyond these no other is accepted.
MAX_SPENT: Final = 100_000

CONNECTED: Final = b"200"
BAD_LINE: Final = b"400"
BAD_TOKEN: Final = b"401"
NO_CONNECTION: Final = b"502"
TIMED_OUT: Final = b"504"


class TooLong(ValueError):
    """There is no line's end where the last one can be."""


@dataclass(frozen=True, slots=True)
class Line:
    """The client's line.

    :param token: without LF or CRLF.
    :param rest: what has come after it, which is the upstream's.
    """

    token: bytes
    rest: bytes


def read_line(data: bytes) -> Line | None:
    """The line at the beginning of ``data``, or None if it is not whole.

    :raises TooLong: if it cannot become one of at most :data:`MAX_TOKEN` bytes.
    """
    end = data.find(b"\n", 0, MAX_TOKEN + 2)
    if end < 0:
        if len(data) > MAX_TOKEN + 1 or (len(data) > MAX_TOKEN and data[MAX_TOKEN] != 0x0D):
            raise TooLong
        return None
    token = data[: end - 1] if data[:end].endswith(b"\r") else data[:end]
    if len(token) > MAX_TOKEN:
        raise TooLong
    return Line(token, data[end + 1 :])


class Spent:
    """The one-time tokens that were used, for as long as they would be valid."""

    def __init__(self, limit: int = MAX_SPENT) -> None:
        self._limit = limit
        self._names: set[tuple[str | None, str]] = set()
        self._order: list[tuple[float, tuple[str | None, str]]] = []

    def __len__(self) -> int:
        return len(self._names)

    def spend(self, ticket: Ticket, now: float) -> None:
        """Remember that ``ticket`` was used.

        :raises BadToken: if it had been used, or there is no room for it.
        """
        assert ticket.once is not None
        assert ticket.expires is not None
        while self._order and self._order[0][0] < now:
            self._names.remove(heapq.heappop(self._order)[1])
        name = ticket.key, ticket.once
        if name in self._names:
            raise BadToken("one-time token was used before")
        if len(self._names) >= self._limit:
            raise BadToken(f"more than {self._limit} one-time tokens are to be remembered")
        self._names.add(name)
        heapq.heappush(self._order, (ticket.expires + SKEW, name))


@dataclass(frozen=True, slots=True)
class Locks:
    """What opens tokens.

    :param secret: of old tokens; None if none are accepted.
    :param digests: of old tokens.
    :param keys: of sealed tokens; None if none are accepted.
    :param audience: what a token that names one must name.
    """

    secret: bytes | None
    digests: tuple[Digest, ...]
    keys: Keys | None
    audience: str | None

    def __repr__(self) -> str:
        return "<Locks>"  # a dataclass's own would show the secret

    def open(self, token: bytes, client: str, now: float) -> Ticket:
        """What ``token`` says, if the client may use it now.

        :param client: the client's IP address.
        :param now: seconds since the epoch.
        :raises BadToken: if it may not.
        """
        if token.startswith(PREFIX):
            if self.keys is None:
                raise BadToken("sealed tokens are not accepted (--key-file)")
            ticket = self.keys.open(token)
        elif self.secret is None:
            raise BadToken("old tokens are not accepted (--legacy)")
        else:
            ticket = open_legacy(token, self.secret, self.digests)
        self._look_at(ticket, client, now)
        return ticket

    def _look_at(self, ticket: Ticket, client: str, now: float) -> None:
        if ticket.expires is not None and now > ticket.expires + SKEW:
            raise BadToken("expired", f"{now - ticket.expires:.0f} s ago")
        if ticket.not_before is not None and now < ticket.not_before - SKEW:
            raise BadToken("not yet valid", f"for another {ticket.not_before - now:.0f} s")
        if ticket.audience is not None and ticket.audience != self.audience:
            raise BadToken("for another audience (--audience)")
        if ticket.clients is not None:
            address = parse_address(client)
            if address is None or address not in ticket.clients:
                raise BadToken("for another client")

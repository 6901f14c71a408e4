"""Verifying tokens: what opens them, whether a client may use one now, and which one-time tokens were used."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

from proxymux.core.admission import parse_ip_address
from proxymux.core.token import Claims
from proxymux.core.token.legacy import Digest, open_legacy
from proxymux.core.token.sealed import PREFIX, Keys
from proxymux.errors import BadToken

#: Seconds by which the clocks of whoever seals and of a gateway may differ.
SKEW: Final = 30
#: One-time tokens that are remembered until they expire; beyond these no other is accepted.
MAX_SPENT: Final = 100_000


class ReplayCache:
    """The one-time tokens that were used, for as long as they would be valid."""

    def __init__(self, limit: int = MAX_SPENT) -> None:
        self._limit = limit
        self._names: set[tuple[str | None, str]] = set()
        self._order: list[tuple[float, tuple[str | None, str]]] = []

    def __len__(self) -> int:
        return len(self._names)

    def spend(self, claims: Claims, now: float) -> None:
        """Remember that ``claims`` was used.

        :raises BadToken: if it had been used, or there is no room for it.
        """
        assert claims.once is not None
        assert claims.expires is not None
        while self._order and self._order[0][0] < now:
            self._names.remove(heapq.heappop(self._order)[1])
        name = claims.key, claims.once
        if name in self._names:
            raise BadToken("one-time token was used before")
        if len(self._names) >= self._limit:
            raise BadToken(f"more than {self._limit} one-time tokens are to be remembered")
        self._names.add(name)
        heapq.heappush(self._order, (claims.expires + SKEW, name))


@dataclass(frozen=True, slots=True)
class TokenVerifier:
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
        return "<TokenVerifier>"  # a dataclass's own would show the secret

    def open(self, token: bytes, client: str, now: float) -> Claims:
        """What ``token`` says, if the client may use it now.

        :param client: the client's IP address.
        :param now: seconds since the epoch.
        :raises BadToken: if it may not.
        """
        if token.startswith(PREFIX):
            if self.keys is None:
                raise BadToken("sealed tokens are not accepted (--key-file)")
            claims = self.keys.open(token)
        elif self.secret is None:
            raise BadToken("old tokens are not accepted (--legacy)")
        else:
            claims = open_legacy(token, self.secret, self.digests)
        self._look_at(claims, client, now)
        return claims

    def _look_at(self, claims: Claims, client: str, now: float) -> None:
        if claims.expires is not None and now > claims.expires + SKEW:
            raise BadToken("expired", f"{now - claims.expires:.0f} s ago")
        if claims.not_before is not None and now < claims.not_before - SKEW:
            raise BadToken("not yet valid", f"for another {claims.not_before - now:.0f} s")
        if claims.audience is not None and claims.audience != self.audience:
            raise BadToken("for another audience (--audience)")
        if claims.clients is not None:
            address = parse_ip_address(client)
            if address is None or address not in claims.clients:
                raise BadToken("for another client")

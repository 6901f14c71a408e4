"""Verifying tokens: which keys open them, whether their claims hold now, and which one-time tokens were used."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Final

from proxymux.core.admission import parse_ip_address
from proxymux.core.token import Claims
from proxymux.core.token.legacy import Digest, open_legacy
from proxymux.core.token.sealed import PREFIX, Keys
from proxymux.errors import BadToken

#: Seconds by which the clocks of the token's maker and of the gateway may differ.
SKEW: Final = 30
#: The most one-time tokens that are remembered at a time; while they are so many, no further one is accepted.
MAX_REMEMBERED: Final = 100_000


class ReplayCache:
    """The used one-time tokens, remembered until they expire.

    :param limit: the most tokens that are remembered at a time.
    """

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self._limit = limit
        #: Pairs of a key id and a token id.
        self._used: set[tuple[str | None, str]] = set()
        #: The same as a heap, with the times at which they can be forgotten.
        self._expiries: list[tuple[float, tuple[str | None, str]]] = []

    def __len__(self) -> int:
        return len(self._used)

    def spend(self, claims: Claims, now: float) -> None:
        """Remember that a one-time token was used.

        :param claims: of the token, with ``once`` and ``expires``.
        :param now: seconds since the epoch.
        :raises BadToken: if the token was used before, or no more can be remembered.
        """
        assert claims.once is not None
        assert claims.expires is not None
        self.spend_id(claims.key, claims.once, claims.expires, now)

    def spend_id(self, key: str | None, once: str, expires: float, now: float) -> None:
        """As :meth:`spend`, for a token of which only this is known.

        :param key: the id of the key that it was sealed with.
        :param once: the id of the token.
        :param expires: seconds since the epoch.
        """
        while self._expiries and self._expiries[0][0] < now:
            self._used.remove(heapq.heappop(self._expiries)[1])
        token = key, once
        if token in self._used:
            raise BadToken("one-time token was used before")
        if len(self._used) >= self._limit:
            raise BadToken(f"more than {self._limit} one-time tokens are to be remembered")
        self._used.add(token)
        heapq.heappush(self._expiries, (expires + SKEW, token))


@dataclass(frozen=True, slots=True)
class TokenVerifier:
    """Opens tokens and checks their claims.  Use of one-time tokens is recorded elsewhere.

    :param secret: opens old tokens; None if old tokens are not accepted.
    :param digests: key derivations of old tokens.
    :param keys: open sealed tokens; None if sealed tokens are not accepted.
    :param audience: this gateway's name (``--audience``), or None.
    """

    secret: bytes | None
    digests: tuple[Digest, ...]
    keys: Keys | None
    audience: str | None

    def __repr__(self) -> str:
        return "<TokenVerifier>"  # the dataclass's own would show the secret

    def open(self, token: bytes, client: str, now: float) -> Claims:
        """The claims of ``token``.

        :param client: the client's IP address.
        :param now: seconds since the epoch.
        :raises BadToken: if the token does not open, is not valid now, or is for another client or audience.
        """
        if token.startswith(PREFIX):
            if self.keys is None:
                raise BadToken("sealed tokens are not accepted (--key-file)")
            claims = self.keys.open(token)
        elif self.secret is None:
            raise BadToken("old tokens are not accepted (--legacy)")
        else:
            claims = open_legacy(token, self.secret, self.digests)
        self._check(claims, client, now)
        return claims

    def _check(self, claims: Claims, client: str, now: float) -> None:
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

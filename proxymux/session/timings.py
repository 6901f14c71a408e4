"""The timings of a session: what its record will say, written down as it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from proxymux.core.identity import Client, show
from proxymux.core.outcome import Ending, Record
from proxymux.core.target import Target


class Timings:
    """Begins at the accept.

    :param clock: measures the phases.
    :param wall: seconds since the epoch.
    """

    __slots__ = ("_accepted_at", "_clock", "_connected_at", "_decided_at", "_wall", "bytes_in", "bytes_out", "target")

    def __init__(self, clock: IReactorTime, wall: Callable[[], float]) -> None:
        self._clock = clock
        self._wall = wall()
        self._accepted_at = clock.seconds()
        self._decided_at: float | None = None
        self._connected_at: float | None = None
        #: The last target that was tried.
        self.target: Target | None = None
        #: Bytes from and to the client outside of the exchange.
        self.bytes_in = 0
        self.bytes_out = 0

    @property
    def was_connected(self) -> bool:
        """There was an upstream."""
        return self._connected_at is not None

    def decided(self) -> None:
        """The decider has come to its last word."""
        self._decided_at = self._clock.seconds()

    def connected(self) -> None:
        """The upstream is there."""
        self._connected_at = self._clock.seconds()

    def record(self, service: str, number: int, client: Client, exchange: Any, ending: Ending) -> Record:
        """The record of a session that ends now.

        :param exchange: a :class:`~proxymux.session.context.ClientExchange`, or None if there was none.
        """
        first_byte_at = exchange.first_byte_at if exchange is not None else None
        return Record(
            time=self._wall,
            service=service,
            session=number,
            client=show(client.address),
            local=show(client.local),
            target=None if self.target is None else str(self.target),
            outcome=ending.outcome,
            reason=ending.text,
            status=ending.status,
            cause=ending.reason,
            bytes_in=self.bytes_in + (exchange.bytes_in if exchange is not None else 0),
            bytes_out=self.bytes_out + (exchange.bytes_out if exchange is not None else 0),
            decide_seconds=_between(self._accepted_at, self._decided_at),
            connect_seconds=_between(self._decided_at, self._connected_at),
            first_byte_seconds=_between(self._connected_at, first_byte_at),
            seconds=self._clock.seconds() - self._accepted_at,
        )


def _between(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else end - start

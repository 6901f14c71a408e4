"""The timings of a session: the times and byte counts of its record, noted while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IReactorTime

from proxymux.core.decision import MOST_NOTES
from proxymux.core.identity import Client, show
from proxymux.core.outcome import Ending, Record
from proxymux.core.target import Target
from proxymux.printable import printable
from proxymux.session.context import ClientExchange


class Timings:
    """The times and byte counts of one session; made when the client is accepted.

    :param clock: measures the phases, in seconds.
    :param wall: returns the seconds since the epoch.
    """

    __slots__ = (
        "_accepted_at",
        "_accepted_epoch",
        "_clock",
        "_connected_at",
        "_decided_at",
        "_note",
        "bytes_in",
        "bytes_out",
        "target",
    )

    def __init__(self, clock: IReactorTime, wall: Callable[[], float]) -> None:
        self._clock = clock
        self._accepted_epoch = wall()
        self._accepted_at = clock.seconds()
        self._decided_at: float | None = None
        self._connected_at: float | None = None
        self._note: dict[str, str] | None = None
        #: The target of the last attempt to connect.
        self.target: Target | None = None
        #: Bytes from and to the client before and after the exchange.
        self.bytes_in = 0
        self.bytes_out = 0

    def decided(self) -> None:
        """Note that the decider has made its final decision."""
        self._decided_at = self._clock.seconds()

    def connected(self) -> None:
        """Note that the upstream is connected, or that the client shares those of a pool."""
        self._connected_at = self._clock.seconds()

    def add_note(self, note: Mapping[str, str]) -> None:
        """Add the note of a decision to those of earlier ones; beyond :data:`MOST_NOTES` the oldest are left out."""
        self._note = {**(self._note or {}), **{printable(key): printable(text) for key, text in note.items()}}
        for key in tuple(self._note)[:-MOST_NOTES]:
            del self._note[key]

    def record(
        self, service: str, number: int, client: Client, exchange: ClientExchange | None, unsent: int, ending: Ending
    ) -> Record:
        """Make the record of a session that ends now.  Its texts are printable, whoever they come from.

        :param exchange: the session's exchange; None if it was not joined.
        :param unsent: bytes for the client that could not be sent.
        """
        decided_at, connected_at = self._decided_at, self._connected_at
        first_byte_at = exchange.first_byte_at if exchange is not None else None
        return Record(
            time=self._accepted_epoch,
            service=service,
            session=number,
            client=printable(show(client.address)),
            local=printable(show(client.local)),
            target=_shown(self.target),
            outcome=ending.outcome,
            reason=_shown(ending.text),
            status=ending.status,
            cause=_shown(ending.reason),
            bytes_in=self.bytes_in + (exchange.bytes_in if exchange is not None else 0),
            bytes_out=max(0, self.bytes_out + (exchange.bytes_out if exchange is not None else 0) - unsent),
            decide_seconds=None if decided_at is None else decided_at - self._accepted_at,
            connect_seconds=None if decided_at is None or connected_at is None else connected_at - decided_at,
            first_byte_seconds=None if connected_at is None or first_byte_at is None else first_byte_at - connected_at,
            seconds=self._clock.seconds() - self._accepted_at,
            note=self._note,
            tls=None if client.tls is None else client.tls.summary(),
        )


def _shown(value: Target | str | None) -> str | None:
    return None if value is None else printable(str(value))

"""The timings of a session: the times and byte counts of its record, noted while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.interfaces import IReactorTime

from proxymux.core.decision import MOST_NOTES
from proxymux.core.identity import Client, show
from proxymux.core.outcome import Ending, Record
from proxymux.core.target import Target, parse_remote
from proxymux.printable import printable
from proxymux.session.context import ClientExchange
from proxymux.session.trace import Trace


class Timings:
    """The times and byte counts of one session; made when the client is accepted.

    :param clock: measures the phases, in seconds.
    :param wall: returns the seconds since the epoch.
    :param traced: keep a trace, too.
    """

    __slots__ = (
        "_accepted_epoch",
        "_clock",
        "_connected_at",
        "_decided_at",
        "_note",
        "accepted_at",
        "bytes_in",
        "bytes_out",
        "target",
        "trace",
    )

    def __init__(self, clock: IReactorTime, wall: Callable[[], float], traced: bool = False) -> None:
        self._clock = clock
        self._accepted_epoch = wall()
        #: When the client was accepted, in the clock's seconds.
        self.accepted_at = clock.seconds()
        self._decided_at: float | None = None
        self._connected_at: float | None = None
        self._note: dict[str, str] | None = None
        #: The target of the last attempt to connect.
        self.target: Target | None = None
        #: Bytes from and to the client before and after the exchange.
        self.bytes_in = 0
        self.bytes_out = 0
        #: None where nobody wants to know.
        self.trace = Trace(self.accepted_at) if traced else None

    def decided(self) -> None:
        """Note that the decider has made its final decision."""
        self._decided_at = self._clock.seconds()

    def connected(self) -> None:
        """Note that the upstream is connected, or that the client shares those of a pool."""
        self._connected_at = self._clock.seconds()

    def trying(self, target: Target) -> None:
        """Note that an attempt to connect to ``target`` begins."""
        self.target = target
        if self.trace is not None:
            self.trace.started_at = self._clock.seconds()

    def attempt_failed(self, reason: str) -> None:
        """Note that the attempt to connect has failed."""
        if self.trace is not None:
            self.trace.attempt_failed(self.target, self._clock.seconds(), reason)

    def delivered(self, exchange: ClientExchange | None, unsent: int) -> tuple[int, int]:
        """The bytes that the session has delivered so far, from and to the client.

        The arguments are those of :meth:`record`.
        """
        bytes_in, bytes_out = self.bytes_in, self.bytes_out - unsent
        if exchange is not None:
            bytes_in += exchange.bytes_in  # less than 0 while bytes from before the join wait to be sent
            bytes_out += exchange.bytes_out
        return max(0, bytes_in), max(0, bytes_out)

    def add_note(self, note: Mapping[str, str]) -> None:
        """Add the note of a decision to those of earlier ones; beyond :data:`MOST_NOTES` the oldest are left out."""
        self._note = {**(self._note or {}), **{printable(key): printable(text) for key, text in note.items()}}
        for key in tuple(self._note)[:-MOST_NOTES]:
            del self._note[key]

    def pack(self) -> dict[str, Any]:
        """The timings, for another process that goes on with the session."""
        return {
            "accepted_epoch": self._accepted_epoch,
            "accepted_at": self.accepted_at,
            "decided_at": self._decided_at,
            "connected_at": self._connected_at,
            "note": self._note,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "target": None if self.target is None else str(self.target),
            "trace": None if self.trace is None else self.trace.pack(),
        }

    def unpack(self, packed: dict[str, Any]) -> None:
        """Go on with timings that another process has packed; monotonic times are those of the machine."""
        self._accepted_epoch, self.accepted_at = packed["accepted_epoch"], packed["accepted_at"]
        self._decided_at, self._connected_at = packed["decided_at"], packed["connected_at"]
        self._note = packed["note"]
        self.bytes_in, self.bytes_out = packed["bytes_in"], packed["bytes_out"]
        self.target = None if packed["target"] is None else parse_remote(packed["target"])
        if self.trace is not None:
            self.trace = Trace.unpack(self.accepted_at, packed["trace"])

    @property
    def age(self) -> float:
        """Seconds since the accept."""
        return self._clock.seconds() - self.accepted_at

    def record(
        self,
        service: str,
        number: int,
        client: Client,
        exchange: ClientExchange | None,
        unsent: int,
        ending: Ending,
        worker: int | None,
    ) -> Record:
        """Make the record of a session that ends now.  Its texts are printable, whoever they come from.

        :param exchange: the session's exchange; None if it was not joined.
        :param unsent: bytes for the client that could not be sent.
        :param worker: the number of the worker that this process is, or None.
        """
        decided_at, connected_at = self._decided_at, self._connected_at
        first_byte_at = exchange.first_byte_at if exchange is not None else None
        bytes_in, bytes_out = self.delivered(exchange, unsent)
        target, reason = self.target, ending.reason
        # Without the names of the fields, and not by a call of Record, either of which would double the time that every
        # connection pays.  They are in its order.
        return tuple.__new__(
            Record,
            (
                self._accepted_epoch,
                service,
                number,
                printable(show(client.address)),
                printable(show(client.local)),
                None if target is None else printable(str(target)),
                ending.outcome,
                None if reason is None else printable(ending.text or ""),
                bytes_in,
                bytes_out,
                None if decided_at is None else decided_at - self.accepted_at,
                None if decided_at is None or connected_at is None else connected_at - decided_at,
                None if connected_at is None or first_byte_at is None else first_byte_at - connected_at,
                self._clock.seconds() - self.accepted_at,
                ending.status,
                None if reason is None else printable(reason),
                self._note,
                None if client.tls is None else client.tls.summary(),
                worker,
            ),
        )

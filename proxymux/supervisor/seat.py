"""The seat of a worker: what its supervisor has given it, and what a service that runs there takes of it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from proxymux.net.tls.ticket_keys import TicketKeys
from proxymux.session.context import NUMBERS
from proxymux.supervisor.channel import Message
from proxymux.supervisor.launch import Launch
from proxymux.supervisor.replay import RemoteReplayCache
from proxymux.supervisor.shared_presence import SharedPresence
from proxymux.supervisor.table import COUNTERS, Table, TableSize, make_memory
from proxymux.supervisor.worker import FIRST_GIVEN


@dataclass(frozen=True, slots=True, repr=False)
class Seat:
    """What the worker that is this process was given.

    :param launch: what it is to be.
    :param number: of its place, from 1.
    :param workers: the number of places.
    :param serial: of the process.
    :param sockets: one for each listener.
    :param table: that it shares with the others.
    :param row: of that table, which is its own.
    :param secret: by which all workers make the same keys of addresses.
    :param tickets: from which all make the same keys of TLS tickets.
    :param stdout: the descriptor of the supervisor's standard output, for access logs.
    :param holds: the targets that are held as it starts.
    :param drains: the members of clusters that are drained, as pairs of a cluster's name and an address.
    :param failing: the targets whose last check has failed: each with its cluster's name and why.
    :param spent_tokens: asks the supervisor about one-time tokens.
    """

    #: That of this process; None in a process that is no worker.
    current: ClassVar[Seat | None] = None

    launch: Launch
    number: int
    workers: int
    serial: int
    sockets: Sequence[socket.socket]
    table: Table
    row: int
    secret: bytes
    tickets: bytes
    stdout: int
    holds: Sequence[str] = ()
    drains: Sequence[Sequence[str]] = ()
    failing: Sequence[Sequence[str]] = ()
    spent_tokens: RemoteReplayCache = field(default_factory=RemoteReplayCache)

    @classmethod
    def take(cls, launch: Launch, start: Message) -> None:
        """Take the seat that the first message describes, with the descriptors that the process was started with."""
        count = start["listeners"]
        for descriptor in range(FIRST_GIVEN, FIRST_GIVEN + count + 2):
            os.set_inheritable(descriptor, False)
        cls.current = cls(
            launch,
            start["number"],
            start["workers"],
            start["serial"],
            [socket.socket(fileno=FIRST_GIVEN + at) for at in range(count)],
            Table(FIRST_GIVEN + count, TableSize(start["counts_addresses"])),
            start["row"],
            bytes.fromhex(start["secret"]),
            bytes.fromhex(start["tickets"]),
            FIRST_GIVEN + count + 1,
            start["holds"],
            start["drains"],
            start["failing"],
        )

    @classmethod
    def on_trial(cls, launch: Launch, workers: int) -> None:
        """Take a seat of this process's own, which shares nothing, to try whether the launch succeeds."""
        size = TableSize(False)
        table = Table(make_memory(size), size)
        cls.current = cls(launch, 1, workers, 0, (), table, 0, bytes(16), TicketKeys(lambda: 0.0).shared, 1)

    @classmethod
    @contextlib.contextmanager
    def left(cls) -> Iterator[None]:
        """Leave the seat for a while, in which a service is made that is not the one it was given for."""
        seat, cls.current = cls.current, None
        try:
            yield
        finally:
            cls.current = seat

    @property
    def first_session(self) -> int:
        """What the numbers of its sessions are counted from."""
        return self.serial * NUMBERS

    @property
    def presence(self) -> SharedPresence:
        """The clients of all workers."""
        return SharedPresence(self.table, self.row, self.secret)

    @property
    def counters(self) -> memoryview[float]:
        """The cells of the row that are for counters."""
        return self.table.row(self.row)[COUNTERS:]

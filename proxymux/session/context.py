"""The path that every client takes: what the services differ in, and what a service's sessions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.core.admission import Admission
from proxymux.core.decision import Forward
from proxymux.core.events import Events
from proxymux.core.identity import Client
from proxymux.core.outcome import Observer
from proxymux.interfaces import IDecider
from proxymux.net.connection import Connection
from proxymux.net.connector import ConnectListener
from proxymux.net.exchange import JoinOptions
from proxymux.net.timers import Timers
from proxymux.settings import Settings


class ClientExchange(Protocol):
    """What a session knows of its exchange, which closes the upstream and lets go of the client when it ends."""

    @property
    def client(self) -> Connection:
        """The client's connection, which need not be the one that was joined."""

    @property
    def bytes_in(self) -> int:
        """Bytes that came from the client."""

    @property
    def bytes_out(self) -> int:
        """Bytes that came from the upstream."""

    @property
    def first_byte_at(self) -> float | None:
        """When the upstream's first byte came, in the clock's seconds."""

    def abort(self) -> None:
        """End it now; nobody is told."""


#: Joins a client and an upstream.
Join = Callable[[Connection, Connection, JoinOptions], ClientExchange]
#: Has a client's requests share the upstreams of a pool.
JoinPool = Callable[[Connection, JoinOptions], ClientExchange]


class UpstreamSource(Protocol):
    """Provides upstreams: a connector, or a pool that has one for each client."""

    def connect(self, forward: Forward, client: Client, listener: ConnectListener) -> UpstreamRequest:
        """Ask for an upstream, which begins with :meth:`UpstreamRequest.start`."""


class UpstreamRequest(Protocol):
    """One client's wait for an upstream."""

    def start(self) -> None:
        """Begin; the listener may be told at once."""

    def cancel(self) -> None:
        """End the wait; the listener is told nothing any more."""


@dataclass(slots=True)
class Context:
    """The choices that make a service.

    :param service: its name in the access log.
    :param clock: measures.
    :param timers: wait.
    :param wall: seconds since the epoch.
    :param decider: decides; a reload puts another in its place.
    :param join: carries the bytes of a client and its upstream.
    """

    service: str
    clock: IReactorTime
    timers: Timers
    wall: Callable[[], float]
    decider: IDecider
    connector: UpstreamSource
    join: Join
    admission: Admission
    settings: Settings
    events: Events
    log: Logger
    #: What a decision to share leads to; None for services that have no pool.
    join_pool: JoinPool | None = None
    #: Each is given the record of every session that has ended.
    observers: list[Observer] = field(default_factory=list)

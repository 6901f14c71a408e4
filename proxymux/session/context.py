"""The context of a service's sessions: the parts in which the services differ, and the state that sessions share."""

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
from proxymux.net.lingering import Lingering
from proxymux.net.timers import Timers
from proxymux.net.tls.hello import ServerTls
from proxymux.settings import Settings


class ClientExchange(Protocol):
    """An exchange as its session sees it.  At its end it closes the upstream and gives up the client's connection."""

    @property
    def client(self) -> Connection:
        """The client's connection, which may be another one than was joined: a driver may replace it."""

    @property
    def bytes_in(self) -> int:
        """Bytes that came from the client, as far as they could be passed on."""

    @property
    def bytes_out(self) -> int:
        """Bytes that came from the upstream."""

    @property
    def first_byte_at(self) -> float | None:
        """When the upstream's first byte came, in the clock's seconds; None if none has come."""

    def abort(self) -> None:
        """End the exchange now, without calling the session back."""


#: Joins a client and an upstream.
Join = Callable[[Connection, Connection, JoinOptions], ClientExchange]
#: Lets a client's requests share the upstreams of a pool.
JoinPool = Callable[[Connection, JoinOptions], ClientExchange]


class UpstreamSource(Protocol):
    """Provides upstreams: the connector, or in Proxy mode the pool's :class:`ExclusiveLeases`."""

    def connect(self, forward: Forward, client: Client, listener: ConnectListener) -> UpstreamRequest:
        """Make a request for an upstream, which is idle until :meth:`UpstreamRequest.start`.

        :param listener: told of each attempt and of the result.
        """


class UpstreamRequest(Protocol):
    """One client's wait for an upstream."""

    def start(self) -> None:
        """Begin; the listener may be called before this returns."""

    def cancel(self) -> None:
        """End the wait; the listener is not called any more."""

    def heard(self, data: bytes, is_finished: bool) -> None:
        """Take note of what the client has done meanwhile; see :class:`~proxymux.core.commands.Tell`."""


class TlsSource(Protocol):
    """Provides TLS as the server of clients.  :class:`~proxymux.session.certificates.Certificates` is one."""

    def tls_at(self, path: str) -> ServerTls:
        """TLS by the keys and certificates at ``path``, a PEM file or a folder of them.

        :raises BadCertificate: if they cannot be used.
        """


@dataclass(slots=True)
class Context:
    """The choices that make a service, shared by all its sessions.

    :param service: the service's name in the access log.
    :param clock: measures the phases of sessions, in seconds.
    :param timers: the timers of the sessions' deadlines.
    :param lingering: takes the connections of clients that have been sent their last bytes.
    :param wall: returns the seconds since the epoch.
    :param decider: decides for the sessions that begin from now on; a reload replaces it.
    :param connector: provides the upstreams for :class:`Forward` decisions.
    :param join: joins a client to its upstream.
    :param admission: admits clients and counts them.
    :param certificates: of TLS listeners.
    :param events: calls the user's event listeners.
    :param join_pool: joins a client for a :class:`Share` decision; None for services without a pool.
    :param observers: each is called with the record of every session that has ended.
    :param tells_all: each decision and each connect is logged (``--log-level debug``); asked first, as making a line
        that the level does not admit costs microseconds.
    """

    service: str
    clock: IReactorTime
    timers: Timers
    lingering: Lingering
    wall: Callable[[], float]
    decider: IDecider
    connector: UpstreamSource
    join: Join
    admission: Admission
    certificates: TlsSource
    settings: Settings
    events: Events
    log: Logger
    join_pool: JoinPool | None = None
    observers: list[Observer] = field(default_factory=list)
    tells_all: bool = False

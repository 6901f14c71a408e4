"""The context of a service's sessions: the parts in which the services differ, and the state that sessions share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.core.admission import Admission
from proxymux.core.decision import Forward
from proxymux.core.events import Events
from proxymux.core.identity import Client
from proxymux.core.member import Member
from proxymux.core.outcome import ConnectFault, Observer
from proxymux.interfaces import IDecider
from proxymux.net.connecting import ConnectListener
from proxymux.net.connection import Connection
from proxymux.net.exchange import JoinOptions
from proxymux.net.lingering import Lingering
from proxymux.net.member_attempts import TargetCluster
from proxymux.net.timers import Timers
from proxymux.net.tls.hello import ServerTls
from proxymux.session.trace import Traces
from proxymux.settings import Settings

#: How many numbers of sessions each service of a process has, and each worker.  In JavaScript they stay exact for nine
#: million workers.
NUMBERS: Final = 1_000_000_000


class ClientExchange(Protocol):
    """An exchange as its session sees it.  At its end it closes the upstream and gives up the client's connection."""

    @property
    def client(self) -> Connection:
        """The client's connection, which may be another one than was joined: a driver may replace it."""

    @property
    def bytes_in(self) -> int:
        """Bytes that came from the client, less those that were not passed on, from before the join too."""

    @property
    def bytes_out(self) -> int:
        """Bytes that came from the upstream."""

    @property
    def first_byte_at(self) -> float | None:
        """When the upstream's first byte came, in the clock's seconds; None if none has come."""

    @property
    def last_at(self) -> float | None:
        """When the last byte came from either side, in the clock's seconds; None if none has or it is not known."""

    def pack(self) -> tuple[dict[str, Any], object] | None:
        """What another process needs to go on with the exchange, and what is to be frozen; None if it cannot now."""

    def unpack(self, packed: dict[str, Any]) -> None:
        """Go on, as a new exchange, where another process has left off."""

    def freeze(self) -> None:
        """Measure no limit, as the connections are frozen."""

    def thaw(self) -> None:
        """Measure the limits again, from when they began."""

    def depart(self) -> None:
        """Let go of the client, as another process has it."""

    def abort(self) -> None:
        """End the exchange now, without calling the session back."""


#: Joins a client and an upstream.
Join = Callable[[Connection, Connection, JoinOptions], ClientExchange]
#: Lets a client's requests share the upstreams of a pool.
JoinPool = Callable[[Connection, JoinOptions, Client], ClientExchange]


class UpstreamSource(Protocol):
    """Provides upstreams: the connector, or in Proxy mode the pool's :class:`ExclusiveLeases`."""

    def connect(self, forward: Forward, client: Client, listener: ConnectListener) -> UpstreamRequest:
        """Make a request for an upstream, which is idle until :meth:`UpstreamRequest.start`.

        :param listener: told of each attempt and of the result.
        """


class UpstreamRequest(Protocol):
    """One client's wait for an upstream."""

    #: The member of a cluster that was connected to, which counts the connection until it is told of its end; None if
    #: the target is no cluster's.
    member: Member | None

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


class SampleKeeper(Protocol):
    """Keeps the first bytes of sessions.  :class:`~proxymux.admin.sample_folder.SampleFolder` is one."""

    @property
    def is_full(self) -> bool:
        """True if it takes no more."""

    def add(self, session: int, data: bytes, word: str) -> None:
        """Keep a sample.

        :param word: what came of it, see :mod:`proxymux.core.sample`.
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
    :param clusters: by their names.
    :param samples: keeps the first bytes of each session; None keeps none.
    :param observers: each is called with the record of every session that has ended.
    :param connect_failed: told of every attempt to connect that has failed; None where nobody counts them.
    :param traces: gets the trace of every session; None where nobody asks for them.
    :param tells_all: each decision and each connect is logged (``--log-level debug``); asked first, as making a line
        that the level does not admit costs microseconds.
    :param worker: the number of the worker that this process is; None without workers.
    :param first_session: what the numbers of its sessions are counted from, so that no two processes or services have
        the same.
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
    clusters: Mapping[str, TargetCluster] = field(default_factory=dict)
    samples: SampleKeeper | None = None
    observers: list[Observer] = field(default_factory=list)
    connect_failed: Callable[[ConnectFault], None] | None = None
    traces: Traces | None = None
    tells_all: bool = False
    worker: int | None = None
    first_session: int = 0

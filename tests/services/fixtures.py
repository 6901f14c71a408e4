"""A service in this process, on real sockets and on a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final, Protocol, cast

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent, globalLogPublisher
from zope.interface import implementer

from proxymux.admin.counters import Counters
from proxymux.core.outcome import Record
from proxymux.net.driver import make_driver
from proxymux.net.reactor.reactor_wait import KEPT
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.pool.ancestor import AncestorValues
from proxymux.pool.settings import PoolSettings
from proxymux.router.loading import from_object
from proxymux.router.router_decider import RouterDecider
from proxymux.settings import Settings
from proxymux.tap.pool import make_pool
from proxymux.tap.wiring import make_service
from tests.services.certificates import Authority, Credentials
from tests.services.peers import Net, Peer, Upstream, settle, until

#: Every relay there is, by its name for ``--relay``.
RELAYS: Final = ["fd", "transport"]
LOOPBACK: Final = "tcp:0:interface=127.0.0.1"
#: A pool's configuration where all is said by options.
NOTHING: Final = AncestorValues()


@implementer(IHostnameResolver)
class Names:
    """A resolver that knows only what a test has told it.

    ``addresses`` maps a name to its answers, one for each look-up; the last one is for all that follow.  An answer is
    a list of IPv4 addresses, or a Deferred of one.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, list[list[str] | Deferred[list[str]]]] = {}
        self.asked = 0

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        def resolved(addresses: list[str]) -> None:
            for each in addresses:
                resolutionReceiver.addressResolved(IPv4Address("TCP", each, portNumber))
            resolutionReceiver.resolutionComplete()

        self.asked += 1
        resolutionReceiver.resolutionBegan(self)
        answers = self.addresses.get(hostName, [[]])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Deferred):
            answer.addCallback(resolved)
        else:
            resolved(answer)
        return self


class ClockedReactor:
    """The reactor, at a time of day that only a test sets.

    Nothing of ours may wait for it: that has a clock of its own, which only the test moves, too.
    """

    def __init__(self, names: Names) -> None:
        from twisted.internet import reactor

        self._reactor = reactor
        # Its hubs join the loop of the reactor itself, which waits in its place, as in production.
        vars(self)[KEPT] = vars(reactor).setdefault(KEPT, {})
        self.time_of_day = Clock()
        self.seconds = self.time_of_day.seconds
        self.nameResolver = names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def callLater(self, delay: float, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """A call in the next turn is one, whatever the time; Twisted's ports close in one."""
        due = self.time_of_day if delay else self._reactor
        return due.callLater(delay, function, *arguments, **named)

    def callWhenRunning(self, *_: Any) -> None:
        """Signals stay pytest's."""


@implementer(ILogObserver)
class Running:
    """A running service."""

    def __init__(self, net: Net, router: SimpleNamespace, reactor: ClockedReactor, clock: Clock, names: Names) -> None:
        self._net = net
        #: The functions of its router; a reload takes note of what was changed here.
        self.router = router
        self.reactor = reactor
        self.clock = clock
        self.names = names
        self.service: Any = None
        self.records: list[Record] = []
        #: The attempts to connect that failed: pairs of target and reason.
        self.failed_attempts: list[tuple[str, str]] = []
        #: What it has logged: pairs of the level's name and the line.
        self.lines: list[tuple[str, str]] = []

    def __call__(self, event: LogEvent) -> None:
        self.lines.append((event["log_level"].name, formatEvent(event)))
        if "log_failure" in event:
            globalLogPublisher(event)

    def start(self, service: Any) -> None:
        """Run the service."""
        self.service = service
        self.events.on("ended", lambda logger, record: self.records.append(record))
        self.events.on("connect_failed", lambda logger, target, reason: self.failed_attempts.append((target, reason)))
        service.check()
        service.privilegedStartService()
        service.startService()

    @property
    def events(self) -> Any:
        return self.service.events

    @property
    def errors(self) -> list[str]:
        """The error lines it has logged."""
        return [line for level, line in self.lines if level in ("error", "critical")]

    @property
    def address(self) -> str:
        """Where it listens."""
        address: str = self.service.addresses[0]
        return address

    async def connect(self, *, source: str | None = None, receive_buffer: int | None = None) -> Peer:
        """A client."""
        return await self._net.connect(self.address, source=source, receive_buffer=receive_buffer)

    async def ask(self, data: bytes) -> bytes:
        """What a new client is sent that sends ``data`` and FIN, as ``printf data | nc -N`` does."""
        client = await self.connect()
        await client.send(data)
        client.finish()
        return await client.read_all()

    async def ended(self, count: int) -> list[Record]:
        """The records, once ``count`` sessions have ended."""
        await until(lambda: len(self.records) >= count, f"{count} sessions to have ended")
        assert len(self.records) == count
        return self.records

    async def has_failed(self, count: int) -> None:
        """Wait until ``count`` attempts to connect have failed, and see that there are no more."""
        await until(lambda: len(self.failed_attempts) >= count, f"{count} attempts to have failed")
        await settle()
        assert len(self.failed_attempts) == count

    async def record(self) -> Record:
        """The record of its only session, once that has ended."""
        return (await self.ended(1))[0]

    def is_free_of_sessions(self) -> bool:
        """True if every session has ended."""
        return " - 0/" in self.service.summary()

    async def stop(self) -> None:
        """Stop, in no more time than the settings allow."""
        stopped: list[None] = []
        self.service.stopService().addCallback(stopped.append)
        await settle()
        self.clock.advance(10)  # close what is left in good order
        await settle()
        self.clock.advance(1)  # reset what is left
        await until(lambda: stopped, "the service to stop")


class Asked:
    """A ``proxy`` function that notes on which bytes it was asked, and answers by ``rule``."""

    def __init__(self, rule: Callable[[bytes], Any]) -> None:
        self._rule = rule
        self.about: list[bytes] = []

    def __call__(self, data: bytes) -> Any:
        self.about.append(data)
        return self._rule(data)

    async def times(self, count: int) -> None:
        """Wait until it has been asked ``count`` times, and see that it is not asked more often."""
        await until(lambda: len(self.about) >= count, f"{count} questions to the router")
        await settle()
        assert len(self.about) == count, self.about


class Callback:
    """An error callback that notes what it is asked about, and gives the same answer to all."""

    def __init__(self, answer: Any = None) -> None:
        self._answer = answer
        self.remotes: list[str] = []

    def __call__(self, remote: str) -> Any:
        self.remotes.append(remote)
        return self._answer


class Start(Protocol):
    """Start a service whose router has these functions; ``settings`` are the shared options."""

    def __call__(
        self,
        proxy: Callable[..., Any],
        *,
        accepted: Callable[..., Any] | None = None,
        connect_error: Callable[..., Any] | None = None,
        inactivity_error: Callable[..., Any] | None = None,
        listen: str | list[str] = LOOPBACK,
        **settings: Any,
    ) -> Running: ...


class StartPool(Protocol):
    """Start a pool of these targets; ``options`` are those of the command line, with underscores for dashes."""

    def __call__(
        self,
        *targets: Upstream | str,
        listen: str | list[str] = LOOPBACK,
        config: AncestorValues = ...,
        **options: Any,
    ) -> Running: ...


class Join(Protocol):
    """Start a service and bring a client that has sent ``hello`` through to an upstream that has read it."""

    async def __call__(
        self, decision: dict[str, Any] | None = None, *, receive_buffer: int | None = None, **arguments: Any
    ) -> tuple[Running, Peer, Peer]: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where there is a net, Twisted passes pyOpenSSL what pyOpenSSL would now rather not be passed."""
    ignored = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
    for item in items:
        if "net" in getattr(item, "fixturenames", ()):
            item.add_marker(ignored)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that everybody trusts."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="session")
def own(authority: Authority) -> Credentials:
    """The certificate of the proxy's TLS listeners."""
    return authority.issue("proxy.example")


@pytest.fixture
def net() -> Iterator[Net]:
    """Upstreams and clients."""
    net = Net()
    yield net
    net.close()


@pytest.fixture
def relay() -> str:
    """The relay of a service.  A module of tests that every relay must pass overrides this with all of them."""
    return "auto"


@pytest.fixture
def services(net: Net) -> Iterator[list[Running]]:
    """Services; they are stopped when the test is over, and must then leave nothing behind."""
    services: list[Running] = []
    yield services
    net.close()
    for running in services:
        pytest_twisted.blockon(ensureDeferred(running.stop()))
        assert not running.clock.getDelayedCalls()
        assert not running.reactor.time_of_day.getDelayedCalls()
        assert running.is_free_of_sessions()
        numbers = [record.session for record in running.records]
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), "not one record a session"
        assert sum(running.service.outcomes.values()) == len(numbers)


def start_router(
    net: Net,
    clock: Clock,
    proxy: Callable[..., Any],
    *,
    accepted: Callable[..., Any] | None = None,
    connect_error: Callable[..., Any] | None = None,
    inactivity_error: Callable[..., Any] | None = None,
    listen: str | list[str] = LOOPBACK,
    counters: Counters | None = None,
    **settings: Any,
) -> Running:
    """Start a service."""
    router = SimpleNamespace(
        proxy=proxy,
        proxy_accepted=accepted,
        proxy_connect_error=connect_error,
        proxy_inactivity_error=inactivity_error,
    )
    names = Names()
    running = Running(net, router, ClockedReactor(names), clock, names)
    log = Logger("proxymux", observer=running)
    filename = getattr(getattr(proxy, "__code__", None), "co_filename", __file__)

    shared = Settings.read({"listen": listen, **settings})
    clusters = [cluster.name for cluster in shared.cluster]

    def decider() -> RouterDecider:
        return RouterDecider(from_object(router, "router", filename), clock.seconds, log, clusters)

    driver = make_driver(cast("Reactor", running.reactor), shared, log, clock=clock)
    running.start(make_service(driver, "router", decider, shared, log, counters=counters))
    return running


@pytest.fixture
def start(net: Net, relay: str, services: list[Running]) -> Start:
    """Start services."""

    def start(proxy: Callable[..., Any], **arguments: Any) -> Running:
        running = start_router(net, Clock(), proxy, **{"relay": relay, **arguments})
        services.append(running)
        return running

    return cast("Start", start)


def start_pool_of(
    net: Net,
    clock: Clock,
    *targets: Upstream | str,
    listen: str | list[str] = LOOPBACK,
    config: AncestorValues = NOTHING,
    **given: Any,
) -> Running:
    """Start a pool."""
    names = Names()
    running = Running(net, SimpleNamespace(), ClockedReactor(names), clock, names)
    where = [target if isinstance(target, str) else target.remote for target in targets]
    settings = PoolSettings.read({**config, "target": where, "listen": listen, **given})
    log = Logger("proxymux", observer=running)
    running.start(make_pool(cast("Reactor", running.reactor), settings, log, clock))
    return running


@pytest.fixture
def start_pool(net: Net, relay: str, services: list[Running]) -> StartPool:
    """Start pools."""

    def start_pool(*targets: Upstream | str, **given: Any) -> Running:
        running = start_pool_of(net, Clock(), *targets, **{"relay": relay, **given})
        services.append(running)
        return running

    return start_pool


@pytest.fixture
def join(start: Start, net: Net) -> Join:
    """Bring one client through to one upstream."""

    async def join(
        decision: dict[str, Any] | None = None, *, receive_buffer: int | None = None, **arguments: Any
    ) -> tuple[Running, Peer, Peer]:
        target: Upstream = net.upstream(receive_buffer=receive_buffer)
        proxy = start(lambda data: {"remote": target.remote, **(decision or {})}, **arguments)
        client = await proxy.connect(receive_buffer=receive_buffer)
        await client.send(b"hello")
        upstream = await target.accept()
        assert await upstream.receive(5) == b"hello"
        return proxy, client, upstream

    return join

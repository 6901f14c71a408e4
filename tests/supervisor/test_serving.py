"""A worker from within."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from proxymux import Reject
from proxymux.supervisor.channel import Channel, open_channel
from proxymux.supervisor.handover.arranging import arrange
from proxymux.supervisor.replay import RemoteReplayCache
from proxymux.supervisor.serving import Serving, WorkerProcess
from tests.services.fixtures import LOOPBACK, Running, Start, StartPool
from tests.services.peers import Net, in_reactor, settle, until
from tests.session.test_binding import bind
from tests.supervisor.conftest import Joined
from tests.supervisor.handover.pair import answers


class Inside:
    """A service that does what a test says in the supervisor's place."""

    def __init__(self, running: Running, number: int = 1) -> None:
        self.heard: list[Any] = []
        self.is_stopping = False
        self.shutdown: list[Callable[[], Any]] = []
        self.stops = 0
        self.service = running.service
        reactor: Any = running.reactor
        self._reactor = reactor
        self._answers: list[Deferred[Any]] = []
        ours, theirs = socket.socketpair()
        seat: Any = SimpleNamespace(number=number, spent_tokens=RemoteReplayCache())
        self.channel = Channel(lambda message, _: self._hear(message), lambda: None)
        open_channel(reactor, ours, self.channel)
        self.serving = Serving(self.service, self, self, seat)  # type: ignore[arg-type]
        self.serving.start(theirs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def addSystemEventTrigger(self, phase: str, event: str, function: Callable[[], Any]) -> None:
        assert (phase, event) == ("before", "shutdown")
        self.shutdown.append(function)

    def stop(self) -> None:
        self.stops += 1

    def _hear(self, message: dict[str, Any]) -> None:
        if "answer" in message:
            self._answers[message["number"]].callback(message["answer"])
        else:
            self.heard.append(message)

    # As supervisor.worker.Worker does

    def ask(self, what: str, descriptors: Any = (), patience: float | None = 1, **details: Any) -> Deferred[Any]:
        self._answers.append(Deferred())
        self.channel.send({"ask": what, "number": len(self._answers) - 1, **details}, descriptors)
        return self._answers[-1]

    def send(self, message: dict[str, Any], descriptors: Any = ()) -> None:
        self.channel.send(message, descriptors)


@pytest.fixture
def inside() -> Iterator[Callable[..., Inside]]:
    made: list[Inside] = []

    def make(running: Running, number: int = 1) -> Inside:
        made.append(Inside(running, number))
        return made[-1]

    yield make
    for each in made:
        each.is_stopping = True
        each.channel.close()
        for shutdown in each.shutdown:
            shutdown()


@in_reactor
async def test_it_says_that_it_serves_and_answers_what_it_is_asked(start: Start, inside: Callable[..., Inside]) -> None:
    proxy = start(lambda data: None)
    worker = inside(proxy, 3)
    await until(lambda: worker.heard == [{"is": "ready"}], "the first word")
    client = await proxy.connect()
    await until(lambda: len(proxy.service.sessions) == 1, "the client")
    status = await worker.ask("status")
    assert status["services"][0]["connections"] == 1
    (listed,) = await worker.ask("sessions", limit=5)
    assert (await worker.ask("session", session=listed["id"]))["id"] == listed["id"] == 1
    assert await worker.ask("session", session=99) is None
    assert await worker.ask("close_session", session=1) is True
    assert await client.read_all() == b""
    assert await worker.ask("close_session", session=1) is False
    assert await worker.ask("reload") == ""
    assert "thread" in await worker.ask("stacks")


@in_reactor
async def test_it_holds_and_releases_what_it_is_told(start: Start, inside: Callable[..., Inside]) -> None:
    proxy = start(lambda data: None)
    worker = inside(proxy)
    assert [await worker.ask("hold", target="a.example:1", cluster=None) for _ in range(2)] == [True, False]
    assert [hold.target for hold in proxy.service.steering.holds] == ["a.example:1"]
    assert [await worker.ask("release", target="a.example:1", cluster=None) for _ in range(2)] == [True, False]


@in_reactor
async def test_a_pool_says_what_it_cannot_hold_and_serves_all_the_same(
    start_pool: StartPool, net: Net, inside: Callable[..., Inside]
) -> None:
    target = net.upstream()
    pool = start_pool(target)
    pool.service.steering.steer_as_before(["a.example:1", target.remote], [])
    assert [hold.target for hold in pool.service.steering.holds] == [target.remote]
    assert ("info", f"not held here: a.example:1 is none of the pool's targets: {target.remote}") in pool.lines
    refused = await inside(pool).ask("hold", target="a.example:1", cluster=None)
    assert refused["refused"] == "NotHeld"
    assert refused["text"].startswith("a.example:1 is none of")
    assert (await inside(pool).ask("drain", target="a.example:1", cluster="users"))["refused"] == "NoMember"


@in_reactor
async def test_a_question_that_fails_costs_nothing_else(
    start: Start, inside: Callable[..., Inside], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = start(lambda data: None)
    worker = inside(proxy)
    failures: list[str] = []
    monkeypatch.setattr(proxy.service.log, "failure", lambda line, failure: failures.append(line))
    worker.ask("session")  # without the number
    worker.ask("hand_over")  # without the socket
    assert await worker.ask("reload") == ""
    assert failures == ["a question of the supervisor's has failed"] * 2


@in_reactor
async def test_it_hands_over_what_it_has_as_the_supervisor_arranges(
    joined: Joined, inside: Callable[..., Inside]
) -> None:
    pair, client, upstream = await joined()
    old, new = inside(pair.old, 1), inside(pair.new, 1)
    old.send({"do": "stop", "limit": None})
    given: list[int] = []
    arrange(old, new).addCallback(given.append)  # type: ignore[arg-type]
    await until(lambda: given == [1], "the handover")
    await until(lambda: old.stops == 1, "the old worker to end")
    assert pair.owned == (0, 1)
    assert new.stops == 0
    await answers(client, upstream)


@pytest.mark.parametrize("relay", ["transport"])
@in_reactor
async def test_where_connections_cannot_be_moved_they_stay(
    start: Start, inside: Callable[..., Inside], relay: str
) -> None:
    one, other = start(lambda data: None), start(lambda data: None)
    client = await one.connect()
    await until(lambda: len(one.service.sessions) == 1, "the client")
    given: list[int] = []
    arrange(inside(one), inside(other)).addCallback(given.append)  # type: ignore[arg-type]
    await until(lambda: given == [0], "the answer")
    assert len(one.service.sessions) == 1
    client.close()


@in_reactor
async def test_it_accepts_for_a_neighbour(start: Start, net: Net, inside: Callable[..., Inside]) -> None:
    bound = bind(LOOPBACK, 1)
    (sock,) = bound.sockets
    proxy = start(lambda data: Reject(b"served"))
    worker = inside(proxy)
    worker.send({"do": "lend", "place": 2, "listeners": [0]}, [sock.fileno()])
    for served in (True, False):
        client = await net.connect(f"127.0.0.1:{sock.getsockname()[1]}")
        await client.send(b"x")
        if served:
            assert await client.read_all() == b"served"
            worker.send({"do": "give_back", "place": 2})
            await settle()
        else:
            await settle()
            assert not client.has_something()
    bound.close()


@in_reactor
async def test_it_ends_when_its_sessions_have(start: Start, inside: Callable[..., Inside]) -> None:
    proxy = start(lambda data: None)
    worker = inside(proxy)
    client = await proxy.connect()
    await until(lambda: len(proxy.service.sessions) == 1, "the client")
    worker.send({"do": "stop", "limit": None})
    worker.send({"do": "stop", "limit": None})
    await until(lambda: proxy.service.is_draining, "the drain")
    await settle()
    assert worker.stops == 0
    client.close()
    await until(lambda: worker.stops, "the end")
    assert worker.stops == 1


@pytest.mark.parametrize("how", ["abort", "stop", "the supervisor is gone"])
@in_reactor
async def test_it_ends_its_sessions_when_it_is_told(start: Start, inside: Callable[..., Inside], how: str) -> None:
    proxy = start(lambda data: None, drain_timeout=5)
    worker = inside(proxy)
    client = await proxy.connect()
    await until(lambda: len(proxy.service.sessions) == 1, "the client")
    if how == "abort":
        worker.send({"do": "abort"})
    elif how == "stop":
        worker.send({"do": "stop", "limit": 5})
    else:
        worker.channel.close()
        await until(lambda: proxy.service.is_draining, "the drain")
        assert ("warn", "the supervisor is gone, this worker drains and ends") in proxy.lines
    await settle()
    if how != "abort":
        assert worker.stops == 0
        proxy.clock.advance(5.1)
    await client.read_all() if how != "abort" else await settle()
    await until(lambda: worker.stops == 1, "the end")
    assert (await proxy.record()).outcome == "drained"


@in_reactor
async def test_its_last_words_reach_the_supervisor(start: Start, inside: Callable[..., Inside]) -> None:
    worker = inside(start(lambda data: None))
    (shutdown,) = worker.shutdown
    worker.is_stopping = True
    worker.serving._channel.send({"last": "words"})
    ended: list[None] = []
    shutdown().addCallback(ended.append)
    await until(lambda: {"last": "words"} in worker.heard, "the last words")
    await until(lambda: ended, "the end")
    worker.shutdown.clear()


def test_of_signals_a_worker_obeys_term_alone_and_once() -> None:
    class Reactor:
        stops = 0

        def stop(self) -> None:
            self.stops += 1

    reactor: Any = Reactor()
    process = WorkerProcess(reactor, None)  # type: ignore[arg-type]
    actions = process.actions()
    assert set(actions) == {
        signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2
    }  # fmt: skip
    for number, action in actions.items():
        if number is not signal.SIGTERM:
            action()
    assert reactor.stops == 0
    actions[signal.SIGTERM]()
    actions[signal.SIGTERM]()
    assert reactor.stops == 1
    assert process.label == "worker: "

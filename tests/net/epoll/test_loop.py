"""The loop of several hubs, in Twisted's epoll reactor and in one that it is only a reader of."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import blockingCallFromThread, deferToThread
from twisted.internet.utils import getProcessOutput
from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import implementer

from proxymux.net.epoll.hub import Hub
from proxymux.net.epoll.loop import loop_of
from proxymux.net.timers import Timers


class Another:
    """A reactor of another kind, as far as the loop can tell."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


@implementer(ILogObserver)
class Failures:
    """What a hub has logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        self.lines.append(str(event["log_failure"].value))


class Taken:
    """A watcher that takes all that comes, and tells ``then`` of it."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.sock, self.peer = socket.socketpair()
        self.sock.setblocking(False)
        self.fd = self.sock.fileno()
        self.received = b""
        self.is_closed = False
        self.then: Callable[[], object] = lambda: None
        hub.watch(self.fd, self)

    def ready(self, events: int) -> None:
        try:
            received = self.sock.recv(100)
        except BlockingIOError:
            return
        self.received += received
        self.then()

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.hub.close(self.sock, self.fd)
            self.peer.close()

    async def asked(self, data: bytes = b"a") -> None:
        """Send ``data`` and wait until it is taken, and the turn is over."""
        from twisted.internet import reactor

        done: Deferred[None] = Deferred()
        before, then = self.received, self.then

        def taken() -> None:
            then()
            if self.received == before + data:
                done.callback(None)

        self.then = taken
        self.peer.sendall(data)
        await done
        self.then = then
        await deferLater(reactor, 0)


class Hubs:
    """Makes hubs in one reactor, and ends them with the test."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.loop = loop_of(reactor)
        self.all: list[Hub] = []
        self.takers: list[Taken] = []
        self.logs: list[Failures] = []

    def start(self, clock: Clock | None = None) -> Hub:
        self.logs.append(Failures())
        log = Logger("test", observer=self.logs[-1])
        hub = Hub(self.reactor, Timers(clock or Clock(), log), log, 4096)
        hub.start()
        self.all.append(hub)
        return hub

    def taken(self, hub: Hub) -> Taken:
        self.takers.append(Taken(hub))
        return self.takers[-1]

    def end(self) -> None:
        for taken in self.takers:
            taken.close()
        for hub in self.all:
            hub.stop()


def is_in_place(reactor: Any) -> bool:
    return "doIteration" in vars(reactor)


@pytest.fixture(params=["in place", "a reader"])
def hubs(request: pytest.FixtureRequest) -> Iterator[Hubs]:
    from twisted.internet import reactor

    hubs = Hubs(reactor if request.param == "in place" else Another(reactor))
    yield hubs
    hubs.end()
    pytest_twisted.blockon(deferLater(reactor, 0))  # the test may have ended within a turn, after which they leave
    assert not is_in_place(reactor)
    assert not [each for each in reactor.getReaders() if each is hubs.loop]


async def test_each_hub_has_its_own_sockets_time_and_log(hubs: Hubs) -> None:
    clocks = Clock(), Clock()
    one, two = (hubs.start(clock) for clock in clocks)
    first, second = hubs.taken(one), hubs.taken(two)
    clocks[0].advance(1)
    clocks[1].advance(2)
    await first.asked(b"for one")
    await second.asked(b"for two")
    assert (first.received, second.received) == (b"for one", b"for two")
    assert (one.now, two.now) == (1.0, 2.0)

    def fail() -> None:
        second.then = lambda: None
        raise ValueError("in two")

    second.then = fail
    second.peer.send(b"a")
    await first.asked(b"a")
    await first.asked(b"a")
    assert (second.is_closed, first.is_closed) == (True, False)
    assert [log.lines for log in hubs.logs] == [[], ["in two"]]


async def test_it_is_in_the_reactor_from_the_first_hub_to_the_last(hubs: Hubs) -> None:
    from twisted.internet import reactor

    def is_in() -> bool:
        return is_in_place(reactor) or hubs.loop in reactor.getReaders()

    assert not is_in()
    one, two = hubs.start(), hubs.start()
    taken = hubs.taken(two)
    one.stop()
    assert is_in()
    await taken.asked()
    two.stop()
    assert is_in()  # until its last socket is closed
    await taken.asked()
    taken.close()
    assert not is_in()
    two.start()
    taken = hubs.taken(two)
    await taken.asked()
    assert is_in()


async def test_a_hub_may_end_and_begin_in_a_turn(hubs: Hubs) -> None:
    one = hubs.start()
    taken, last = hubs.taken(one), hubs.taken(one)
    more: list[Taken] = []

    def end() -> None:
        one.stop()
        taken.close()
        more.append(hubs.taken(hubs.start()))

    taken.then = end
    taken.peer.send(b"a")
    await last.asked()
    await last.asked()
    assert taken.is_closed
    last.then = last.close
    last.peer.send(b"a")
    await more[0].asked()
    await more[0].asked()
    assert last.is_closed
    more[0].hub.stop()

    def begin_again() -> None:
        more[0].close()
        more[0].hub.start()

    more[0].then = begin_again
    await more[0].asked()
    await hubs.taken(more[0].hub).asked()


async def test_a_closed_socket_keeps_its_number_for_the_turn(hubs: Hubs) -> None:
    one, two = hubs.start(), hubs.start()
    first, second = hubs.taken(one), hubs.taken(two)
    numbers: list[int] = []

    def close() -> None:
        second.close()
        with socket.socket() as sock:
            numbers.append(sock.fileno())

    first.then = close
    await first.asked()
    assert second.fd not in numbers
    assert os.fstat(first.fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        second.sock.getsockname()


async def test_a_call_that_a_watcher_makes_comes_in_time(hubs: Hubs) -> None:
    from twisted.internet import reactor

    called: Deferred[None] = Deferred()
    taken = hubs.taken(hubs.start())
    taken.then = lambda: reactor.callLater(0.001, called.callback, None)
    taken.peer.send(b"a")
    await called


async def test_what_is_called_soon_is_called_after_the_events(hubs: Hubs) -> None:
    one, two = hubs.start(), hubs.start()
    taken = hubs.taken(two)
    done: list[str] = []

    def fail() -> None:
        done.append("failed")
        raise ValueError("soon")

    def then() -> None:
        two.call_soon(fail)
        one.call_soon(lambda: done.append("soon"))
        done.append("event")

    taken.then = then
    await taken.asked()
    one.call_soon(lambda: done.append("now"))
    assert done == ["event", "failed", "soon", "now"]
    assert [log.lines for log in hubs.logs] == [[], ["soon"]]


async def test_a_watcher_may_be_told_again(hubs: Hubs) -> None:
    hub = hubs.start()
    taken, other = hubs.taken(hub), hubs.taken(hub)
    told: list[int] = []
    ready, done = taken.ready, Deferred[None]()

    def again(events: int) -> None:
        told.append(events)
        ready(events)
        if len(told) < 50:
            hub.read_again(taken.fd)
        elif not done.called:
            done.callback(None)

    taken.ready = again  # type: ignore[method-assign]
    await other.asked()  # what a new socket is ready for is told then
    del told[:]
    hub.read_again(taken.fd)  # outside of a turn
    await done
    assert len(told) == 50
    hub.read_again(other.fd)
    other.close()  # and is forgotten
    await taken.asked()


async def test_some_handshakes_wait_for_the_next_poll(hubs: Hubs) -> None:
    hub = hubs.start()
    takers = [hubs.taken(hub) for _ in range(20)]
    most: list[int] = []
    stepped: list[Taken] = []
    everyone: Deferred[None] = Deferred()

    def step(taken: Taken) -> None:
        if hub.may_shake_hands(taken.fd):
            stepped.append(taken)
            most[-1] += 1

    class Told:
        def __init__(self, taken: Taken) -> None:
            self.taken = taken

        def ready(self, events: int) -> None:
            if most and self.taken not in stepped:
                if most[-1] == 0:
                    hub.call_soon(poll_is_over)
                step(self.taken)

        def abort(self) -> None:
            self.taken.abort()

    def poll_is_over() -> None:
        most.append(0)
        if len(stepped) == len(takers):
            everyone.callback(None)

    await hubs.taken(hub).asked()
    for taken in takers:
        hub.set_watcher(taken.fd, Told(taken))
        taken.peer.send(b"a")
    most.append(0)
    await everyone
    assert sorted(filter(None, most)) == [4, 8, 8]
    assert hub.may_shake_hands(takers[0].fd)  # outside of a turn


async def test_threads_and_their_calls(hubs: Hubs) -> None:
    taken = hubs.taken(hubs.start())
    assert await deferToThread(lambda: 1) == 1

    async def ask() -> None:
        await taken.asked(b"from a thread")

    def ask_from_thread() -> None:
        call: Any = blockingCallFromThread  # whose type is too narrow
        call(hubs.reactor, lambda: ensureDeferred(ask()))

    await deferToThread(ask_from_thread)
    assert taken.received == b"from a thread"


async def test_a_process_and_its_end(hubs: Hubs) -> None:
    taken = hubs.taken(hubs.start())
    output = await getProcessOutput(sys.executable, ["-c", "print('hello')"])
    await taken.asked()
    assert output == b"hello\n"


async def test_a_signal_while_it_waits(hubs: Hubs) -> None:
    hubs.taken(hubs.start())
    signalled: Deferred[int] = Deferred()
    call = hubs.reactor.callFromThread  # as Twisted's own handlers do
    before = signal.signal(signal.SIGUSR2, lambda number, frame: call(signalled.callback, number))
    sender = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR2))
    sender.start()
    assert await signalled == signal.SIGUSR2
    sender.join()
    signal.signal(signal.SIGUSR2, before)


async def test_a_turn_of_the_reactor_within_a_turn(hubs: Hubs) -> None:
    from twisted.internet import reactor

    hub = hubs.start()
    outer, inner, closed = hubs.taken(hub), hubs.taken(hub), hubs.taken(hub)
    during: list[object] = []

    def turn() -> None:
        inner.peer.send(b"inner")
        closed.close()
        while not inner.received:
            reactor.iterate(0.01)
        closed.sock.getsockname()  # not closed before the outermost turn is over
        during.append(inner.received)

    outer.then = turn
    await outer.asked()
    await inner.asked()
    assert during == [b"inner"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        closed.sock.getsockname()


def test_a_loop_goes_with_its_reactor() -> None:
    from twisted.internet import reactor

    another = Another(reactor)
    assert loop_of(another) is loop_of(another)  # type: ignore[arg-type]
    assert loop_of(another) is not loop_of(reactor)  # type: ignore[arg-type]

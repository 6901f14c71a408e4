"""Waiting in the place of Twisted's epoll reactor, on a reactor of the test's own."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, cast

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.pollreactor import PollReactor
from twisted.internet.selectreactor import SelectReactor
from twisted.python import context
from twisted.python.failure import Failure
from twisted.python.log import ILogContext

from proxymux.net.reactor.reactor_wait import ReactorWait, wait_in_place_of
from proxymux.net.reactor.twisted_types import Reactor


class Other(EPollReactor):
    """A reactor that polls in its own way, perhaps."""


class Ready:
    """Takes what comes on one socket, and calls ``then`` at once."""

    def __init__(self) -> None:
        self.again: list[int] = []
        self.reactor_fd = -1
        self.sock, self.peer = socket.socketpair()
        self.sock.setblocking(False)
        self.received = b""
        self.then: Callable[[], object] = lambda: None

    def logPrefix(self) -> str:
        return "ready"

    def serve(self, events_of: list[tuple[int, int]]) -> bool:
        is_due = False
        for fd, _ in events_of:
            if fd == self.reactor_fd:
                is_due = True
            else:
                self.received += self.sock.recv(100)
                self.then()
        return is_due


class Reader:
    """A reader of the reactor's."""

    def __init__(self, then: Callable[[], object]) -> None:
        self.sock, self.peer = socket.socketpair()
        self.then = then
        self.fileno = self.sock.fileno

    def logPrefix(self) -> str:
        return "reader"

    def doRead(self) -> None:
        self.sock.recv(100)
        self.then()

    def connectionLost(self, reason: Failure) -> None:
        self.sock.close()


def close_reactor(reactor: Any) -> None:
    for each in (*reactor.removeAll(), *reactor._internalReaders):
        each.connectionLost(None)
    reactor._poller.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def made(kind: type[Any], stack: ExitStack) -> Any:
    reactor = kind()
    if isinstance(reactor, EPollReactor):
        stack.callback(close_reactor, reactor)
    else:
        for each in reactor._internalReaders:
            stack.callback(each.connectionLost, None)
    return reactor


@pytest.fixture
def reactor(stack: ExitStack) -> Any:
    return made(EPollReactor, stack)


@pytest.fixture
def ready(stack: ExitStack) -> Ready:
    ready = Ready()
    stack.enter_context(ready.sock)
    stack.enter_context(ready.peer)
    return ready


@pytest.fixture
def wait(reactor: Any, ready: Ready, stack: ExitStack) -> ReactorWait:
    epoll = stack.enter_context(select.epoll())
    epoll.register(ready.sock, select.EPOLLIN)
    wait = wait_in_place_of(reactor, epoll, ready)
    # This Twisted has all the names: otherwise nothing is served in the faster way any more.
    assert wait is not None
    ready.reactor_fd = wait.fd
    return wait


def run(reactor: Any) -> None:
    """Run it until something stops it, but not for ever."""
    late: list[bool] = []

    def end() -> None:
        late.append(True)
        reactor.crash()

    guard = threading.Timer(30, reactor.callFromThread, [end])
    guard.start()
    reactor.run(installSignalHandlers=False)
    guard.cancel()
    guard.join()
    assert not late


def test_a_stop_by_what_is_served_ends_it(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    ready.then = reactor.stop
    ready.peer.send(b"a")
    run(reactor)
    assert ready.received == b"a"


def test_a_crash_by_what_is_served_ends_it(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    ready.then = reactor.crash
    ready.peer.send(b"a")
    run(reactor)
    assert ready.received == b"a"


def test_what_is_served_logs_by_its_name(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    names: list[str] = []

    def note() -> None:
        names.append(context.get(ILogContext)["system"])
        reactor.stop()

    ready.then = note
    ready.peer.send(b"a")
    run(reactor)
    ready.then = lambda: names.append(context.get(ILogContext)["system"])
    ready.peer.send(b"a")
    reactor.iterate(600)
    assert names == ["ready", "ready"]


def test_it_serves_many_events_in_one_turn_of_the_reactor(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        run_until_current()

    def ask_again() -> None:
        if len(ready.received) < 100:
            ready.peer.send(b"a")
        else:
            reactor.stop()

    run_until_current = reactor.runUntilCurrent
    reactor.runUntilCurrent = turn
    ready.then = ask_again
    ready.peer.send(b"a")
    run(reactor)
    assert (len(ready.received), turns < 10) == (100, True)


@pytest.mark.parametrize("others", [0, 1])
def test_a_call_that_is_made_by_what_is_served_comes_in_time(
    reactor: Any, ready: Ready, wait: ReactorWait, others: int
) -> None:
    for _ in range(others):
        reactor.callLater(600, reactor.crash)
    ready.then = lambda: reactor.callLater(0.001, reactor.stop)
    ready.peer.send(b"a")
    run(reactor)
    assert reactor.getDelayedCalls() == [] or others


def test_a_call_that_is_moved_by_what_is_served_comes_in_time(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    call = reactor.callLater(600, reactor.stop)
    ready.then = lambda: call.reset(0)
    ready.peer.send(b"a")
    run(reactor)
    assert call.called


def test_a_call_comes_in_time_beside_a_busy_socket(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    ready.then = lambda: ready.peer.send(b"a")
    ready.peer.send(b"a")
    call = reactor.callLater(0.01, reactor.stop)
    run(reactor)
    assert (call.called, len(ready.received) > 1) == (1, True)


def test_the_last_call_that_is_cancelled_leaves_nothing_to_wait_for(
    reactor: Any, ready: Ready, wait: ReactorWait
) -> None:
    call = reactor.callLater(0.02, reactor.crash)

    def cancel() -> None:
        if call.active():
            call.cancel()
            ready.peer.send(b"a")
        else:
            reactor.stop()

    ready.then = cancel
    ready.peer.send(b"a")
    run(reactor)
    assert (ready.received, call.called) == (b"aa", 0)


def test_a_reader_of_the_reactor_is_served_beside_a_busy_socket(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    reader = Reader(reactor.stop)
    ready.then = lambda: ready.peer.send(b"a")
    ready.peer.send(b"a")
    reader.peer.send(b"b")
    reactor.addReader(reader)
    run(reactor)  # which does not end otherwise
    assert ready.received
    reader.peer.close()


def test_a_socket_is_served_beside_a_busy_reader(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    reader = Reader(lambda: reader.peer.send(b"b"))
    reactor.addReader(reader)
    reader.peer.send(b"b")
    ready.then = reactor.stop
    ready.peer.send(b"a")
    run(reactor)
    assert ready.received == b"a"
    reader.peer.close()


def test_what_is_to_be_done_again_does_not_wait(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    done: list[str] = []
    ready.again = [0]
    serve = ready.serve

    def serve_again(events_of: list[tuple[int, int]]) -> bool:
        if ready.again:
            done.append("again")
            ready.again = []
            reactor.stop()
        return serve(events_of)

    ready.serve = serve_again  # type: ignore[method-assign]
    run(reactor)
    assert done == ["again"]


def test_a_call_from_a_thread_wakes_it(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    found: list[int] = []

    def called() -> None:
        found.append(1)
        reactor.stop()

    reactor.callWhenRunning(reactor.callInThread, reactor.callFromThread, called)
    run(reactor)
    assert found == [1]


def test_one_turn_ends_with_the_first_event(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    called: list[int] = []
    reactor.callLater(0, called.append, 1)
    ready.peer.send(b"a")
    reactor.iterate(600)
    assert (ready.received, called) == (b"a", [1])
    reader = Reader(lambda: called.append(2))
    reactor.addReader(reader)
    reader.peer.send(b"b")
    reactor.iterate(600)
    assert called == [1, 2]
    reactor.iterate()
    reactor.iterate(0.001)
    assert called == [1, 2]
    reader.peer.close()


def test_a_turn_within_what_is_served_serves_the_rest(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    def turn() -> None:
        ready.then = reactor.stop
        ready.peer.send(b"b")
        reactor.iterate(600)

    ready.then = turn
    ready.peer.send(b"a")
    run(reactor)
    assert ready.received == b"ab"


def test_all_is_as_before_when_it_is_over(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    assert {"doIteration", "iterate"} <= set(vars(reactor))
    wait.restore()
    assert not {"doIteration", "iterate"} & set(vars(reactor))
    ready.peer.send(b"a")
    reactor.callLater(0.001, reactor.stop)
    run(reactor)
    assert ready.received == b""


def test_who_has_replaced_ours_meanwhile_gets_what_the_reactor_does(
    reactor: Any, ready: Ready, wait: ReactorWait
) -> None:
    ours, turn = reactor.doIteration, reactor.iterate
    turns: list[float | None] = []

    def theirs(delay: float | None) -> None:
        turns.append(delay)
        ours(delay)

    reactor.doIteration = theirs
    wait.restore()
    assert reactor.doIteration is theirs
    ready.peer.send(b"a")
    turn(0.0)
    reactor.callLater(0.001, reactor.stop)
    run(reactor)
    assert (ready.received, bool(turns)) == (b"", True)


@pytest.mark.parametrize("kind", [Other, PollReactor, SelectReactor])
def test_no_other_reactor_is_touched(kind: type[Any], ready: Ready, stack: ExitStack) -> None:
    reactor = made(kind, stack)
    before = dict(vars(reactor))
    with select.epoll() as epoll:
        assert wait_in_place_of(reactor, epoll, ready) is None
    assert vars(reactor) == before


def test_nothing_is_touched_where_there_is_no_reactor_at_all(ready: Ready) -> None:
    with select.epoll() as epoll:
        assert wait_in_place_of(cast("Reactor", object()), epoll, ready) is None


@pytest.mark.parametrize("name", ["_poller", "_newTimedCalls"])
def test_nothing_is_touched_where_a_name_is_missing(reactor: Any, ready: Ready, name: str) -> None:
    value = vars(reactor).pop(name)
    with select.epoll() as epoll:
        assert wait_in_place_of(reactor, epoll, ready) is None
    assert "doIteration" not in vars(reactor)
    setattr(reactor, name, value)


def test_a_reactor_that_somebody_else_waits_for_is_theirs(reactor: Any, ready: Ready, wait: ReactorWait) -> None:
    with select.epoll() as epoll:
        assert wait_in_place_of(reactor, epoll, ready) is None


def test_an_epoll_that_takes_no_other_is_a_reader(reactor: Any, ready: Ready) -> None:
    with select.epoll() as epoll:
        reactor._poller.register(epoll, select.EPOLLIN)  # a circle
        assert wait_in_place_of(reactor, epoll, ready) is None
        assert "doIteration" not in vars(reactor)
        reactor._poller.unregister(epoll)

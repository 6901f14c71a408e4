"""Testing a router without a network.

A router is asked by the same session, run by the same code as in a running proxy, so that what holds here holds there::

    from proxymux.testing import decide, every_split

    def test_routes_by_name():
        assert decide("router.py", b"alice ", b"hello").remote == "10.0.0.1:80"

    def test_does_not_depend_on_segments():
        for chunks in every_split(b"alice hello"):
            assert decide("router.py", *chunks) == Forward("10.0.0.1:80")
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Final

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.admission import Admission
from proxymux.core.decision import NEED_DATA, Decision, Forward, NeedData, Reject
from proxymux.core.events import Events
from proxymux.core.identity import Client, Notes
from proxymux.core.outcome import Outcome
from proxymux.errors import DecisionFailed
from proxymux.interfaces import IDecider
from proxymux.net.connector import ConnectListener
from proxymux.net.memory import MemoryConnection
from proxymux.net.reactor.relay import join_connections
from proxymux.net.timers import Timers
from proxymux.router.loading import Router, from_object, load
from proxymux.router.router_decider import RouterDecider
from proxymux.session.context import Context
from proxymux.session.runner import SessionRunner
from proxymux.settings import Settings

#: A client for routers that ask for one.
CLIENT: Final = Client(("192.0.2.1", 50000), ("192.0.2.2", 5432))
#: Up to this many bytes :func:`every_split` gives every way of splitting there is.
_ALL_WAYS: Final = 10

AnyRouter = str | ModuleType | Router | Callable[..., Any] | object


class StillDeciding(AssertionError):
    """The router waits for something that only a running reactor could bring."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a router made of some chunks.

    :param decision: its last word: Forward, Reject, or NEED_DATA if it did not come to one.
    :param sent: what the client was sent up to the decision, the decision's ``reply`` or ``close`` included.
    :param upstream: what the upstream would be sent.
    """

    decision: Forward | Reject | NeedData
    sent: bytes
    upstream: bytes

    def in_effect(self) -> Conversation:
        """The same with what the decision says of the buffer taken as done: equal for all splits that act alike."""
        decision = self.decision
        if isinstance(decision, Forward):
            decision = replace(decision, data=None, reply=b"")
        return replace(self, decision=decision)


def decide(router: AnyRouter, *chunks: bytes, client: Client = CLIENT) -> Forward | Reject | NeedData:
    """What ``router`` decides on a client that sends ``chunks``.

    :param router: as on the command line, or a module, an object with the functions, or a ``proxy`` function.
    :raises DecisionFailed: as the running proxy would log it.
    :raises StillDeciding: if it waits for a Deferred that does not fire; :func:`decide_later` can wait for it.
    """
    return converse(router, *chunks, client=client).decision


def converse(router: AnyRouter, *chunks: bytes, client: Client = CLIENT) -> Conversation:
    """As :func:`decide`, with all that was said."""
    results: list[Any] = []
    converse_later(router, *chunks, client=client).addBoth(results.append)
    if not results:
        raise StillDeciding("the router awaits something; test it with decide_later and a reactor")
    if isinstance(results[0], Failure):
        results[0].raiseException()
    conversation: Conversation = results[0]
    return conversation


def decide_later(router: AnyRouter, *chunks: bytes, client: Client = CLIENT) -> Deferred[Forward | Reject | NeedData]:
    """As :func:`decide`, for a router that waits."""
    return converse_later(router, *chunks, client=client).addCallback(lambda conversation: conversation.decision)


def converse_later(router: AnyRouter, *chunks: bytes, client: Client = CLIENT) -> Deferred[Conversation]:
    """As :func:`converse`, for a router that waits."""
    return ensureDeferred(_converse(as_decider(router), chunks, client))


def every_split(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """Ways in which ``data`` may arrive: all there are up to 10 bytes; beyond, whole, cut in two at every place,
    and byte by byte.

    A router that keeps nothing from one call to the next sees every prefix of the data this way, so that one which
    acts alike for these acts alike for all others.
    """
    if len(data) <= _ALL_WAYS:
        places = range(1, len(data))
        for count in range(len(data) or 1):
            for cuts in itertools.combinations(places, count):
                edges = (0, *cuts, len(data))
                yield tuple(data[start:end] for start, end in itertools.pairwise(edges))
        return
    yield (data,)
    for place in range(1, len(data)):
        yield data[:place], data[place:]
    yield tuple(data[place : place + 1] for place in range(len(data)))


def as_decider(router: AnyRouter) -> RouterDecider:
    """The decider that asks ``router``."""
    if isinstance(router, RouterDecider):
        return router
    if isinstance(router, str):
        router = load(router)
    elif not isinstance(router, Router):
        name = getattr(router, "__name__", type(router).__name__)
        code = getattr(router, "__code__", None)
        filename = code.co_filename if code is not None else getattr(router, "__file__", name)
        router = from_object(router, name, filename)
    return RouterDecider(router, time.perf_counter, Logger("proxymux"))


async def _converse(decider: RouterDecider, chunks: tuple[bytes, ...], client: Client) -> Conversation:
    asked = _Asked(decider, replace(client, state=Notes(client.state)))
    connecting = _Connecting()
    connection = MemoryConnection(client.address, client.local)
    runner = SessionRunner(1, _context(asked, connecting), lambda _: None)
    connecting.client = connection
    runner.opening(connection)
    runner.attach(connection)
    await asked.until_decided()
    for chunk in chunks:
        if chunk:
            connection.receive(chunk)
            await asked.until_decided()
    ending = runner.ending
    if ending is not None and ending.outcome is not Outcome.REJECTED:
        raise DecisionFailed(f"{decider.place}: {ending.reason}")
    decision = asked.decision if isinstance(asked.decision, (Forward, Reject)) else NEED_DATA
    sent = connection.sent if connecting.sent_before is None else connecting.sent_before
    return Conversation(decision, sent, connecting.upstream.sent)


@implementer(ILogObserver)
def _silent(event: LogEvent) -> None:
    """What a session logs is told by exceptions here."""


def _context(decider: _Asked, connecting: _Connecting) -> Context:
    """What a router runs in here: the session of a running proxy, on a clock that stands still."""
    clock, log = Clock(), Logger("proxymux.testing", observer=_silent)
    timers = Timers(clock, log)
    return Context(
        service="router",
        clock=clock,
        timers=timers,
        wall=clock.seconds,
        decider=decider,
        connector=connecting,
        join=functools.partial(join_connections, timers),
        admission=Admission(),
        settings=Settings(),
        events=Events(lambda *_: None, lambda *_: None),
        log=log,
    )


@implementer(IDecider)
class _Asked:
    """Asks a decider for a session, and remembers what it answered.

    :param client: whom the decider is told of, in the place of the session's own.
    """

    undecided_reply = None

    def __init__(self, decider: RouterDecider, client: Client) -> None:
        self.name, self.place, self.greets = decider.name, decider.place, decider.greets
        self.decision: Decision = NEED_DATA
        self._decider = decider
        self._client = client
        self._pending: Deferred[Decision] | None = None
        self._failure: DecisionFailed | None = None

    async def until_decided(self) -> None:
        """Wait for the decision that is pending, if one is.

        :raises DecisionFailed: if the decider failed.
        """
        while self._pending is not None:
            await self._pending
        if self._failure is not None:
            raise self._failure

    def accepted(self, client: Client) -> Decision | Deferred[Decision]:
        return self._note(lambda: self._decider.accepted(self._client))

    def decide(self, data: bytes, client: Client) -> Decision | Deferred[Decision]:
        return self._note(lambda: self._decider.decide(data, self._client))

    def connect_error(self, remote: str, client: Client) -> bytes:
        """Every target is there."""
        return b""

    inactivity_error = connect_error

    def _note(self, ask: Callable[[], Decision | Deferred[Decision]]) -> Decision | Deferred[Decision]:
        try:
            result = ask()
        except DecisionFailed as error:
            self._failure = error
            raise
        if isinstance(result, Deferred):
            self._pending = result  # before it may turn out to have fired
            result.addBoth(self._decided_later)
        else:
            self.decision = result
        return result

    def _decided_later(self, result: Decision | Failure) -> Decision | Failure:
        self._pending = None
        if isinstance(result, Failure):
            assert isinstance(result.value, DecisionFailed)
            self._failure = result.value
        else:
            self.decision = result
        return result


class _Connecting:
    """Provides an upstream in memory, which is there at once."""

    client: MemoryConnection

    def __init__(self) -> None:
        self.upstream = MemoryConnection()
        #: What the client had been sent at the decision; None if there was none to connect.
        self.sent_before: bytes | None = None
        self._listener: ConnectListener | None = None

    def connect(self, forward: Forward, client: Client, listener: ConnectListener) -> _Connecting:
        self._listener = listener
        return self

    def start(self) -> None:
        self.sent_before = self.client.sent
        assert self._listener is not None
        self._listener.connected(self.upstream)

    def cancel(self) -> None:
        """It was there at once."""

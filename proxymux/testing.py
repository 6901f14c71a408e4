"""Testing a router without a network.

The router is called by the same code as in a running proxy, with connections in memory, so that a test shows what the
running proxy does::

    from proxymux import Forward
    from proxymux.testing import decide, every_split, forward_of, reject_of

    def test_routes_by_name() -> None:
        assert forward_of(decide("router.py", b"alice ", b"hello")).remote == "10.0.0.1:80"
        assert reject_of(decide("router.py", b"mallory ")).last_word == b"who?"

    def test_does_not_depend_on_segments() -> None:
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
from typing import Any, Final, TypeVar, overload

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.admission import Admission
from proxymux.core.codecs import Codec
from proxymux.core.decision import (
    NEED_DATA,
    Decision,
    Forward,
    NeedData,
    Reject,
    Reply,
    Terminate,
    from_result,
    in_words,
)
from proxymux.core.events import Events
from proxymux.core.excerpt import excerpt
from proxymux.core.identity import Client, Notes
from proxymux.core.member import Member
from proxymux.core.outcome import Outcome
from proxymux.coroutines import OwnLoop, RunCoroutine, run
from proxymux.errors import BadResult, DecisionFailed
from proxymux.hooks.calling import SLOW
from proxymux.hooks.interruption import interrupting, is_interrupted
from proxymux.interfaces import IDecider
from proxymux.net.connecting import ConnectListener
from proxymux.net.connection import Connection
from proxymux.net.lingering import Lingering
from proxymux.net.memory import MemoryConnection
from proxymux.net.reactor.relay import join_connections
from proxymux.net.timers import Timers
from proxymux.pool.loading import load_codec
from proxymux.pool.request_router import RequestRouter
from proxymux.pool.route_trial import Decided, as_request_router, decide_all
from proxymux.router.loading import Router, from_object, load
from proxymux.router.router_decider import RouterDecider
from proxymux.session.context import Context
from proxymux.session.runner import SessionRunner
from proxymux.settings import Settings

#: The client that routers are given, if a test does not name another.
CLIENT: Final = Client(("192.0.2.1", 50000), ("192.0.2.2", 5432))
#: The most seconds that :func:`decide` waits for a router.
TIMEOUT: Final = 5.0
#: Seconds after which a call is interrupted where slow ones are looked for; at the latest after twice as many.
STUCK: Final = 2 * SLOW
#: The most bytes for which :func:`every_split` yields every possible split.
_MAX_EXHAUSTIVE: Final = 10

#: The settings of the tested sessions, all at their defaults.
_SETTINGS: Final = Settings()

_D = TypeVar("_D", Forward, Reject, Reply)
_T = TypeVar("_T")
AnyRouter = str | ModuleType | Router | Callable[..., Any] | object


class StillDeciding(AssertionError):
    """The router waits for what only a running reactor could bring about, or for too long."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The decision of a router on the chunks of a client, and the bytes that were sent because of it.

    :param decision: the final decision: Forward, Reject, Terminate if nothing came after it, or NEED_DATA.
    :param sent: the bytes that the client was sent up to the decision, its ``reply`` or ``close`` included.
    :param upstream: the bytes that the upstream was sent.
    """

    decision: Forward | Reject | Terminate | NeedData
    sent: bytes
    upstream: bytes

    def in_effect(self) -> Conversation:
        """Return the conversation without the ``data`` and ``reply`` of a Forward.

        Their effect is in ``upstream`` and ``sent``.  The results for two splits are equal if neither the client nor
        the upstream can tell them apart.
        """
        decision = self.decision
        if isinstance(decision, Forward):
            decision = replace(decision, data=None, reply=b"")
        return replace(self, decision=decision)


@overload
def decide(
    router: AnyRouter, *chunks: bytes, client: Client = ..., timeout: float = ..., codec: None = ...
) -> Forward | Reject | Terminate | NeedData: ...
@overload
def decide(router: AnyRouter, *chunks: bytes, client: Client = ..., timeout: float = ..., codec: str) -> Any: ...
def decide(
    router: AnyRouter, *chunks: bytes, client: Client = CLIENT, timeout: float = TIMEOUT, codec: str | None = None
) -> Any:
    """Return what ``router`` decides about a client that sends ``chunks``.

    An async router may await what asyncio has: it is run in a loop of its own, unless this is called in one.

    With ``codec`` it is a pool's router, with ``route(request)``, and what is returned is its decision about the last
    whole request: a Forward, also where the function returns a text; a Reject; a Reply; None, which is the first
    ``--target``.  If it is asked about each key of the request, and they go to different places, it is a tuple of the
    decisions.  NEED_DATA says that no request is whole.

    :param router: a name as on the command line, or a module, an object with the functions, or a ``proxy`` function.
    :param chunks: what the router is given one after the other, as if each had come in a segment of its own.
    :param timeout: the most seconds that it may wait.
    :param codec: as ``--codec`` of a pool has it.
    :raises DecisionFailed: with the message that the running proxy would log.
    :raises StillDeciding: if the router waits for a Deferred that does not fire, or for longer than ``timeout``; use
        :func:`decide_later` then.
    """
    if codec is not None:
        found = decide_each(router, *chunks, codec=codec, client=client, timeout=timeout)
        return found[-1] if found else NEED_DATA
    return converse(router, *chunks, client=client, timeout=timeout).decision


def converse(router: AnyRouter, *chunks: bytes, client: Client = CLIENT, timeout: float = TIMEOUT) -> Conversation:
    """As :func:`decide`, and return the bytes that were sent, too."""
    return _run(timeout, lambda run: converse_later(as_decider(router, run), *chunks, client=client))


def _run(timeout: float, begin: Callable[[RunCoroutine], Deferred[_T]]) -> _T:
    """Return what a Deferred fires with, in a loop that nobody else runs.

    :param begin: is given what runs coroutines in that loop.
    """
    results: list[Any] = []
    loop = OwnLoop(timeout)
    try:
        begin(loop.run).addBoth(results.append)
        if not results:
            raise StillDeciding(
                f"the router awaits something that does not happen without a reactor, or takes more than {timeout:g} s;"
                " test it with decide_later and a reactor, or with another timeout"
            )
    finally:
        loop.close()
    if isinstance(results[0], Failure):
        results[0].raiseException()
    result: _T = results[0]
    return result


def decide_each(
    router: AnyRouter, *chunks: bytes, codec: str, client: Client = CLIENT, timeout: float = TIMEOUT
) -> list[Any]:
    """As :func:`decide` with ``codec``, and return the decisions about all whole requests, in their order."""
    found_codec = load_codec(codec)
    found = _run(
        timeout, lambda run: _decide_all(as_request_router(router, found_codec, run), found_codec, chunks, client)
    )
    decisions = [[each.route for each in one] for one in found]
    return [routes[0] if all(route == routes[0] for route in routes) else tuple(routes) for routes in decisions]


def _decide_all(
    router: RequestRouter, codec: Codec, chunks: tuple[bytes, ...], client: Client
) -> Deferred[list[list[Decided]]]:
    """Have ``router`` decide about requests of a client whose notes are its own."""
    return ensureDeferred(decide_all(router, codec, chunks, replace(client, state=Notes(client.state))))


def slow_calls(
    router: AnyRouter, *chunks: bytes, client: Client = CLIENT, timeout: float = TIMEOUT, codec: str | None = None
) -> int:
    """How many calls of the functions of ``router`` block for longer than 50 ms, of which a service warns.

    A call that does not come back is interrupted; so this is for the main thread.  What the router
    decides, or that it fails, makes no difference.  The parameters are those of :func:`decide`.
    """
    asked: list[RouterDecider | RequestRouter] = []

    def begin(run: RunCoroutine) -> Deferred[Any]:
        if codec is None:
            decider = as_decider(router, run)
            asked.append(decider)
            return converse_later(decider, *chunks, client=client)
        found_codec = load_codec(codec)
        request_router = as_request_router(router, found_codec, run)
        asked.append(request_router)
        return _decide_all(request_router, found_codec, chunks, client)

    with interrupting(STUCK):
        try:
            _run(timeout, begin)
        except DecisionFailed as error:
            return max(asked[0].slow, is_interrupted(error))
    return asked[0].slow


def forward_of(found: object) -> Forward:
    """The Forward that a router has decided on: an assertion, after which a type checker knows the type.

    :param found: a decision, a :class:`Conversation`, or what a router's function has returned.
    :raises AssertionError: if it is something else; the text says what.
    """
    return _of_kind(found, Forward)


def reject_of(found: object) -> Reject:
    """As :func:`forward_of`, where the client is to be closed."""
    return _of_kind(found, Reject)


def reply_of(found: object) -> Reply:
    """As :func:`forward_of`, where the router's function has returned a step of a negotiation.

    :func:`decide` takes every step and never returns one; what the client was sent is in :attr:`Conversation.sent`.
    """
    return _of_kind(found, Reply)


def _of_kind(found: object, kind: type[_D]) -> _D:
    decision = found.decision if isinstance(found, Conversation) else found
    try:
        decision = from_result(decision)
    except BadResult as error:
        raise AssertionError(f"not a {kind.__name__}: the router {error}") from None
    if not isinstance(decision, kind):
        raise AssertionError(f"not a {kind.__name__}: the router {in_words(decision)}: {excerpt(decision, 200)}")
    return decision


def decide_later(
    router: AnyRouter, *chunks: bytes, client: Client = CLIENT
) -> Deferred[Forward | Reject | Terminate | NeedData]:
    """As :func:`decide`, for a router that waits for Deferreds; needs a running reactor."""
    return converse_later(router, *chunks, client=client).addCallback(lambda conversation: conversation.decision)


def converse_later(router: AnyRouter, *chunks: bytes, client: Client = CLIENT) -> Deferred[Conversation]:
    """As :func:`converse`, for a router that waits for Deferreds; needs a running reactor."""
    return ensureDeferred(_converse(as_decider(router), chunks, client))


def every_split(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """Yield the ways in which ``data`` may arrive, each as a tuple of chunks.

    Up to 10 bytes these are all ways; for more bytes: whole, cut in two at every place, and byte by byte.  These give
    a router every prefix of the data; so if it keeps nothing from one call to the next and has the same result for all
    of them, it has that for every other split, too.
    """
    if len(data) <= _MAX_EXHAUSTIVE:
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


def as_decider(router: AnyRouter, run_coroutine: RunCoroutine = run) -> RouterDecider:
    """Return the decider that calls ``router``, which is given as for :func:`decide`.

    :param run_coroutine: runs what the router's functions return to be awaited.
    """
    if isinstance(router, RouterDecider):
        return router
    if isinstance(router, str):
        router = load(router)
    elif not isinstance(router, Router):
        name = getattr(router, "__name__", type(router).__name__)
        code = getattr(router, "__code__", None)
        filename = code.co_filename if code is not None else getattr(router, "__file__", name)
        router = from_object(router, name, filename)
    return RouterDecider(router, time.perf_counter, Logger("proxymux"), run_coroutine=run_coroutine)


async def _converse(decider: RouterDecider, chunks: tuple[bytes, ...], client: Client) -> Conversation:
    recording = _RecordingDecider(decider, replace(client, state=Notes(client.state)))
    connector = _MemoryConnector()
    connection = MemoryConnection(client.address, client.local)
    runner = SessionRunner(1, _context(recording, connector), lambda _: None)
    connector.client = connection
    runner.opening(connection)
    runner.attach(connection)
    await recording.until_decided()
    for chunk in chunks:
        if chunk:
            connection.receive(chunk)
            await recording.until_decided()
    ending = runner.ending
    if ending is not None and ending.outcome is not Outcome.REJECTED:
        fault = f"{decider.decided_at}: {ending.outcome.value}"
        raise DecisionFailed(f"{decider.place}: {ending.reason}", fault=fault)
    decision = recording.decision if isinstance(recording.decision, (Forward, Reject, Terminate)) else NEED_DATA
    sent = connection.sent if connector.sent_before is None else connector.sent_before
    return Conversation(decision, sent, connector.upstream.sent)


@implementer(ILogObserver)
def _drop(event: LogEvent) -> None:
    """Drop what a session logs: the functions of this module raise it."""


def _context(decider: _RecordingDecider, connector: _MemoryConnector) -> Context:
    """Make a context for the session of a running proxy, with a clock that stands still and no network."""
    clock, log = Clock(), Logger("proxymux.testing", observer=_drop)
    timers = Timers(clock, log)
    return Context(
        service="router",
        clock=clock,
        timers=timers,
        lingering=Lingering(timers),
        wall=clock.seconds,
        decider=decider,
        connector=connector,
        join=functools.partial(join_connections, timers),
        admission=Admission(),
        certificates=_MemoryTlsSource(),
        settings=_SETTINGS,
        events=Events(lambda *_: None, lambda *_: None),
        log=log,
    )


class _MemoryTlsSource:
    """TLS that is not there: a router that ends TLS is given the chunks that follow as the decrypted bytes."""

    def tls_at(self, path: str) -> _MemoryTlsSource:
        return self

    def start(self, connection: Connection, received: bytes) -> None:
        connection.owner.secured()


@implementer(IDecider)
class _RecordingDecider:
    """Passes a session's questions on to a decider, and records its latest decision or failure.

    :param client: the client that the decider is given, in place of the one that the session has made.
    """

    undecided_reply = None
    hears_failures = False

    def __init__(self, decider: RouterDecider, client: Client) -> None:
        self.name, self.place, self.greets = decider.name, decider.place, decider.greets
        self.decided_at = decider.place
        self.decision: Decision = NEED_DATA
        self._decider = decider
        self._client = client
        self._pending: Deferred[Decision] | None = None
        self._failure: DecisionFailed | None = None

    async def until_decided(self) -> None:
        """Wait until no decision is pending.

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
        """Never called: connecting never fails here."""
        return b""

    inactivity_error = connect_error

    def _note(self, ask: Callable[[], Decision | Deferred[Decision]]) -> Decision | Deferred[Decision]:
        try:
            result = ask()
        except DecisionFailed as error:
            self._failure = error
            raise
        if isinstance(result, Deferred):
            self._pending = result  # set first: addBoth calls _decided_later at once if the Deferred has fired
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


class _MemoryConnector:
    """Connects the client at once to an upstream in memory; both the source of upstreams and the one request."""

    client: MemoryConnection
    member: Member | None = None

    def __init__(self) -> None:
        self.upstream = MemoryConnection()
        #: The bytes that the client had been sent at the decision to connect; None before such a decision.
        self.sent_before: bytes | None = None
        self._listener: ConnectListener | None = None

    def connect(self, forward: Forward, client: Client, listener: ConnectListener) -> _MemoryConnector:
        self._listener = listener
        return self

    def start(self) -> None:
        self.sent_before = self.client.sent
        assert self._listener is not None
        self._listener.connected(self.upstream)

    def cancel(self) -> None:
        """Do nothing: :meth:`start` has connected already."""

    def heard(self, data: bytes, is_finished: bool) -> None:
        """Do nothing, likewise."""

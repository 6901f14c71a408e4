"""Faults: what breaks off at every moment of a connection's life, and bulk that something happens to."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import pytest
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from proxymux import Forward, Reject
from proxymux.core.outcome import Record
from tests.conftest import open_sockets
from tests.services.fixtures import RELAYS, Asked, Callback, Join, Running, Start
from tests.services.peers import MEGABYTE, Net, Peer, Upstream, in_reactor, noise, settle, together, turns, until

DAY: Final = 86400.0
#: Bytes after which a flow is bulk to any relay.
BULK: Final = 8 * MEGABYTE
#: More than two kernels and a proxy take for a peer that does not read.
OFFERED: Final = 64 * MEGABYTE
DRAIN: Final = 10.0


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sockets() -> set[str]:
    """The sockets of this process.  Pipes do not count: a relay may keep them for the next."""
    return {name for name in open_sockets() if name.startswith("socket")}


async def as_time_passes(clock: Clock, waiting: Coroutine[Any, Any, Any]) -> Any:
    """The result of ``waiting``, for which the proxy may need its timers."""
    running = ensureDeferred(waiting)
    while not running.called:
        await turns(3)
        clock.advance(0.05)
    return await running


class Voice:
    """Says on a connection what it is given, in this order, while the test goes on; until nobody takes it any more."""

    def __init__(self, peer: Peer) -> None:
        self.said = b""
        self.done: Deferred[None] = succeed(None)
        self._peer = peer

    def say(self, data: bytes) -> None:
        """Say ``data``.  What the system takes at once is gone when this returns, if all before it is."""
        self.said += data
        self._then(lambda: self._peer.send(data))

    def finish(self) -> None:
        """Send FIN when all is said."""

        async def finish() -> None:
            self._peer.finish()

        self._then(finish)

    def _then(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def go_on(before: Deferred[None]) -> None:
            await before
            await act()

        self.done = ensureDeferred(go_on(self.done))
        self.done.addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        failure.trap(OSError)


# A reset at every moment


class Scene:
    """A client on its way through the proxy, and what is still to be heard of what was said."""

    proxy: Running
    client: Peer
    upstream: Peer

    def __init__(self, start: Start, net: Net, **settings: Any) -> None:
        self.target: Upstream = net.upstream()
        #: Where connecting fails: nobody listens there.
        self.refusing: Upstream = net.upstream(listens=False)
        self.failed = Callback(b"sorry")
        self.unheard = {"client": b"", "upstream": b""}
        self.voices: list[Voice] = []
        self.is_draining = False
        self.drained: list[None] = []
        self._start = start
        self._settings = settings

    def peer(self, who: str) -> Peer:
        peer: Peer = getattr(self, who)
        return peer

    async def arrive(self, rule: Callable[[bytes], Any] | None = None) -> None:
        """The client has connected, and the proxy has had no time to notice."""
        forward = Forward(self.target.remote)
        self.proxy = self._start(
            rule or (lambda data: forward),
            connect_error=self.failed,
            inactivity_error=self.failed,
            **self._settings,
        )
        await settle()
        self.before = sockets()
        self.client = await self.proxy.connect()

    async def ask(self, rule: Callable[[bytes], Any] | None = None) -> None:
        """The client has said something, and the proxy has done about it what it can."""
        await self.arrive(rule)
        self.say("client", b"hello")
        await settle()

    async def join(self) -> None:
        await self.ask()
        self.upstream = await self.target.accept()
        assert await self.upstream.receive(5) == b"hello"
        self.unheard["client"] = b""

    async def talk(self) -> None:
        """Bytes have gone both ways."""
        await self.join()
        await self.upstream.send(b"welcome")
        assert await self.client.receive(7) == b"welcome"

    def say(self, who: str, data: bytes) -> None:
        """What is taken at once is gone when this returns; the rest follows as it is taken."""
        self.voices.append(Voice(self.peer(who)))
        self.voices[-1].say(data)
        self.unheard[who] += data

    def other_than(self, who: str) -> Peer:
        return self.upstream if who == "client" else self.client

    def drain(self) -> None:
        self.is_draining = True
        self.proxy.service.drain(DRAIN).addCallback(self.drained.append)

    async def end(self) -> Record:
        """The one record, when nothing is left."""
        clock = self.proxy.clock
        record: Record = await as_time_passes(clock, self.proxy.record())
        self.client.close()
        if hasattr(self, "upstream"):
            self.upstream.close()
        for voice in self.voices:
            await voice.done
        await as_time_passes(clock, until(lambda: sockets() <= self.before, "the proxy to close its sockets"))
        assert self.proxy.is_free_of_sessions()
        assert len(self.proxy.records) == 1
        assert self.proxy.errors == []
        return record


Moment = Callable[[Scene], Awaitable[None]]


async def before_it_is_accepted(scene: Scene) -> None:
    await scene.arrive()


async def before_it_is_accepted_with_bytes(scene: Scene) -> None:
    await scene.arrive(lambda data: None)
    await scene.client.send(b"hello")


async def before_any_byte(scene: Scene) -> None:
    await scene.arrive()
    await settle()


async def undecided(scene: Scene) -> None:
    await scene.ask(lambda data: None)


async def undecided_while_draining(scene: Scene) -> None:
    await undecided(scene)
    scene.drain()
    await settle()


async def deciding(scene: Scene) -> None:
    await scene.ask(lambda data: Deferred())


async def in_the_turn_of_the_decision(scene: Scene) -> None:
    decision: Deferred[Forward] = Deferred()
    await scene.ask(lambda data: decision)
    decision.callback(Forward(scene.target.remote))


async def between_two_attempts(scene: Scene) -> None:
    await scene.ask(lambda data: Forward(scene.refusing.remote))
    await scene.proxy.has_failed(1)


async def in_the_turn_of_an_attempt(scene: Scene) -> None:
    await between_two_attempts(scene)
    scene.proxy.clock.advance(0.1)


async def rejected(scene: Scene) -> None:
    await scene.ask(lambda data: Reject(b"last word"))


async def connected_and_unread(scene: Scene) -> None:
    await scene.ask()
    scene.upstream = await scene.target.accept()


async def connected_and_half_read(scene: Scene) -> None:
    await connected_and_unread(scene)
    assert await scene.upstream.receive(2) == b"he"
    scene.unheard["client"] = b"llo"


async def connected_and_read(scene: Scene) -> None:
    await scene.join()


async def joined(scene: Scene) -> None:
    await scene.talk()


async def joined_for_long(scene: Scene) -> None:
    await scene.talk()
    scene.proxy.clock.advance(DAY)
    await settle()


async def joined_while_draining(scene: Scene) -> None:
    await scene.talk()
    scene.drain()
    await settle()


async def flow(scene: Scene, source: str, sink: str) -> None:
    """Much has gone this way; more is on its way, some of it not even read by the proxy."""
    await scene.talk()
    data = noise(BULK + MEGABYTE)
    await together(scene.peer(source).send(data[:BULK]), scene.peer(sink).receive(BULK))
    scene.say(source, data[BULK : BULK + MEGABYTE // 2])
    await turns(2)
    scene.say(source, data[BULK + MEGABYTE // 2 :])


async def client_is_sending(scene: Scene) -> None:
    await flow(scene, "client", "upstream")


async def upstream_is_sending(scene: Scene) -> None:
    await flow(scene, "upstream", "client")


async def both_are_sending(scene: Scene) -> None:
    await scene.talk()
    data = noise(BULK)
    client, upstream = scene.client, scene.upstream
    await together(client.send(data), upstream.receive(BULK), upstream.send(data), client.receive(BULK))
    for who in ("client", "upstream"):
        scene.say(who, noise(MEGABYTE, who))


async def stall(scene: Scene, source: str, sink: str) -> None:
    """Much has gone this way; then the other side has stopped to read, and all between is full."""
    await scene.talk()
    data = noise(OFFERED)
    await together(scene.peer(source).send(data[:BULK]), scene.peer(sink).receive(BULK))
    taken = await scene.peer(source).send_until_stalled(data[BULK:])
    assert BULK + taken < OFFERED
    scene.unheard[source] = data[BULK : BULK + taken]


async def upstream_does_not_read(scene: Scene) -> None:
    await stall(scene, "client", "upstream")


async def client_does_not_read(scene: Scene) -> None:
    await stall(scene, "upstream", "client")


async def client_does_not_read_and_upstream_has_finished(scene: Scene) -> None:
    await stall(scene, "upstream", "client")
    scene.upstream.finish()
    await settle()


async def upstream_does_not_read_and_client_has_finished(scene: Scene) -> None:
    await stall(scene, "client", "upstream")
    scene.client.finish()
    await settle()


async def nobody_reads(scene: Scene) -> None:
    await scene.talk()
    for who in ("client", "upstream"):
        taken = await scene.peer(who).send_until_stalled(noise(OFFERED))
        scene.unheard[who] = noise(OFFERED)[:taken]


async def client_does_not_read_while_draining(scene: Scene) -> None:
    await client_does_not_read(scene)
    scene.drain()
    await settle()


async def cut_by_the_drain_and_not_reading(scene: Scene) -> None:
    await client_does_not_read_while_draining(scene)
    scene.proxy.clock.advance(DRAIN)
    await settle()


async def client_has_finished(scene: Scene) -> None:
    await scene.talk()
    scene.client.finish()
    assert await scene.upstream.read_all() == b""


async def client_has_finished_before_any_answer(scene: Scene) -> None:
    await scene.join()
    scene.client.finish()
    assert await scene.upstream.read_all() == b""


async def upstream_has_finished(scene: Scene) -> None:
    await scene.talk()
    scene.upstream.finish()
    assert await scene.client.read_all() == b""


async def client_has_finished_and_upstream_is_sending(scene: Scene) -> None:
    await upstream_is_sending(scene)
    scene.client.finish()
    assert await scene.upstream.read_all() == b""
    scene.say("upstream", noise(MEGABYTE))


async def upstream_has_finished_and_client_is_sending(scene: Scene) -> None:
    await client_is_sending(scene)
    scene.upstream.finish()
    assert await scene.client.read_all() == b""
    scene.say("client", noise(MEGABYTE))


async def client_finishes_in_that_turn(scene: Scene) -> None:
    await scene.talk()
    scene.client.finish()


async def upstream_finishes_in_that_turn(scene: Scene) -> None:
    await scene.talk()
    scene.upstream.finish()


async def both_finish_in_that_turn(scene: Scene) -> None:
    await scene.talk()
    scene.client.finish()
    scene.upstream.finish()


async def both_have_finished(scene: Scene) -> None:
    await both_finish_in_that_turn(scene)
    assert await together(scene.client.read_all(), scene.upstream.read_all()) == [b"", b""]


async def hears_a_reset(scene: Scene, resetter: str) -> None:
    assert scene.unheard[resetter].startswith(await scene.other_than(resetter).read_until_reset())


async def finds_it_gone(scene: Scene, resetter: str) -> None:
    """To one that has had a FIN, the system tells of a reset only when it sends."""
    await scene.other_than(resetter).send_until_broken()


async def hears_sorry(scene: Scene, resetter: str) -> None:
    assert await scene.other_than(resetter).read_all() == b"sorry"


async def hears_an_end(scene: Scene, resetter: str) -> None:
    """One or the other, it is a matter of opinion; but no end in good order that cuts off what was said."""
    try:
        assert await scene.other_than(resetter).read_all() == scene.unheard[resetter]
    except ConnectionResetError:
        pass


async def was_never_connected(scene: Scene, _: str) -> None:
    scene.refusing.listen()
    scene.proxy.clock.advance(1)
    for target in (scene.target, scene.refusing):
        assert await target.is_left_alone()


async def hears_a_reset_if_it_was_connected(scene: Scene, resetter: str) -> None:
    connection = scene.target._accept_now()
    if connection is not None:
        scene.upstream = Peer(connection)
        await hears_a_reset(scene, resetter)


@dataclass(frozen=True)
class Reset:
    """Who resets when, how that may end, and what the other side notices."""

    who: str
    when: Moment
    outcomes: str
    notices: Callable[[Scene, str], Coroutine[Any, Any, None]]

    def __str__(self) -> str:
        return f"{self.who}-{self.when.__name__}"


RESETS: Final = [
    Reset("client", before_it_is_accepted, "undecided", was_never_connected),
    Reset("client", before_it_is_accepted_with_bytes, "undecided", was_never_connected),
    Reset("client", before_any_byte, "undecided", was_never_connected),
    Reset("client", undecided, "undecided", was_never_connected),
    Reset("client", undecided_while_draining, "undecided", was_never_connected),
    Reset("client", deciding, "undecided", was_never_connected),
    Reset("client", in_the_turn_of_the_decision, "client_aborted", hears_a_reset_if_it_was_connected),
    Reset("client", between_two_attempts, "client_aborted", was_never_connected),
    Reset("client", in_the_turn_of_an_attempt, "client_aborted", was_never_connected),
    Reset("client", rejected, "rejected", was_never_connected),
    Reset("client", connected_and_unread, "client_aborted", hears_a_reset),
    Reset("client", connected_and_half_read, "client_aborted", hears_a_reset),
    Reset("client", joined_for_long, "client_aborted", hears_a_reset),
    Reset("client", joined_while_draining, "client_aborted", hears_a_reset),
    Reset("client", client_is_sending, "client_aborted", hears_a_reset),
    Reset("client", upstream_is_sending, "client_aborted", hears_a_reset),
    Reset("client", both_are_sending, "client_aborted", hears_a_reset),
    Reset("client", upstream_does_not_read, "client_aborted", hears_a_reset),
    Reset("client", upstream_does_not_read_and_client_has_finished, "client_aborted", hears_a_reset),
    Reset("client", client_does_not_read, "client_aborted", hears_a_reset),
    Reset("client", client_does_not_read_and_upstream_has_finished, "client_aborted", hears_a_reset),
    Reset("client", client_does_not_read_while_draining, "client_aborted", hears_a_reset),
    Reset("client", cut_by_the_drain_and_not_reading, "drained", hears_an_end),
    Reset("client", nobody_reads, "client_aborted", hears_a_reset),
    Reset("client", client_has_finished, "client_aborted", finds_it_gone),
    Reset("client", client_has_finished_before_any_answer, "client_aborted", finds_it_gone),
    Reset("client", client_has_finished_and_upstream_is_sending, "client_aborted", finds_it_gone),
    Reset("client", upstream_has_finished, "client_aborted completed", hears_a_reset),
    Reset("client", upstream_has_finished_and_client_is_sending, "client_aborted completed", hears_a_reset),
    Reset("client", client_finishes_in_that_turn, "client_aborted", finds_it_gone),
    Reset("client", upstream_finishes_in_that_turn, "client_aborted completed", hears_a_reset),
    Reset("client", both_finish_in_that_turn, "client_aborted completed", hears_an_end),
    Reset("client", both_have_finished, "completed", hears_an_end),
    Reset("upstream", connected_and_unread, "upstream_aborted", hears_sorry),
    Reset("upstream", connected_and_half_read, "upstream_aborted", hears_sorry),
    Reset("upstream", connected_and_read, "upstream_aborted", hears_sorry),
    Reset("upstream", joined, "upstream_aborted", hears_a_reset),
    Reset("upstream", joined_for_long, "upstream_aborted", hears_a_reset),
    Reset("upstream", joined_while_draining, "upstream_aborted", hears_a_reset),
    Reset("upstream", client_is_sending, "upstream_aborted", hears_a_reset),
    Reset("upstream", upstream_is_sending, "upstream_aborted", hears_a_reset),
    Reset("upstream", both_are_sending, "upstream_aborted", hears_a_reset),
    Reset("upstream", upstream_does_not_read, "upstream_aborted", hears_a_reset),
    Reset("upstream", upstream_does_not_read_and_client_has_finished, "upstream_aborted", hears_a_reset),
    Reset("upstream", client_does_not_read, "upstream_aborted", hears_a_reset),
    Reset("upstream", client_does_not_read_while_draining, "upstream_aborted", hears_a_reset),
    Reset("upstream", nobody_reads, "upstream_aborted", hears_a_reset),
    Reset("upstream", client_has_finished, "upstream_aborted", hears_a_reset),
    Reset("upstream", client_has_finished_and_upstream_is_sending, "upstream_aborted", hears_a_reset),
    Reset("upstream", upstream_has_finished, "upstream_aborted completed", finds_it_gone),
    Reset("upstream", upstream_has_finished_and_client_is_sending, "upstream_aborted completed", finds_it_gone),
    Reset("upstream", client_does_not_read_and_upstream_has_finished, "upstream_aborted completed", hears_an_end),
    Reset("upstream", client_finishes_in_that_turn, "upstream_aborted", hears_a_reset),
    Reset("upstream", upstream_finishes_in_that_turn, "upstream_aborted completed", finds_it_gone),
    Reset("upstream", both_finish_in_that_turn, "upstream_aborted completed", hears_an_end),
    Reset("upstream", both_have_finished, "completed", hears_an_end),
]


@pytest.mark.parametrize("case", RESETS, ids=str)
@in_reactor
async def test_a_reset_ends_it_at_every_moment_and_the_other_notices(start: Start, net: Net, case: Reset) -> None:
    scene = Scene(start, net)
    await case.when(scene)
    scene.peer(case.who).reset()
    if case.who == "client":
        await as_time_passes(scene.proxy.clock, scene.proxy.record())  # whether or not the upstream does anything
    await as_time_passes(scene.proxy.clock, case.notices(scene, case.who))
    record = await scene.end()
    assert record.outcome.value in case.outcomes.split()
    asked = [scene.target.remote] if case.notices is hears_sorry else []
    assert scene.failed.remotes == asked
    assert bool(scene.drained) == scene.is_draining


@in_reactor
async def test_an_upstream_that_resets_before_the_proxy_can_know_that_it_has_connected(start: Start, net: Net) -> None:
    """No byte was sent: it may be tried again, or be the end of it, but the client is told one or the other."""
    scene = Scene(start, net)
    scene.target = scene.refusing
    await between_two_attempts(scene)
    scene.target.listen()
    scene.proxy.clock.advance(0.1)
    (await scene.target.accept()).reset()
    await settle()
    scene.proxy.clock.advance(0.1)
    if scene.failed.remotes:
        assert await scene.client.read_all() == b"sorry"
        assert (await scene.end()).outcome == "upstream_aborted"
    else:
        scene.upstream = await scene.target.accept()
        assert await scene.upstream.receive(5) == b"hello"
        await scene.upstream.send(b"welcome")
        scene.upstream.finish()
        assert await scene.client.read_all() == b"welcome"
        scene.client.finish()
        assert (await scene.end()).outcome == "completed"


# Both at once

FIN, RST = Peer.finish, Peer.reset


@dataclass(frozen=True)
class Both:
    """What both do before the proxy has its turn, and how that may end.

    :param silent: likewise, where the upstream has not said anything: then its end is a failed connect.
    """

    client: Callable[[Peer], None]
    upstream: Callable[[Peer], None]
    outcomes: str
    silent: str

    def __str__(self) -> str:
        return f"{self.client.__name__}-{self.upstream.__name__}"


BOTH: Final = [
    Both(FIN, FIN, "completed", "completed upstream_aborted"),
    Both(FIN, RST, "upstream_aborted", "upstream_aborted"),
    Both(RST, FIN, "client_aborted completed", "client_aborted upstream_aborted completed"),
    Both(RST, RST, "client_aborted upstream_aborted", "client_aborted upstream_aborted"),
]


@pytest.mark.parametrize("first", ["client", "upstream"])
@pytest.mark.parametrize("last_words", [b"", b"last words", noise(100_000)], ids=len)
@pytest.mark.parametrize("talked", [True, False], ids=["talked", "silent"])
@pytest.mark.parametrize("case", BOTH, ids=str)
@in_reactor
async def test_both_may_end_before_the_proxy_has_its_turn(
    start: Start, net: Net, case: Both, talked: bool, last_words: bytes, first: str
) -> None:
    scene = Scene(start, net)
    await (scene.talk if talked else scene.join)()
    for who in ("client", "upstream") if first == "client" else ("upstream", "client"):
        if last_words:
            scene.say(who, last_words)
        act = case.client if who == "client" else case.upstream
        act(scene.peer(who))
    is_silent = not talked and not last_words
    clock = scene.proxy.clock
    if case.client is FIN:
        if case.upstream is FIN and not is_silent:
            assert await scene.client.read_all() == last_words
        elif case.upstream is RST and not is_silent:
            assert last_words.startswith(await as_time_passes(clock, scene.client.read_until_reset()))
        else:
            assert await scene.client.read_all() in (b"", b"sorry")
    if case.upstream is FIN:
        if case.client is FIN:
            assert await scene.upstream.read_all() == last_words
        elif not is_silent:
            assert last_words.startswith(await as_time_passes(clock, scene.upstream.read_until_reset()))
    record = await scene.end()
    assert record.outcome.value in (case.silent if is_silent else case.outcomes).split()
    if case.client is FIN and case.upstream is FIN and not is_silent:
        assert (record.bytes_in, record.bytes_out) == (5 + len(last_words), 7 * talked + len(last_words))


# Bytes at every moment of the handover

#: The client says a piece at each; at the first there is no decision without more.
MOMENTS: Final = ["undecided", "deciding", "between two attempts", "as it connects", "connected", "joined"]


@pytest.mark.parametrize("first", ["client", "upstream"])
@pytest.mark.parametrize("last", MOMENTS[1:])
@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, MEGABYTE])
@in_reactor
async def test_no_byte_is_lost_or_moved_while_the_relay_takes_over(
    start: Start, net: Net, size: int, last: str, first: str
) -> None:
    """The client says a piece at every moment up to ``last``, and FIN; the upstream speaks ``first`` or answers."""
    target = net.upstream(listens=False)
    decision: Deferred[Forward] = Deferred()
    asked = Asked(lambda data: decision if len(data) > size else None)
    proxy = start(asked, max_buffer=2 * MEGABYTE)
    client = await proxy.connect()
    asks = Voice(client)

    def say_and_end(moment: str) -> None:
        if MOMENTS.index(moment) <= MOMENTS.index(last):
            asks.say(noise(size, f"client {moment}"))
        if moment == last:
            asks.finish()

    say_and_end("undecided")
    await until(lambda: asked.about and len(asked.about[-1]) == size, "all of the first piece")
    say_and_end("deciding")
    await until(lambda: len(asked.about[-1]) > size, "the question that is decided")
    decision.callback(Forward(target.remote))
    await proxy.has_failed(1)
    say_and_end("between two attempts")
    await settle()
    target.listen()
    proxy.clock.advance(0.1)
    say_and_end("as it connects")
    upstream = await target.accept()  # the system has connected it, the proxy has still to notice
    answers = Voice(upstream)
    if first == "upstream":
        answers.say(noise(size, "welcome"))
    say_and_end("connected")
    await turns(1)
    say_and_end("joined")
    if first == "upstream":
        answers.say(noise(size, "more"))
        answers.finish()
        question, answer = await together(upstream.read_all(), client.read_all())
    else:
        question = await upstream.read_all()
        for piece in ("welcome", "more"):
            answers.say(noise(size, piece))
        answers.finish()
        answer = await client.read_all()
    assert digest(question) == digest(asks.said)
    assert digest(answer) == digest(answers.said)
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", len(asks.said), len(answers.said))


# Bulk, and what happens to it


def sides(client: Peer, upstream: Peer, sleeper: str) -> tuple[Peer, Peer]:
    """Who sends, and who is to read it, which is the ``sleeper``."""
    return (upstream, client) if sleeper == "client" else (client, upstream)


async def hear_the_rest(peer: Peer) -> bytes:
    """Everything up to the end, of whatever kind."""
    parts: list[bytes] = []
    try:
        while part := await peer.read_some():
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


async def pair(proxy: Running, target: Upstream) -> tuple[Peer, Peer]:
    """One more client, and its upstream."""
    client = await proxy.connect()
    await client.send(b"hello")
    upstream = await target.accept()
    assert await upstream.receive(5) == b"hello"
    return client, upstream


both_ways = pytest.mark.parametrize("sleeper", ["client", "upstream"])


@in_reactor
async def test_bulk_and_single_bytes_take_turns(join: Join) -> None:
    proxy, client, upstream = await join()
    question, answer = noise(BULK, "question"), noise(BULK, "answer")
    for _ in range(2):
        _, heard = await together(client.send(question), upstream.receive(BULK))
        assert digest(heard) == digest(question)
        for number in range(1000):
            byte = bytes([number % 256])
            await client.send(byte)
            assert await upstream.receive(1) == byte
            await upstream.send(byte)
            assert await client.receive(1) == byte
        _, heard = await together(upstream.send(answer), client.receive(BULK))
        assert digest(heard) == digest(answer)
    client.finish()
    answers = Voice(upstream)
    answers.say(answer)
    answers.finish()
    assert await upstream.read_all() == b""
    assert digest(await client.read_all()) == digest(answer)
    record = await proxy.record()
    assert record.outcome == "completed"
    assert (record.bytes_in, record.bytes_out) == (5 + 2 * (BULK + 1000), 2 * (BULK + 1000) + BULK)


@pytest.mark.parametrize("seed", range(10))
@in_reactor
async def test_messages_of_all_sizes_may_follow_each_other(join: Join, seed: int) -> None:
    chance = random.Random(seed)
    proxy, client, upstream = await join()
    counts = {client: 5, upstream: 0}
    for number in range(60):
        source, sink = chance.choice([(client, upstream), (upstream, client)])
        size = chance.choice((1, 100, 16_383, 16_384, 65_535, 65_536, 65_537, MEGABYTE - 1, MEGABYTE, MEGABYTE + 1))
        message = noise(size, str(number % 3))
        counts[source] += size
        _, heard = await together(source.send(message), sink.receive(size))
        assert digest(heard) == digest(message)
    client.finish()
    upstream.finish()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", counts[client], counts[upstream])


@both_ways
@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 131_072, MEGABYTE - 1, MEGABYTE, MEGABYTE + 1, 4 * MEGABYTE])
@in_reactor
async def test_a_fin_at_once_behind_bulk_of_any_size_cuts_nothing_off(join: Join, size: int, sleeper: str) -> None:
    proxy, client, upstream = await join()
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    source, sink = sides(client, upstream, sleeper)
    voice = Voice(source)
    voice.say(noise(size))
    voice.finish()
    assert digest(await sink.read_all()) == digest(noise(size))
    await sink.send(b"and now")
    sink.finish()
    assert await source.read_all() == b"and now"
    record = await proxy.record()
    counts = {"upstream": (5 + size, 1 + 7), "client": (5 + 7, 1 + size)}
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", *counts[sleeper])


@both_ways
@in_reactor
async def test_bulk_both_ways_survives_that_one_reader_sleeps_until_the_other_has_all(join: Join, sleeper: str) -> None:
    proxy, client, upstream = await join()
    source, sink = sides(client, upstream, sleeper)
    for_sleeper, for_other = noise(OFFERED, "for the sleeper"), noise(OFFERED // 2, "for the other")
    slowed, other = Voice(source), Voice(sink)
    slowed.say(for_sleeper)
    slowed.finish()
    other.say(for_other)
    beginning, heard = await together(sink.receive(BULK), source.receive(len(for_other)))
    assert digest(heard) == digest(for_other)
    assert not slowed.done.called  # all between is full
    proxy.clock.advance(DAY)
    other.finish()
    rest = await sink.read_all()
    assert digest(beginning + rest) == digest(for_sleeper)
    assert await source.read_all() == b""
    record = await proxy.record()
    counts = {slowed: len(for_sleeper), other: len(for_other)}
    asks, answers = (other, slowed) if sleeper == "client" else (slowed, other)
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5 + counts[asks], counts[answers])


@both_ways
@in_reactor
async def test_a_sender_that_finishes_in_mid_bulk_is_heard_by_a_reader_that_wakes_up_late(
    start: Start, net: Net, sleeper: str
) -> None:
    scene = Scene(start, net)
    await (client_does_not_read if sleeper == "client" else upstream_does_not_read)(scene)
    source, sink = sides(scene.client, scene.upstream, sleeper)
    source.finish()
    for number in range(3):
        await settle()
        scene.proxy.clock.advance(DAY)
        message = noise(100, str(number))
        await sink.send(message)
        assert await source.receive(100) == message
    heard = await sink.read_all()
    assert digest(heard) == digest(scene.unheard["upstream" if sleeper == "client" else "client"])
    sink.finish()
    assert await source.read_all() == b""
    assert (await scene.end()).outcome == "completed"


NOT_READ: Final = [client_does_not_read, upstream_does_not_read, nobody_reads]


async def are_told(scene: Scene) -> None:
    """Neither goes on for ever, and neither has heard what was not said."""
    for who in ("client", "upstream"):
        heard = await as_time_passes(scene.proxy.clock, hear_the_rest(scene.other_than(who)))
        assert scene.unheard[who].startswith(heard)
    for who in ("client", "upstream"):
        await as_time_passes(scene.proxy.clock, scene.peer(who).send_until_broken())


@pytest.mark.parametrize("stalled", NOT_READ)
@in_reactor
async def test_bulk_that_is_not_read_becomes_idle(start: Start, net: Net, stalled: Moment) -> None:
    scene = Scene(start, net, idle_timeout=5)
    await stalled(scene)
    scene.proxy.clock.advance(4.8)
    await settle()
    assert scene.proxy.records == []
    scene.proxy.clock.advance(0.3)
    await are_told(scene)
    assert (await scene.end()).outcome == "idle"
    assert scene.failed.remotes == []


@pytest.mark.parametrize("leaves", [Peer.finish, Peer.close, Peer.reset])
@in_reactor
async def test_an_upstream_that_has_left_a_client_that_does_not_read_leaves_an_idle_exchange(
    start: Start, net: Net, leaves: Callable[[Peer], None]
) -> None:
    """The client may still have what was sent before, for as long as it may be idle."""
    scene = Scene(start, net, idle_timeout=5)
    await client_does_not_read(scene)
    leaves(scene.upstream)
    await settle()
    scene.proxy.clock.advance(4.8)
    await settle()
    assert scene.proxy.records == []
    scene.proxy.clock.advance(0.3)
    assert scene.unheard["upstream"].startswith(await as_time_passes(scene.proxy.clock, hear_the_rest(scene.client)))
    await as_time_passes(scene.proxy.clock, scene.client.send_until_broken())
    assert (await scene.end()).outcome == "idle"


@both_ways
@in_reactor
async def test_bulk_that_is_read_now_and_then_is_not_idle_and_its_neighbour_is(
    start: Start, net: Net, sleeper: str
) -> None:
    scene = Scene(start, net, idle_timeout=5)
    await scene.talk()
    neighbour, silent = await pair(scene.proxy, scene.target)
    source, sink = sides(scene.client, scene.upstream, sleeper)
    voice = Voice(source)
    voice.say(noise(OFFERED))
    voice.finish()
    heard = b""
    for _ in range(4):
        heard += await sink.receive(BULK)
        await settle()
        scene.proxy.clock.advance(4)
        await settle()
    assert await together(neighbour.read_all(), silent.read_all()) == [b"", b""]
    neighbour.close()
    silent.close()
    heard += await sink.read_all()
    assert digest(heard) == digest(voice.said)
    sink.finish()
    assert [record.outcome for record in await scene.proxy.ended(2)] == ["idle", "completed"]


@pytest.mark.parametrize("at", [*NOT_READ, client_is_sending, upstream_is_sending, both_are_sending])
@pytest.mark.parametrize("how", ["limit", "abort"])
@in_reactor
async def test_bulk_is_cut_by_the_end_of_a_drain(start: Start, net: Net, at: Moment, how: str) -> None:
    scene = Scene(start, net)
    await at(scene)
    scene.drain()
    if how == "abort":
        scene.proxy.service.abort()
    else:
        await turns(1)
        assert scene.proxy.records == []
        scene.proxy.clock.advance(DRAIN)
    await are_told(scene)
    assert (await scene.end()).outcome == "drained"
    assert scene.drained


@both_ways
@in_reactor
async def test_bulk_goes_on_while_a_drain_waits_for_it(start: Start, net: Net, sleeper: str) -> None:
    scene = Scene(start, net)
    await scene.talk()
    source, sink = sides(scene.client, scene.upstream, sleeper)
    voice = Voice(source)
    voice.say(noise(OFFERED))
    voice.finish()
    heard = await sink.receive(BULK)
    scene.drain()
    await settle()
    scene.proxy.clock.advance(DRAIN - 1)
    heard += await sink.read_all()
    assert digest(heard) == digest(voice.said)
    assert not scene.drained
    sink.finish()
    assert (await scene.end()).outcome == "completed"
    assert scene.drained


@in_reactor
async def test_bulk_from_the_client_does_not_put_off_the_first_byte_timeout(join: Join) -> None:
    inactive = Callback(b"sorry")
    proxy, client, upstream = await join({"inactivity_timeout": 2}, inactivity_error=inactive)
    voice = Voice(client)
    voice.say(noise(OFFERED))
    heard = await upstream.receive(BULK)
    proxy.clock.advance(1.9)
    heard += await upstream.receive(BULK)
    assert proxy.records == []
    assert not client.has_something()
    proxy.clock.advance(0.2)
    assert await client.receive(5) == b"sorry"
    assert noise(OFFERED).startswith(heard + await as_time_passes(proxy.clock, hear_the_rest(upstream)))
    await as_time_passes(proxy.clock, hear_the_rest(client))
    client.close()
    await voice.done
    record = await as_time_passes(proxy.clock, proxy.record())
    assert (record.outcome, record.bytes_out, record.first_byte_seconds) == ("inactive", 5, None)
    assert len(inactive.remotes) == 1


@in_reactor
async def test_a_first_byte_amid_bulk_from_the_client_is_in_time(join: Join) -> None:
    inactive = Callback(b"sorry")
    proxy, client, upstream = await join({"inactivity_timeout": 2}, inactivity_error=inactive)
    voice = Voice(client)
    voice.say(noise(OFFERED))
    voice.finish()
    heard = await upstream.receive(BULK)
    proxy.clock.advance(1.9)
    await upstream.send(b"!")
    assert await client.receive(1) == b"!"
    proxy.clock.advance(DAY)
    heard += await upstream.read_all()
    assert digest(heard) == digest(voice.said)
    upstream.finish()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5 + OFFERED, 1)
    assert record.first_byte_seconds == pytest.approx(1.9)
    assert inactive.remotes == []


@in_reactor
async def test_what_broken_flows_have_left_is_never_heard_by_another(start: Start, net: Net) -> None:
    """Pipes and buffers go from one exchange to the next, but not what is in them."""
    target = net.upstream()
    forward = Forward(target.remote)
    proxy = start(lambda data: forward)

    async def is_whole(source: Peer, sink: Peer, seed: str) -> None:
        _, heard = await together(source.send(noise(BULK, seed)), sink.receive(BULK))
        assert digest(heard) == digest(noise(BULK, seed))

    for number in range(6):
        client, upstream = await pair(proxy, target)
        for peer in (client, upstream):
            await peer.send_until_stalled(noise(OFFERED))
        (client, upstream)[number % 2].reset()
        await settle()
        (upstream, client)[number % 2].close()
        await as_time_passes(proxy.clock, proxy.ended(2 * number + 1))
        client, upstream = await pair(proxy, target)
        await together(is_whole(client, upstream, "question"), is_whole(upstream, client, "answer"))
        client.close()
        upstream.close()
        await proxy.ended(2 * number + 2)
    counts = [(record.bytes_in, record.bytes_out) for record in proxy.records[1::2]]
    assert counts == [(5 + BULK, BULK)] * 6


class Torrent:
    """Bulk without an end: as much as is taken."""

    def __init__(self, source: Peer, sink: Peer) -> None:
        self.count = 0
        self._source, self._sink = source, sink
        self._sending: Deferred[None] = succeed(None)

    async def turn(self) -> None:
        if self._sending.called:
            self._sending = ensureDeferred(self._source.send(noise(MEGABYTE)))
        if self._sink.has_something():
            self.count += len(await self._sink.receive_at_most(MEGABYTE))

    async def end(self) -> None:
        self._source.close()
        self._sink.close()
        try:
            await self._sending
        except OSError:
            pass  # of course


@in_reactor
async def test_bulk_starves_nobody(start: Start, net: Net) -> None:
    """Time is counted in turns of the reactor, in each of which bulk has as much to send as the system takes."""
    target = net.upstream()
    forward = Forward(target.remote)
    proxy = start(lambda data: forward)
    chatty = [await pair(proxy, target) for _ in range(100)]
    torrents = []
    for _ in range(4):
        client, upstream = await pair(proxy, target)
        torrents += [Torrent(client, upstream), Torrent(upstream, client)]

    async def turn() -> None:
        for torrent in torrents:
            await torrent.turn()
        await turns(1)

    while min(torrent.count for torrent in torrents) < BULK:
        await turn()
    before = [torrent.count for torrent in torrents]
    for number in range(50):
        word = bytes([number])
        for source, sink in ((0, 1), (1, 0)):
            for each in chatty:
                await each[source].send(word)
            waiting, taken = [each[sink] for each in chatty], 0
            while waiting:
                await turn()
                taken += 1
                waiting = [peer for peer in waiting if not peer.has_something()]
                assert taken < 10, f"{len(waiting)} of {len(chatty)} are still not served"
            for each in chatty:
                assert await each[sink].receive(1) == word
    passed = [torrent.count - count for torrent, count in zip(torrents, before, strict=True)]
    assert min(passed) > 0
    assert max(passed) < 20 * min(passed)
    for torrent in torrents:
        await torrent.end()

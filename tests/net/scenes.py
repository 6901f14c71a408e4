"""What a test of the relay brings a client and its upstream to: every moment of a connection's life."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.python.failure import Failure

from proxymux import Forward, Reject
from proxymux.core.outcome import Record
from tests.conftest import open_sockets
from tests.services.fixtures import Callback, Running, Start
from tests.services.peers import MEGABYTE, Net, Peer, Upstream, as_time_passes, noise, settle, together, turns, until

DAY: Final = 86400.0
#: Bytes after which a flow is bulk to any relay.
BULK: Final = 8 * MEGABYTE
#: More than two kernels and a proxy take for a peer that does not read.
OFFERED: Final = 64 * MEGABYTE
DRAIN: Final = 10.0


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sockets() -> set[str]:
    """The sockets of this process.  Pipes do not count: a relay may keep them for the next."""
    return {name for name in open_sockets() if name.startswith("socket")}


async def send_and_finish(peer: Peer, data: bytes) -> None:
    await peer.send(data)
    peer.finish()


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
        if self.is_draining:
            await until(lambda: self.drained, "the ports to be closed")
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

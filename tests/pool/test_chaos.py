"""The pool with shared upstreams, whatever clients and upstreams do: nobody ever gets another's byte."""

from __future__ import annotations

import random
import socket
from typing import Any, Final

import pytest

from tests.services.fixtures import RELAYS, Running, StartPool
from tests.services.peers import Net, Peer, Upstream, in_reactor, settle, turns
from tests.services.pools import GAP, pass_time, state

#: Targets and options.
MODES: Final[dict[str, tuple[int, dict[str, Any]]]] = {
    "fifo": (1, {}),
    "funnel": (3, {}),
    "async": (3, {"mode": "funnel", "async_": True}),
}
STEPS: Final = 1000


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Asker:
    """A client whose requests bear its number and theirs.

    :param chance: of what it does.
    """

    def __init__(self, number: int, peer: Peer, chance: random.Random) -> None:
        self.peer = peer
        self._number = number
        self._chance = chance
        self._asked = self._answered = 0
        self._heard = b""
        self._rest = b""
        self.is_gone = False

    async def act(self) -> None:
        if self.is_gone:
            return
        try:
            await self._act(self._chance.random())
        except OSError:
            self.is_gone = True

    async def _act(self, what: float) -> None:
        if what < 0.03:
            self.is_gone = True
            self._chance.choice([self.peer.reset, self.peer.close, self.peer.finish])()
        elif what < 0.3:
            text = self._rest
            for _ in range(self._chance.choice([1, 1, 1, 2, 5])):
                text += b"%d %d %s\n" % (self._number, self._asked, bytes(self._chance.choice([1, 10, 30_000])))
                self._asked += 1
            cut = self._chance.choice([len(text), len(text), self._chance.randrange(len(text))])
            self._rest = text[cut:]
            await self.peer.send(text[:cut])

    async def hear(self) -> None:
        """Read what there is and see that it is its own, in order."""
        while self.peer._socket.fileno() >= 0 and self.peer.has_something():
            try:
                part = await self.peer.read_some()
            except OSError:
                part = b""
            if not part:
                self.is_gone = True
                self.peer.close()
                break
            self._heard += part
        *lines, self._heard = self._heard.split(b"\n")
        for line in lines:
            assert line == b"to %d %d" % (self._number, self._answered)
            self._answered += 1
        assert self._answered <= self._asked
        assert (b"to %d %d" % (self._number, self._answered)).startswith(self._heard)


class Answerer:
    """An upstream that mostly answers.

    :param is_pipelined: it may have more than one request, so that it must not send more replies than there are
        requests: nothing would tell them from the next ones.
    """

    def __init__(self, peer: Peer, chance: random.Random, is_pipelined: bool) -> None:
        self.peer = peer
        self._chance = chance
        self._is_pipelined = is_pipelined
        self._heard = b""
        self.is_gone = False

    async def act(self) -> None:
        if self.is_gone:
            return
        try:
            await self._act()
        except OSError:
            self.is_gone = True

    async def _act(self) -> None:
        if self.peer.has_something():
            part = await self.peer.read_some()
            self.is_gone = not part
            self._heard += part
        what = self._chance.random()
        request, newline, rest = self._heard.partition(b"\n")
        if self.is_gone or not newline or what < 0.1:
            return
        reply = b"to " + b" ".join(request.split(b" ")[:2]) + b"\n"
        if what < 0.11:
            self.leave(self.peer.reset)
        elif what < 0.13:
            await self.peer.send(reply[: self._chance.randrange(len(reply))])
            self.leave(self._chance.choice([self.peer.reset, self.peer.close]))
        elif what < 0.15 and not self._is_pipelined:
            await self.peer.send(reply + b"to nobody\n")
        elif what < 0.17:
            await self.peer.send(reply)
            self.leave(self.peer.close)
        else:
            self._heard = rest
            cut = self._chance.randrange(len(reply))
            await self.peer.send(reply[:cut])
            await turns(2)
            await self.peer.send(reply[cut:])

    def leave(self, how: object) -> None:
        self.is_gone = True
        assert callable(how)
        how()


def hasty(peer: Peer) -> Peer:
    """One that sends every piece at once: there is no time to wait for the system's acknowledgements."""
    peer._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    return peer


async def look_for_upstreams(
    pool: Running, target: Upstream, answerers: list[Answerer], chance: random.Random, is_pipelined: bool
) -> None:
    while (connection := target._accept_now()) is not None:
        answerers.append(Answerer(hasty(Peer(connection)), chance, is_pipelined))
    pool.clock.advance(GAP)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(6))
@in_reactor
async def test_nobody_gets_anothers_byte(start_pool: StartPool, net: Net, mode: str, seed: int) -> None:
    count, options = MODES[mode]
    chance = random.Random(f"{mode} {seed}")
    target = net.upstream()
    pool = start_pool(*[target] * count, codec="line", request_timeout=3, queue_timeout=2, queue_limit=5, **options)
    askers: list[Asker] = []
    answerers: list[Answerer] = []
    for step in range(STEPS):
        if len([asker for asker in askers if not asker.is_gone]) < 6:
            askers.append(Asker(len(askers), hasty(await pool.connect()), chance))
        await chance.choice(askers[-8:]).act()
        await turns(chance.choice([0, 1, 3, 10]))
        await look_for_upstreams(pool, target, answerers, chance, mode == "async")
        for answerer in answerers:
            await answerer.act()
        for asker in askers[-12:]:
            await asker.hear()
        if not step % 50:
            await pass_time(pool, 0.5)
        counts = state(pool)
        assert counts["sv_active"] + counts["sv_idle"] + counts["sv_login"] <= count
        assert counts["cl_waiting"] <= 5
    assert sum(asker._answered for asker in askers) > STEPS / 10
    for asker in askers:
        if not asker.is_gone:
            asker.peer.reset()
    await settle()
    await pass_time(pool, 4)
    assert state(pool)["cl_active"] == state(pool)["cl_waiting"] == state(pool)["sv_active"] == 0
    assert pool.errors == []

"""The pool as a service: counts, warm-up, idle upstreams, draining, starting again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxymux.core.outcome import Outcome
from proxymux.pool.ancestor import AncestorValues
from tests.services.fixtures import RELAYS, StartPool
from tests.services.peers import Net, in_reactor, settle, until
from tests.services.pools import GAP, TICK, asked, clients, is_silent, opened, pass_time, serves, state


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def counts(**given: Any) -> dict[str, float]:
    nothing = {"cl_active": 0, "cl_waiting": 0, "sv_active": 0, "sv_idle": 0, "sv_login": 0, "maxwait": 0}
    return {**nothing, **given}


@in_reactor
async def test_nothing_is_connected_before_there_is_a_request(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="line")
    await clients(pool, 2)
    await settle()
    assert await target.is_left_alone()
    assert state(pool) == counts(cl_active=2)


@in_reactor
async def test_warm_up_connects_to_all_targets(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, target, codec="length:1", warmup=True)
    assert state(pool) == counts(sv_login=2)
    for _ in range(2):
        await target.accept()
    await settle()
    assert state(pool) == counts(sv_idle=2)
    assert await target.is_left_alone()


@in_reactor
async def test_warm_up_of_a_target_that_is_down_ends_nothing(start_pool: StartPool, net: Net) -> None:
    target = net.upstream(listens=False)
    pool = start_pool(target, codec="line", warmup=True)
    await until(lambda: pool.failed_attempts, "the attempt to fail")
    await settle()
    target.listen()
    await pass_time(pool, 0.2)
    await serves(pool, target)


@in_reactor
async def test_the_counts_say_who_is_in_who_waits_and_what_is_open(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    client, upstream = await asked(pool, target)
    other = await pool.connect()
    await other.send(b"other\n")
    await settle()
    pool.clock.advance(2)
    assert state(pool) == counts(cl_active=1, cl_waiting=1, sv_active=1, maxwait=pytest.approx(2))
    for _ in range(2):
        await upstream.send(b"reply\n")
        await settle()
    assert state(pool) == counts(cl_active=2, sv_idle=1)
    client.reset()
    other.close()
    await pool.ended(2)
    assert state(pool) == counts(sv_idle=1)


@in_reactor
async def test_the_log_has_the_counts_on_reload(start_pool: StartPool, net: Net) -> None:
    pool = start_pool(net.upstream(), codec="line")
    pool.service.reload()
    assert any("cl_active 0 cl_waiting 0 sv_active 0" in line for _, line in pool.lines)


@in_reactor
async def test_an_upstream_that_is_of_no_use_is_closed_after_the_inactivity_timeout(
    start_pool: StartPool, net: Net
) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", inactivity_timeout=500)
    client, upstream = await asked(pool, target)
    await pass_time(pool, 1)
    await upstream.send(b"reply\n")
    assert await client.receive(6) == b"reply\n"
    await pass_time(pool, 0.4)
    assert await is_silent(upstream)
    await pass_time(pool, 0.3)
    assert await upstream.read_all() == b""
    assert state(pool) == counts(cl_active=1)
    assert await is_silent(client)
    await client.send(b"again\n")
    upstream = await opened(pool, target)
    assert await upstream.receive(6) == b"again\n"


@in_reactor
async def test_a_client_that_is_silent_is_closed_after_the_idle_timeout(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", idle_timeout=2)
    client, upstream = await asked(pool, target)
    await pass_time(pool, 5)
    await upstream.send(b"reply\n")
    assert await client.receive(6) == b"reply\n"
    for _ in range(3):
        await pass_time(pool, 1.5)
        await client.send(b"part of a request ")
        await client.sent()
    await pass_time(pool, 2.2)
    assert await client.read_all() == b""
    client.close()
    assert (await pool.record()).outcome is Outcome.IDLE


@in_reactor
async def test_draining_lets_outstanding_requests_be_answered(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line")
    client, upstream = await asked(pool, target)
    stopped: list[None] = []
    pool.service.drain(10).addCallback(stopped.append)
    await settle()
    await upstream.send(b"reply\n")
    assert await client.receive(6) == b"reply\n"
    client.close()
    await until(lambda: stopped, "the end")
    assert (await pool.record()).outcome is Outcome.COMPLETED


@pytest.mark.parametrize("mode", ["fifo", "funnel", "proxy"])
@in_reactor
async def test_what_has_not_ended_in_time_is_closed(start_pool: StartPool, net: Net, mode: str) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", mode=mode)
    client, upstream = await asked(pool, target)
    waiting = await pool.connect()
    await waiting.send(b"waits\n")
    await settle()
    pool.service.drain(10)
    pool.clock.advance(10 + TICK)
    for each in (client, waiting):
        assert await each.read_all() == b""
    assert {record.outcome for record in await pool.ended(2)} == {Outcome.DRAINED}
    await pool.stop()
    if mode != "proxy":
        await upstream.send_until_broken()
    assert state(pool) == counts()


@in_reactor
async def test_it_can_be_stopped_while_it_connects_and_started_again(start_pool: StartPool, net: Net) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", warmup=True)
    await pool.stop()
    assert state(pool) == counts()
    (await target.accept()).close()
    pool.service.privilegedStartService()
    pool.service.startService()
    upstream = await target.accept()
    await settle()
    pool.clock.advance(GAP)
    assert state(pool) == counts(sv_idle=1)
    await pool.stop()
    assert await upstream.read_all() == b""


@in_reactor
async def test_clients_that_come_by_unix_sockets_are_served(start_pool: StartPool, net: Net, tmp_path: object) -> None:
    target = net.upstream()
    pool = start_pool(target, codec="line", listen=f"unix:{tmp_path}/socket")
    await serves(pool, target)


@pytest.mark.parametrize("only", [True, False])
@in_reactor
async def test_the_ancestors_switch_for_ipv6_alone_keeps_ipv4_out(start_pool: StartPool, net: Net, only: bool) -> None:
    pool = start_pool(net.upstream(), listen=r"tcp:0:interface=\:\:", config=AncestorValues(ipv6_only=only))
    port = pool.address.rpartition(":")[2]
    await net.connect(f"[::1]:{port}")
    if only:
        with pytest.raises(ConnectionRefusedError):
            await net.connect(f"127.0.0.1:{port}")
    else:
        await net.connect(f"127.0.0.1:{port}")


@in_reactor
async def test_a_codec_of_the_users_own_is_as_good_as_ours(
    start_pool: StartPool, net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "codec_of_ours.py").write_text(CODEC)
    monkeypatch.syspath_prepend(tmp_path)
    target = net.upstream()
    pool = start_pool(target, target, codec="codec_of_ours:Dots")
    client = await pool.connect()
    await client.send(b"one.two.thr")
    upstream = await target.accept()
    assert await upstream.receive(4) == b"one."
    await upstream.send(b"1.")
    assert await upstream.receive(4) == b"two."
    await upstream.send(b"2.")
    assert await client.receive(4) == b"1.2."
    await client.send(b"ee.own!")
    assert await upstream.receive(6) == b"three."
    await upstream.send(b"3.")
    assert await upstream.receive(4) == b"own!"
    await upstream.send(b"anything")
    assert await client.receive(10) == b"3.anything"


CODEC = """\
import re

from proxymux.core.codecs import Kind, Request
from proxymux.errors import BadMessage


class Dots:
    name = "dots"
    gap = False

    def requests(self):
        return Requests()

    def replies(self):
        return Replies()

    def failure(self, problem):
        return b"sorry."


class Requests:
    interim = b""
    is_between = True

    def feed(self, data):
        kinds = {b".": Kind.PLAIN, b"!": Kind.OWN}
        return [Request(found.end(), kinds[found.group()]) for found in re.finditer(rb"[.!]", data)]


class Replies:
    must_close = False
    is_between = True

    def __init__(self):
        self.due = 0

    def expect(self, hint, count=1):
        self.due += count

    def count(self, data):
        return None

    def feed(self, data):
        ends = [found.end() for found in re.finditer(rb"[.]", data)]
        if len(ends) > self.due:
            raise BadMessage("one too many")
        self.due -= len(ends)
        return ends

    def finish(self):
        return False

    def silence(self):
        pass
"""

"""What the ancestor promised, and what it died of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.services.fixtures import Running, Start
from tests.services.peers import MEGABYTE, Net, Peer, Upstream, in_reactor, noise, settle, together

# Its own nine tests


class Ancestor:
    """The two upstreams and the router of the ancestor's tests."""

    def __init__(self, start: Start, net: Net, folder: Path) -> None:
        self.one, self.two, absent = net.upstream(), net.upstream(), net.upstream(listens=False)
        self.rejecting = f"localhost:{absent.port}"
        self.said = folder / "said"
        self.proxy = start(self.decide, connect_error=self.connect_error, inactivity_error=self.inactivity_error)
        self.proxy.names.addresses["localhost"] = [["127.0.0.1"]]

    def decide(self, data: bytes) -> Any:
        one, two = self.one.remote, self.two.remote
        results: dict[bytes, Any] = {
            b"a": {"remote": one},
            b"b": {"remote": two},
            b"c": {"remote": one, "data": b"ccc"},
            b"d": {"close": b"ddd"},
            b"g": {"remote": one, "data": b"g2", "reply": b"g3-"},
            b"e" * 2048: {"noop": True},
            b"e" * 2048 + b"f": {"remote": one},
            b"connect reject": {"remote": self.rejecting},
            b"inactivity": {"remote": one, "data": b"sleep 3", "inactivity_timeout": 1},
        }
        return results.get(data, {"close": True})

    def connect_error(self, remote: str) -> None:
        self.said.write_text(f"connect error: {remote}")

    def inactivity_error(self, remote: str) -> None:
        self.said.write_text(f"activity error: {remote}")

    async def client(self, data: bytes) -> Peer:
        """A client that has sent ``data``."""
        client = await self.proxy.connect()
        await client.send(data)
        return client

    @staticmethod
    async def answer(target: Upstream) -> None:
        """As its upstreams did: once, to what was read first, and then leave."""
        upstream = await target.accept()
        await upstream.send(b"%d:" % target.port + await upstream.read_some())
        upstream.close()


@pytest.fixture
def ancestor(start: Start, net: Net, tmp_path: Path) -> Ancestor:
    return Ancestor(start, net, tmp_path)


@in_reactor
async def test_1_handles_simple_routing(ancestor: Ancestor) -> None:
    for data, target in ((b"a", ancestor.one), (b"b", ancestor.two)):
        client = await ancestor.client(data)
        await ancestor.answer(target)
        assert await client.read_all() == b"%d:" % target.port + data


@in_reactor
async def test_2_handles_connection_closing(ancestor: Ancestor) -> None:
    client = await ancestor.client(b"xxx")
    assert await client.read_all() == b""


@in_reactor
async def test_3_handles_rewriting_data(ancestor: Ancestor) -> None:
    client = await ancestor.client(b"c")
    await ancestor.answer(ancestor.one)
    assert await client.read_all() == b"%d:ccc" % ancestor.one.port


@in_reactor
async def test_4_handles_data_plus_close(ancestor: Ancestor) -> None:
    client = await ancestor.client(b"d")
    assert await client.read_all() == b"ddd"
    assert await ancestor.one.is_left_alone()
    assert await ancestor.two.is_left_alone()


@in_reactor
async def test_5_handles_data_plus_reply(ancestor: Ancestor) -> None:
    client = await ancestor.client(b"g")
    await ancestor.answer(ancestor.one)
    assert await client.read_all() == b"g3-%d:g2" % ancestor.one.port


@in_reactor
async def test_6_handles_noop(ancestor: Ancestor) -> None:
    client = await ancestor.client(b"e" * 2048)
    await settle()
    await client.send(b"f")
    await ancestor.answer(ancestor.one)
    assert await client.read_all() == b"%d:" % ancestor.one.port + b"e" * 2048 + b"f"


@in_reactor
async def test_7_calls_back_when_a_connect_is_rejected(ancestor: Ancestor) -> None:
    client = await ancestor.client(b"connect reject")
    while not client.has_something():
        await settle()
        assert ancestor.proxy.clock.seconds() < 10
        ancestor.proxy.clock.advance(0.1)
    assert await client.read_all() == b""
    assert ancestor.said.read_text() == f"connect error: {ancestor.rejecting}"


@in_reactor
async def test_8_calls_back_when_an_upstream_is_inactive(ancestor: Ancestor) -> None:
    client = await ancestor.client(b"inactivity")
    upstream = await ancestor.one.accept()
    assert await upstream.receive(7) == b"sleep 3"
    ancestor.proxy.clock.advance(0.99)
    await settle()
    assert not client.has_something()
    ancestor.proxy.clock.advance(0.01)
    assert await client.read_all() == b""
    assert ancestor.said.read_text() == f"activity error: {ancestor.one.remote}"


@in_reactor
async def test_9_does_not_call_back_when_the_client_leaves(ancestor: Ancestor) -> None:
    client = await ancestor.client(b"inactivity")
    client.close()
    upstream = await ancestor.one.accept()
    assert await upstream.read_all() == b"sleep 3"
    ancestor.proxy.clock.advance(3.1)
    await ancestor.proxy.record()
    assert not ancestor.said.exists()


# Its six deaths


async def is_alive(proxy: Running, target: Upstream) -> None:
    """A client is served as if nothing had happened."""
    client = await proxy.connect()
    await client.send(b"ping")
    client.finish()
    upstream = await target.accept()
    assert await upstream.read_all() == b"ping"
    await upstream.send(b"pong")
    upstream.finish()
    assert await client.read_all() == b"pong"
    assert proxy.service.running


@pytest.mark.parametrize("greets", [False, True])
@in_reactor
async def test_death_1_clients_that_reset_before_they_are_accepted(start: Start, net: Net, greets: bool) -> None:
    target = net.upstream()
    greeting = (lambda client: {"reply": b"welcome"}) if greets else None
    proxy = start(lambda data: {"remote": target.remote, "reply": b""}, accepted=greeting)
    for _ in range(100):
        client = await proxy.connect()  # queued by the system: the reactor has not turned
        client.reset()
    await settle()
    assert {record.outcome for record in proxy.records} <= {"undecided"}
    assert proxy.is_free_of_sessions()
    client = await proxy.connect()
    await client.send(b"ping")
    upstream = await target.accept()
    assert await upstream.receive(4) == b"ping"
    assert proxy.errors == []


@pytest.mark.parametrize("leaves", [Peer.close, Peer.reset])
@in_reactor
async def test_death_2_a_retry_that_succeeds_after_the_client_has_left(start: Start, net: Net, leaves: Any) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: {"remote": target.remote})
    client = await proxy.connect()
    await client.send(b"request")
    await proxy.has_failed(1)
    leaves(client)
    await settle()
    target.listen()
    proxy.clock.advance(0.1)
    if leaves is Peer.reset:
        assert await target.is_left_alone()
    else:  # it might have half-closed
        upstream = await target.accept()
        assert await upstream.read_all() == b"request"
        await upstream.send_until_broken()
    assert (await proxy.record()).outcome == "client_aborted"
    await is_alive(proxy, target)


@in_reactor
async def test_death_3_an_exception_in_a_callback(start: Start, net: Net) -> None:
    target, absent = net.upstream(), net.upstream(listens=False)

    def fails(remote: str) -> bytes:
        raise RuntimeError("in a callback")

    def proxy(data: bytes) -> Any:
        if data == b"refuse":
            return {"remote": absent.remote, "retries": 0}
        return {"remote": target.remote, "inactivity_timeout": 1}

    running = start(proxy, connect_error=fails, inactivity_error=fails)
    refused = await running.connect()
    await refused.send(b"refuse")
    assert await refused.read_all() == b""
    ignored = await running.connect()
    await ignored.send(b"ignore")
    await (await target.accept()).receive(6)
    running.clock.advance(1)
    assert await ignored.read_all() == b""
    refused.close()
    ignored.close()
    assert {record.outcome for record in await running.ended(2)} == {"unreachable", "inactive"}
    assert len(running.errors) == 2
    await is_alive(running, target)


@in_reactor
async def test_death_4_a_resolver_error_on_a_retry(start: Start, net: Net) -> None:
    target, absent = net.upstream(), net.upstream(listens=False)
    proxy = start(
        lambda data: {"remote": f"gone.example:{absent.port}" if data == b"gone" else target.remote, "retries": 2}
    )
    proxy.names.addresses["gone.example"] = [["127.0.0.1"], []]
    client = await proxy.connect()
    await client.send(b"gone")
    while not client.has_something():
        await settle()
        assert proxy.clock.seconds() < 10
        proxy.clock.advance(0.1)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "unreachable"
    assert [reason for _, reason in proxy.failed_attempts] == [
        "connection refused",
        "name does not resolve",
        "name does not resolve",
    ]
    await is_alive(proxy, target)


@pytest.mark.parametrize("leaves", [Peer.close, Peer.reset])
@in_reactor
async def test_death_5_an_upstream_that_sends_while_data_of_a_departed_client_is_queued_to_it(
    start: Start, net: Net, leaves: Any
) -> None:
    target = net.upstream(receive_buffer=4096)
    proxy = start(lambda data: {"remote": target.remote})
    client = await proxy.connect()
    data = noise(64 * MEGABYTE)
    await client.send(data[:5])
    upstream = await target.accept()
    taken = 5 + await client.send_until_stalled(data[5:])
    leaves(client)
    await upstream.send(b"the first byte and more")
    await settle()
    # Its system has no more use for bytes to a client that is gone, and resets even where that had only closed.
    received = await upstream.read_until_reset()
    assert data[:taken].startswith(received)
    assert (await proxy.record()).outcome in ("client_aborted", "upstream_aborted")
    await is_alive(proxy, target)


@pytest.mark.parametrize(
    "error",
    [NotImplementedError("not a StandardError"), SyntaxError("nor this"), Exception("nor this"), SystemExit(0)],
    ids=lambda error: type(error).__name__,
)
@in_reactor
async def test_death_6_a_router_that_raises_the_wrong_error_or_exits(
    start: Start, net: Net, error: BaseException
) -> None:
    target = net.upstream()

    def proxy(data: bytes) -> Any:
        if data == b"ping":
            return {"remote": target.remote}
        raise error

    running = start(proxy)
    client = await running.connect()
    await client.send(b"die")
    assert await client.read_all() == b""
    assert (await running.record()).outcome == "router_error"
    await is_alive(running, target)


# Its deadlock, and what it lost at the close


@in_reactor
async def test_the_deadlock_of_two_sides_that_both_have_too_much_to_say(start: Start, net: Net) -> None:
    target = net.upstream(receive_buffer=4096)
    proxy = start(lambda data: {"remote": target.remote})
    client = await proxy.connect(receive_buffer=4096)
    await client.send(b"x")
    upstream = await target.accept()
    data = noise(5 * MEGABYTE)
    pushed = await client.send_until_stalled(data)
    pushed_back = await upstream.send_until_stalled(data)
    await settle()
    # Both directions are full, and nobody has read a byte.
    _, _, received, received_back = await together(
        client.send(data[pushed:]), upstream.send(data[pushed_back:]), upstream.receive(1 + len(data)),
        client.receive(len(data)),
    )  # fmt: skip
    assert received == b"x" + data
    assert received_back == data
    client.finish()
    upstream.finish()
    assert (await proxy.record()).outcome == "completed"


@pytest.mark.parametrize("size", [300_000, MEGABYTE, 5 * MEGABYTE])
@in_reactor
async def test_an_echo_of_many_bytes(start: Start, net: Net, size: int) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote})
    client = await proxy.connect()
    data = noise(size)

    async def ask() -> None:
        await client.send(data)
        client.finish()

    async def echo() -> None:
        await (await target.accept()).echo()

    _, _, received = await together(ask(), echo(), client.read_all())
    assert received == data
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_a_deadlocked_pair_would_ignore_that_its_client_leaves_but_there_is_none(start: Start, net: Net) -> None:
    target = net.upstream(receive_buffer=4096)
    proxy = start(lambda data: {"remote": target.remote})
    client = await proxy.connect(receive_buffer=4096)
    await client.send(b"x")
    upstream = await target.accept()
    await client.send_until_stalled(noise(64 * MEGABYTE))
    await upstream.send_until_stalled(noise(64 * MEGABYTE))
    client.reset()
    assert (await proxy.record()).outcome == "client_aborted"
    await is_alive(proxy, target)


@in_reactor
async def test_an_ordinary_close_by_the_client_is_nothing_to_warn_of(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote})
    await is_alive(proxy, target)
    assert (await proxy.record()).outcome == "completed"
    assert [line for level, line in proxy.lines if level not in ("debug", "info")] == []

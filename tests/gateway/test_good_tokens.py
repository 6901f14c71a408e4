"""Good tokens: 200 and a tunnel, to the byte."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.gateway.conftest import StartGateway, finish, old, sealed, served
from tests.services.peers import MEGABYTE, Net, Peer, as_time_passes, in_reactor, noise, settle, together


@pytest.mark.parametrize("form", [old, sealed])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@in_reactor
async def test_a_good_token_is_200_and_a_tunnel(
    gateway: StartGateway, net: Net, form: Callable[[str], bytes], end: bytes
) -> None:
    target = net.upstream()
    proxy = gateway()
    client = await proxy.connect()
    await client.send(form(target.remote) + end)
    await finish(client, await served(client, target))
    record = await proxy.record()
    assert (record.outcome, record.target, record.reason) == ("completed", target.remote, None)
    assert (record.bytes_out, record.service) == (13, "gateway")


@pytest.mark.parametrize(("size", "host"), [(44, "a.lan"), (64, "backend-01.internal.lan"), (88, "a" * 30 + ".lan")])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@in_reactor
async def test_tokens_of_every_length_go(gateway: StartGateway, net: Net, size: int, host: str, end: bytes) -> None:
    target = net.upstream()
    proxy = gateway()
    proxy.names.addresses[host] = [["127.0.0.1"]]
    line = old(f"{host}:{target.port}")
    assert len(line) == size
    client = await proxy.connect()
    await client.send(line + end)
    await finish(client, await served(client, target))


@in_reactor
async def test_a_token_as_long_as_one_may_be_goes(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    lines = {size: sealed(*[target.remote] * 31, j="x" * size) for size in range(1, 65)}
    line = max((line for line in lines.values() if len(line) <= 1024), key=len)
    assert len(line) > 700
    for end in (b"\n", b"\r\n"):
        proxy = gateway()
        client = await proxy.connect()
        await client.send(line + end + b"rest")
        await finish(client, await served(client, target, b"rest"))


@in_reactor
async def test_a_token_may_come_byte_by_byte(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    for form in (old, sealed):
        client = await proxy.connect()
        await client.send_bytewise(form(target.remote) + b"\r\nrest")
        await finish(client, await served(client, target, b"rest"))


@in_reactor
async def test_a_token_may_come_in_two_parts_split_anywhere(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    data = old(target.remote) + b"\r\nrest"
    for place in range(1, len(data)):
        client = await proxy.connect()
        await client.send(data[:place])
        await settle()
        await client.send(data[place:])
        upstream = await target.accept()
        assert await together(upstream.receive(4), client.receive(3)) == [b"rest", b"200"]
        await finish(client, upstream)


@pytest.mark.parametrize("size", [1, 5, 3000, 65536, 100_000, 3 * MEGABYTE])
@in_reactor
async def test_what_comes_with_the_token_goes_upstream_and_nothing_is_lost(
    gateway: StartGateway, net: Net, size: int
) -> None:
    target = net.upstream()
    proxy = gateway()
    rest = noise(size)
    client = await proxy.connect()
    _, upstream = await together(client.send(old(target.remote) + b"\n" + rest), target.accept())
    assert await upstream.receive(size) == rest
    assert await client.receive(3) == b"200"
    await finish(client, upstream)
    assert (await proxy.record()).bytes_in == 45 + size


@in_reactor
async def test_the_bytes_after_the_line_are_not_looked_at(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    rest = b"\n\r\n" + old("127.0.0.1:1") + b"\n\0\xff"
    client = await proxy.shows(old(target.remote), rest)
    await finish(client, await served(client, target, rest))


@in_reactor
async def test_200_comes_before_the_upstreams_first_byte_and_not_before_the_upstream(
    gateway: StartGateway, net: Net
) -> None:
    target = net.upstream(listens=False)
    target.fill_queue()
    proxy = gateway()
    waiting = await proxy.shows(old(target.remote))
    await settle()
    assert not waiting.has_something()
    speaking = net.upstream()
    client = await proxy.shows(old(speaking.remote))
    upstream = await speaking.accept()
    await upstream.send(b"220 welcome")
    assert await client.receive(14) == b"200220 welcome"
    waiting.reset()
    await finish(client, upstream)


@in_reactor
async def test_a_fin_right_after_the_token_is_a_half_close(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    client = await proxy.shows(old(target.remote), b"question")
    client.finish()
    upstream = await target.accept()
    assert await upstream.read_all() == b"question"
    await upstream.send(b"answer")
    upstream.finish()
    assert await client.read_all() == b"200answer"
    assert (await proxy.record()).outcome == "completed"


@pytest.mark.parametrize("who", ["client", "upstream"])
@in_reactor
async def test_half_close_with_5_mb_in_flight_the_other_way_loses_nothing(
    gateway: StartGateway, net: Net, who: str
) -> None:
    target = net.upstream()
    proxy = gateway()
    client = await proxy.shows(old(target.remote))
    upstream = await served(client, target)
    data = noise(5 * MEGABYTE)
    ends, sends = (client, upstream) if who == "client" else (upstream, client)
    taken = await sends.send_until_stalled(data)
    ends.finish()
    assert await sends.read_all() == b""
    _, heard = await together(sends.send(data[taken:]), ends.receive(len(data)))
    assert heard == data
    sends.finish()
    assert await ends.read_all() == b""
    assert (await proxy.record()).outcome == "completed"


@in_reactor
async def test_both_ways_at_once_5_mb_go_through_and_both_half_close(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    client = await proxy.shows(old(target.remote))
    upstream = await served(client, target)
    up, down = noise(5 * MEGABYTE, "up"), noise(5 * MEGABYTE, "down")

    async def say(peer: Peer, data: bytes) -> None:
        await peer.send(data)
        peer.finish()

    said = await together(say(client, up), say(upstream, down), client.read_all(), upstream.read_all())
    assert said[2:] == [down, up]


@in_reactor
async def test_a_reset_of_either_side_reaches_the_other(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    for who in ("client", "upstream"):
        client = await proxy.shows(old(target.remote))
        upstream = await served(client, target)
        left, stays = (client, upstream) if who == "client" else (upstream, client)
        await stays.sent()
        left.reset()
        assert await as_time_passes(proxy.clock, stays.read_until_reset()) == b""

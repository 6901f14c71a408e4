"""Connecting: how often, how long, to whom, and that it ends with the client."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path
from typing import Any, Final

import pytest
from twisted.internet.defer import Deferred

from proxymux import Forward
from proxymux.core.proxy_protocol import encode, parse
from tests.services.fixtures import LOOPBACK, Callback, Running, Start
from tests.services.peers import Net, Peer, Upstream, in_reactor, noise, of_one_port, settle, together, until

RETRIES = 10
DAY = 86400.0
PAUSE = 0.1


async def asks(proxy: Running, data: bytes = b"hello") -> Peer:
    """A client that has sent ``data``."""
    client = await proxy.connect()
    await client.send(data)
    return client


async def is_served(client: Peer, target: Upstream, data: bytes = b"hello") -> None:
    """``client`` is through to ``target``, with ``data``, both ways and to the end."""
    upstream = await target.accept()
    assert await upstream.receive(len(data)) == data
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"
    client.finish()
    upstream.finish()
    assert await together(client.read_all(), upstream.read_all()) == [b"", b""]


# How often


@pytest.mark.parametrize("begins_at", [0.0, 0.05], ids=["on a tick of the timers", "between two ticks"])
@in_reactor
async def test_eleven_attempts_a_tenth_of_a_second_apart_and_one_call_back(
    start: Start, net: Net, begins_at: float
) -> None:
    target = net.upstream(listens=False)
    failed, inactive = Callback(b"sorry"), Callback(b"never")
    proxy = start(lambda data: {"remote": target.remote}, connect_error=failed, inactivity_error=inactive)
    proxy.clock.advance(begins_at)
    client = await asks(proxy)
    for attempt in range(1, RETRIES + 1):
        await proxy.has_failed(attempt)
        proxy.clock.advance(PAUSE * 0.9)
        await proxy.has_failed(attempt)
        assert failed.remotes == []
        assert not client.has_something()
        proxy.clock.advance(PAUSE * 0.1 + 1e-9)
    await proxy.has_failed(RETRIES + 1)
    assert await client.read_all() == b"sorry"
    client.close()
    record = await proxy.record()
    assert (record.outcome, record.target, record.connect_seconds) == ("unreachable", target.remote, None)
    assert failed.remotes == [target.remote]
    assert inactive.remotes == []
    assert proxy.failed_attempts == [(target.remote, "connection refused")] * 11


@pytest.mark.parametrize("retries", [0, 1, 3])
@in_reactor
async def test_retries_says_how_often_it_is_tried_again(start: Start, net: Net, retries: int) -> None:
    target = net.upstream(listens=False)
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "retries": retries}, connect_error=failed)
    client = await asks(proxy)
    for attempt in range(1, retries + 1):
        await proxy.has_failed(attempt)
        proxy.clock.advance(PAUSE)
    assert await client.read_all() == b"sorry"
    client.close()
    await proxy.record()
    await proxy.has_failed(retries + 1)
    assert failed.remotes == [target.remote]


@in_reactor
async def test_an_upstream_that_comes_up_between_retries_gets_the_buffer_and_what_came_meanwhile(
    start: Start, net: Net
) -> None:
    target = net.upstream(listens=False)
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote}, connect_error=failed)
    client = await asks(proxy, b"one ")
    await proxy.has_failed(1)
    await client.send(b"two ")
    proxy.clock.advance(PAUSE)
    await proxy.has_failed(2)
    await client.send(b"three")
    await settle()
    target.listen()
    proxy.clock.advance(PAUSE)
    await is_served(client, target, b"one two three")
    assert (await proxy.record()).outcome == "completed"
    assert failed.remotes == []


@in_reactor
async def test_the_function_is_not_asked_again_by_a_retry(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    asked: list[bytes] = []

    def proxy(data: bytes) -> Any:
        asked.append(data)
        return {"remote": target.remote}

    running = start(proxy)
    client = await asks(running)
    await running.has_failed(1)
    await client.send(b" more")
    await settle()
    running.clock.advance(PAUSE)
    await running.has_failed(2)
    assert asked == [b"hello"]


# How long


@in_reactor
async def test_connect_timeout_is_for_each_attempt(start: Start, net: Net) -> None:
    target = net.upstream()
    target.fill_queue()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "connect_timeout": 2}, connect_error=failed)
    client = await asks(proxy)
    for attempt in range(RETRIES + 1):
        await settle()
        proxy.clock.advance(1.9)
        await proxy.has_failed(attempt)
        proxy.clock.advance(0.1 + 1e-9)
        await proxy.has_failed(attempt + 1)
        proxy.clock.advance(PAUSE)
    assert await client.read_all() == b"sorry"
    client.close()
    record = await proxy.record()
    assert record.outcome == "connect_timeout"
    assert failed.remotes == [target.remote]
    assert {reason for _, reason in proxy.failed_attempts} == {"timed out after 2 s"}


@in_reactor
async def test_an_attempt_takes_twenty_seconds_at_most_where_nothing_is_said(start: Start, net: Net) -> None:
    target = net.upstream()
    target.fill_queue()
    proxy = start(lambda data: {"remote": target.remote, "retries": 0})
    client = await asks(proxy)
    await settle()
    proxy.clock.advance(19.9)
    await proxy.has_failed(0)
    proxy.clock.advance(0.1)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "connect_timeout"


@in_reactor
async def test_a_long_connect_timeout_is_not_cut_short(start: Start, net: Net) -> None:
    target = net.upstream()
    target.fill_queue()
    proxy = start(lambda data: {"remote": target.remote, "retries": 0, "connect_timeout": 1000})
    client = await asks(proxy)
    await settle()
    proxy.clock.advance(999)
    await proxy.has_failed(0)
    proxy.clock.advance(1)
    assert await client.read_all() == b""


@in_reactor
async def test_a_timeout_and_a_refusal_together_are_unreachable(start: Start, net: Net) -> None:
    busy, absent = net.upstream(), net.upstream(listens=False)
    busy.fill_queue()
    targets = [absent.remote, busy.remote]
    proxy = start(lambda data: {"remote": targets, "retries": 0, "connect_timeout": 2})
    client = await asks(proxy)
    await proxy.has_failed(1)
    proxy.clock.advance(2)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "unreachable"


# To whom


@in_reactor
async def test_targets_are_tried_in_order(start: Start, net: Net) -> None:
    absent, present, spare = net.upstream(listens=False), net.upstream(), net.upstream()
    proxy = start(lambda data: {"remote": [absent.remote, present.remote, spare.remote]})
    client = await asks(proxy)
    await is_served(client, present)
    assert (await proxy.record()).target == present.remote
    assert [target for target, _ in proxy.failed_attempts] == [absent.remote]
    assert await spare.is_left_alone()


@in_reactor
async def test_all_targets_are_tried_again_in_every_round_and_the_last_is_named(start: Start, net: Net) -> None:
    one, two = net.upstream(listens=False), net.upstream(listens=False)
    failed = Callback(b"sorry")
    proxy = start(lambda data: Forward([one.remote, two.remote], retries=2), connect_error=failed)
    client = await asks(proxy)
    await proxy.has_failed(2)
    proxy.clock.advance(PAUSE)
    await proxy.has_failed(4)
    proxy.clock.advance(PAUSE)
    await proxy.has_failed(6)
    assert await client.read_all() == b"sorry"
    client.close()
    assert [target for target, _ in proxy.failed_attempts] == [one.remote, two.remote] * 3
    assert failed.remotes == [two.remote]
    assert (await proxy.record()).target == two.remote


@in_reactor
async def test_a_name_is_looked_up_at_every_attempt(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: {"remote": f"db.example:{target.port}"})
    proxy.names.addresses["db.example"] = [["127.0.0.1"]]
    client = await asks(proxy)
    await proxy.has_failed(1)
    target.listen()
    proxy.clock.advance(PAUSE)
    await is_served(client, target)
    assert proxy.names.asked == 2
    assert (await proxy.record()).target == f"db.example:{target.port}"


@in_reactor
async def test_a_name_that_does_not_resolve_is_unreachable(start: Start) -> None:
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": "nowhere.example:80", "retries": 2}, connect_error=failed)
    client = await asks(proxy)
    for attempt in (1, 2):
        await proxy.has_failed(attempt)
        proxy.clock.advance(PAUSE)
    assert await client.read_all() == b"sorry"
    client.close()
    assert (await proxy.record()).outcome == "unreachable"
    assert failed.remotes == ["nowhere.example:80"]
    assert proxy.failed_attempts == [("nowhere.example:80", "name does not resolve")] * 3


@in_reactor
async def test_where_one_address_of_a_name_refuses_the_next_is_tried_at_once(start: Start, net: Net) -> None:
    target = net.upstream("127.0.0.4")
    proxy = start(lambda data: {"remote": f"db.example:{target.port}"})
    proxy.names.addresses["db.example"] = [["127.0.0.2", "127.0.0.3", "127.0.0.4"]]
    await is_served(await asks(proxy), target)
    assert proxy.failed_attempts == []


@in_reactor
async def test_where_one_address_of_a_name_hangs_the_next_is_tried_beside_it(start: Start, net: Net) -> None:
    target, busy = of_one_port(net, "127.0.0.3", "127.0.0.2")
    busy.fill_queue()
    proxy = start(lambda data: {"remote": f"db.example:{target.port}"})
    proxy.names.addresses["db.example"] = [["127.0.0.2", "127.0.0.3"]]
    client = await asks(proxy)
    await settle()
    proxy.clock.advance(1)
    await is_served(client, target)
    assert (await proxy.record()).connect_seconds == pytest.approx(1)


@in_reactor
async def test_a_name_whose_addresses_all_refuse_has_failed_once(start: Start, net: Net) -> None:
    absent = net.upstream(listens=False)
    proxy = start(lambda data: {"remote": f"db.example:{absent.port}", "retries": 0})
    proxy.names.addresses["db.example"] = [["127.0.0.1", "127.0.0.2", "127.0.0.3"]]
    client = await asks(proxy)
    assert await client.read_all() == b""
    await proxy.record()
    assert proxy.failed_attempts == [(f"db.example:{absent.port}", "connection refused")]


@in_reactor
async def test_a_name_whose_addresses_all_hang_has_timed_out(start: Start, net: Net) -> None:
    busy, also_busy = of_one_port(net, "127.0.0.2", "127.0.0.3")
    busy.fill_queue()
    also_busy.fill_queue()
    proxy = start(lambda data: {"remote": f"db.example:{busy.port}", "retries": 0, "connect_timeout": 2})
    proxy.names.addresses["db.example"] = [["127.0.0.2", "127.0.0.3"]]
    client = await asks(proxy)
    for _ in range(4):
        await settle()
        proxy.clock.advance(0.5)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "connect_timeout"


@in_reactor
async def test_the_look_up_is_part_of_the_connect_timeout(start: Start) -> None:
    slow: Deferred[list[str]] = Deferred()
    proxy = start(lambda data: {"remote": "db.example:80", "retries": 0, "connect_timeout": 2})
    proxy.names.addresses["db.example"] = [slow]
    client = await asks(proxy)
    await settle()
    proxy.clock.advance(2)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "connect_timeout"
    slow.callback(["127.0.0.1"])  # a resolver's threads know no cancelling


@in_reactor
async def test_a_client_that_resets_during_the_look_up_ends_it(start: Start, net: Net) -> None:
    target = net.upstream()
    slow: Deferred[list[str]] = Deferred()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": f"db.example:{target.port}"}, connect_error=failed)
    proxy.names.addresses["db.example"] = [slow]
    client = await asks(proxy)
    await settle()
    client.reset()
    assert (await proxy.record()).outcome == "client_aborted"
    slow.callback(["127.0.0.1"])
    assert await target.is_left_alone()
    assert failed.remotes == []
    assert proxy.failed_attempts == []


@in_reactor
async def test_an_ipv6_upstream(start: Start, net: Net) -> None:
    target = net.upstream("::1")
    assert target.remote.startswith("[::1]:")
    proxy = start(lambda data: {"remote": target.remote})
    await is_served(await asks(proxy), target)
    assert (await proxy.record()).target == target.remote


@in_reactor
async def test_a_unix_upstream(start: Start, net: Net, tmp_path: Path) -> None:
    target = net.upstream(str(tmp_path / "upstream"))
    proxy = start(lambda data: {"remote": target.remote})
    await is_served(await asks(proxy), target)
    record = await proxy.record()
    assert (record.outcome, record.target) == ("completed", f"unix:{tmp_path}/upstream")


@in_reactor
async def test_a_unix_upstream_that_is_not_there_is_unreachable(start: Start, tmp_path: Path) -> None:
    proxy = start(lambda data: {"remote": f"unix:{tmp_path}/upstream", "retries": 0})
    client = await asks(proxy)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "unreachable"


@in_reactor
async def test_bind_is_the_address_that_the_upstream_sees(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "bind": "127.0.0.5"})
    client = await asks(proxy)
    upstream = await target.accept()
    assert upstream.peer_address[0] == "127.0.0.5"
    client.close()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # Twisted leaves it to the garbage collector
@in_reactor
async def test_an_address_that_cannot_be_bound_is_a_failed_connect(start: Start, net: Net) -> None:
    target = net.upstream()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "bind": "203.0.113.1", "retries": 0}, connect_error=failed)
    client = await asks(proxy)
    assert await client.read_all() == b"sorry"
    client.close()
    assert (await proxy.record()).outcome == "unreachable"
    assert failed.remotes == [target.remote]


# With the client's end it ends


@in_reactor
async def test_a_client_that_resets_in_the_pause_cancels_it(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote}, connect_error=failed)
    client = await asks(proxy)
    await proxy.has_failed(1)
    target.listen()
    client.reset()
    assert (await proxy.record()).outcome == "client_aborted"
    proxy.clock.advance(PAUSE)
    assert await target.is_left_alone()
    assert failed.remotes == []


@in_reactor
async def test_a_client_that_resets_during_an_attempt_cancels_it(start: Start, net: Net) -> None:
    target = net.upstream()
    target.fill_queue()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote}, connect_error=failed)
    client = await asks(proxy)
    await settle()
    client.reset()
    assert (await proxy.record()).outcome == "client_aborted"
    proxy.clock.advance(DAY)
    await settle()
    assert failed.remotes == []
    assert proxy.failed_attempts == []


@in_reactor
async def test_a_client_that_resets_with_a_full_buffer_cancels_it_too(start: Start, net: Net) -> None:
    target = net.upstream(listens=False)
    proxy = start(lambda data: {"remote": target.remote}, max_buffer=1000)
    client = await asks(proxy)
    await proxy.has_failed(1)
    await client.send(noise(5000))
    await settle()
    target.listen()
    client.reset()
    await settle()
    proxy.clock.advance(PAUSE)
    assert (await proxy.record()).outcome == "client_aborted"
    assert await target.is_left_alone()


@in_reactor
async def test_a_client_that_only_half_closes_keeps_it_going_but_is_not_called_back_about(
    start: Start, net: Net
) -> None:
    target = net.upstream(listens=False)
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "retries": 1}, connect_error=failed)
    client = await asks(proxy)
    await proxy.has_failed(1)
    client.finish()
    await settle()
    proxy.clock.advance(PAUSE)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "unreachable"
    assert failed.remotes == []


@in_reactor
async def test_a_stop_ends_it(start: Start, net: Net) -> None:
    target = net.upstream()
    target.fill_queue()
    failed = Callback(b"sorry")
    proxy = start(lambda data: {"remote": target.remote, "connect_timeout": 1000}, connect_error=failed)
    client = await asks(proxy)
    await settle()
    await proxy.stop()
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "drained"
    assert failed.remotes == []


# What is sent before all else


def block_of_v2(*ends: tuple[str, int]) -> bytes:
    """The block of version 2 for a connection from the first of ``ends`` to the second."""
    (source, source_port), (destination, port) = ends
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    family = 0x11 if len(addresses) == 8 else 0x21
    block = addresses + struct.pack("!HH", source_port, port)
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, family, len(block)) + block


@pytest.mark.parametrize("said_by", ["the decision", "the service"])
@pytest.mark.parametrize("version", ["v1", "v2"])
@in_reactor
async def test_send_proxy_sends_the_clients_address_first(start: Start, net: Net, version: str, said_by: str) -> None:
    target = net.upstream()
    decision: dict[str, Any] = {"send_proxy": version} if said_by == "the decision" else {}
    settings: dict[str, Any] = {"send_proxy": version} if said_by == "the service" else {}
    proxy = start(lambda data: {"remote": target.remote, **decision}, **settings)
    client = await asks(proxy)
    client.finish()
    upstream = await target.accept()
    received = await upstream.read_all()
    port = int(proxy.address.rpartition(":")[2])
    if version == "v1":
        assert received == f"PROXY TCP4 127.0.0.1 127.0.0.1 {client.address[1]} {port}\r\nhello".encode()
    else:
        assert received == block_of_v2(client.address, ("127.0.0.1", port)) + b"hello"


@in_reactor
async def test_the_decision_may_switch_send_proxy_off(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "send_proxy": False}, send_proxy="v1")
    await is_served(await asks(proxy), target)


@pytest.mark.parametrize("version", ["v1", "v2"])
@in_reactor
async def test_send_proxy_passes_on_what_a_received_header_said(start: Start, net: Net, version: str) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "send_proxy": version}, listen=f"haproxy:{LOOPBACK}")
    header = b"PROXY TCP6 2001:db8::7 2001:db8::8 51000 443\r\n"
    client = await asks(proxy, header + b"hello")
    client.finish()
    upstream = await target.accept()
    v2 = block_of_v2(("2001:db8::7", 51000), ("2001:db8::8", 443))
    assert await upstream.read_all() == (header if version == "v1" else v2) + b"hello"


#: ALPN, authority, unique ID, SSL, AWS's, and one that there is twice.
TLVS: Final = (
    (0x01, b"h2"),
    (0xE0, b"second"),
    (0x02, b"a.example"),
    (0x05, b"id"),
    (0x20, b"\x01\0\0\0\0\x21\0\x07TLSv1.3"),
    (0xEA, b"\x01vpce-08d2bf15fac5001c9"),
    (0xE0, b"first"),
)


@pytest.mark.parametrize("has_checksum", [False, True])
@in_reactor
async def test_send_proxy_passes_the_tlvs_of_a_received_header_on(start: Start, net: Net, has_checksum: bool) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "send_proxy": "v2"}, listen=f"haproxy:{LOOPBACK}")
    ends = ("192.0.2.7", 51000), ("192.0.2.8", 443)
    client = await asks(proxy, encode("v2", *ends, [(0x04, b"\0\0\0"), *TLVS], has_checksum) + b"hello")
    client.finish()
    upstream = await target.accept()
    received = await upstream.read_all()
    assert received == encode("v2", *ends, TLVS, has_checksum) + b"hello"  # without the padding
    parsed = parse(received)
    assert parsed is not None
    assert parsed[0].has_checksum == has_checksum


@in_reactor
async def test_send_proxy_v1_has_no_place_for_tlvs(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "send_proxy": "v1"}, listen=f"haproxy:{LOOPBACK}")
    ends = ("192.0.2.7", 51000), ("192.0.2.8", 443)
    client = await asks(proxy, encode("v2", *ends, TLVS, True) + b"hello")
    client.finish()
    upstream = await target.accept()
    assert await upstream.read_all() == b"PROXY TCP4 192.0.2.7 192.0.2.8 51000 443\r\nhello"


@in_reactor
async def test_send_proxy_leaves_tlvs_out_that_have_no_room_beside_the_addresses(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "send_proxy": "v2"}, listen=f"haproxy:{LOOPBACK}")
    unknown = b"\r\n\r\n\0\r\nQUIT\n\x21\0\x0f\xf0\xe1\x0f\xed" + bytes(4077)
    assert len(unknown) == 4096
    client = await asks(proxy, unknown + b"hello")
    client.finish()
    upstream = await target.accept()
    port = int(proxy.address.rpartition(":")[2])
    assert await upstream.read_all() == block_of_v2(client.address, ("127.0.0.1", port)) + b"hello"


@in_reactor
async def test_send_proxy_says_unknown_for_a_unix_sockets_client(start: Start, net: Net, tmp_path: Path) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote, "send_proxy": "v1"}, listen=f"unix:{tmp_path}/socket")
    client = await asks(proxy)
    client.finish()
    upstream = await target.accept()
    assert await upstream.read_all() == b"PROXY UNKNOWN\r\nhello"


@in_reactor
async def test_send_proxy_comes_even_where_the_upstream_speaks_first(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: None, accepted=lambda client: {"remote": target.remote}, send_proxy="v1")
    client = await proxy.connect()
    upstream = await target.accept()
    assert (await upstream.receive(11)) == b"PROXY TCP4 "
    await upstream.send(b"welcome")
    assert await client.receive(7) == b"welcome"


@in_reactor
async def test_send_proxy_does_not_count_as_the_clients_bytes(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote}, send_proxy="v2")
    client = await asks(proxy)
    client.finish()
    upstream = await target.accept()
    assert (await upstream.read_all()).endswith(b"hello")
    upstream.finish()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5, 0)


# Many


@in_reactor
async def test_many_clients_connect_at_once(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: {"remote": target.remote})
    clients = [await asks(proxy, b"%3d" % number) for number in range(50)]
    upstreams = [await target.accept() for _ in clients]
    for upstream in upstreams:
        await upstream.send(b"you are " + await upstream.receive(3))
        upstream.finish()
    for number, client in enumerate(clients):
        assert await client.read_all() == b"you are %3d" % number
        client.close()
    await until(lambda: len(proxy.records) == 50, "all to end")
    assert {record.outcome for record in proxy.records} == {"completed"}

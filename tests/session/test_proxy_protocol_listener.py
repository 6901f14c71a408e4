"""Listeners behind ``haproxy:``: the header comes first, whole or in pieces, and only from those who may send it."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path
from typing import Any

import pytest

from proxymux import Client, Forward, Reject
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import LOOPBACK, Asked, Running, Start
from tests.services.peers import Net, in_reactor, noise, settle

BEHIND = f"haproxy:{LOOPBACK}"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.8 51000 443\r\n"
V1_V6 = b"PROXY TCP6 2001:db8::7 2001:db8::8 51000 443\r\n"
V1_UNKNOWN = b"PROXY UNKNOWN\r\n"
V1_UNKNOWN_WITH_MORE = b"PROXY UNKNOWN 192.0.2.7 198.51.100.8 51000 443\r\n"


def v2(command: int, family: int, block: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, family, len(block)) + block


def inet(source: str, destination: str, source_port: int, port: int) -> bytes:
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return ends + struct.pack("!HH", source_port, port)


AUTHORITY_TLV = b"\x02\x00\x0bapp.example"
V2 = v2(1, 0x11, inet("192.0.2.7", "198.51.100.8", 51000, 443))
V2_V6 = v2(1, 0x21, inet("2001:db8::7", "2001:db8::8", 51000, 443))
V2_TLV = v2(1, 0x11, inet("192.0.2.7", "198.51.100.8", 51000, 443) + AUTHORITY_TLV)
V2_UNIX = v2(1, 0x31, b"/client".ljust(108, b"\0") + b"/server".ljust(108, b"\0"))
V2_LOCAL = v2(0, 0x00, b"")
V2_LOCAL_WITH_ADDRESSES = v2(0, 0x11, inet("192.0.2.7", "198.51.100.8", 51000, 443))
V2_UNSPEC = v2(1, 0x00, b"")

V4_ENDS = (("192.0.2.7", 51000), ("198.51.100.8", 443))
V6_ENDS = (("2001:db8::7", 51000), ("2001:db8::8", 443))
HEADERS = [
    pytest.param(V1, *V4_ENDS, id="v1"),
    pytest.param(V1_V6, *V6_ENDS, id="v1 TCP6"),
    pytest.param(V2, *V4_ENDS, id="v2"),
    pytest.param(V2_V6, *V6_ENDS, id="v2 TCP6"),
    pytest.param(V2_TLV, *V4_ENDS, id="v2 with TLV"),
    pytest.param(V2_UNIX, ("unix:/client", 0), ("unix:/server", 0), id="v2 UNIX"),
]
SAYING_NOTHING = [
    pytest.param(V1_UNKNOWN, id="v1 UNKNOWN"),
    pytest.param(V1_UNKNOWN_WITH_MORE, id="v1 UNKNOWN with more"),
    pytest.param(V2_LOCAL, id="v2 LOCAL"),
    pytest.param(V2_LOCAL_WITH_ADDRESSES, id="v2 LOCAL with addresses"),
    pytest.param(V2_UNSPEC, id="v2 UNSPEC"),
]


class Clients:
    """A router that notes who its clients are, and closes them with what they said."""

    def __init__(self) -> None:
        self.seen: list[Client] = []

    def __call__(self, data: bytes, client: Client) -> Any:
        self.seen.append(client)
        return Reject(b"got " + data) if data.endswith(b".") else None


def text(end: tuple[str, int]) -> str:
    host, port = end
    return host if host.startswith("unix:") else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def says_hello(proxy: Running, *, header: bytes, bytewise: bool) -> None:
    """A client that sends ``header`` and ``hello.`` is served."""
    client = await proxy.connect()
    if bytewise:
        await client.send_bytewise(header + b"hello.")
    else:
        await client.send(header + b"hello.")
    assert await client.read_all() == b"got hello."
    client.close()


@pytest.mark.parametrize("bytewise", [False, True], ids=["in one segment", "byte by byte"])
@pytest.mark.parametrize(("header", "source", "destination"), HEADERS)
@in_reactor
async def test_the_header_says_who_the_client_is(
    start: Start, header: bytes, source: tuple[str, int], destination: tuple[str, int], bytewise: bool
) -> None:
    clients = Clients()
    proxy = start(clients, listen=BEHIND)
    await says_hello(proxy, header=header, bytewise=bytewise)
    assert {(client.address, client.local) for client in clients.seen} == {(source, destination)}
    record = await proxy.record()
    assert (record.client, record.local) == (text(source), text(destination))
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("rejected", 6, 10)


@pytest.mark.parametrize("bytewise", [False, True], ids=["in one segment", "byte by byte"])
@pytest.mark.parametrize("header", SAYING_NOTHING)
@in_reactor
async def test_a_header_that_does_not_say_leaves_the_real_address(start: Start, header: bytes, bytewise: bool) -> None:
    clients = Clients()
    proxy = start(clients, listen=BEHIND)
    await says_hello(proxy, header=header, bytewise=bytewise)
    assert {client.address[0] for client in clients.seen} == {"127.0.0.1"}
    assert {text(client.local) for client in clients.seen} == {proxy.address}
    assert all(client.proxy_protocol is not None for client in clients.seen)


@in_reactor
async def test_the_function_is_given_the_header(start: Start) -> None:
    clients = Clients()
    proxy = start(clients, listen=BEHIND)
    await says_hello(proxy, header=V2_TLV, bytewise=False)
    header = clients.seen[0].proxy_protocol
    assert header is not None
    assert (header.version, header.local, header.authority) == (2, False, "app.example")
    assert header.tlvs == ((2, b"app.example"),)


@in_reactor
async def test_every_split_of_header_and_data_in_two_is_the_same(start: Start) -> None:
    proxy = start(Clients(), listen=BEHIND)
    stream = V2 + b"hello."
    for place in range(1, len(stream)):
        client = await proxy.connect()
        await client.send(stream[:place])
        await settle()
        await client.send(stream[place:])
        assert await client.read_all() == b"got hello."
        client.close()
    await proxy.ended(len(stream) - 1)


@in_reactor
async def test_a_header_is_not_part_of_what_is_forwarded(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: Forward(target.remote), listen=BEHIND)
    client = await proxy.connect()
    await client.send(V1 + b"hello")
    client.finish()
    upstream = await target.accept()
    assert await upstream.read_all() == b"hello"
    await upstream.send(b"welcome")
    upstream.finish()
    assert await client.read_all() == b"welcome"
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5, 7)


@in_reactor
async def test_much_data_behind_the_header_arrives_whole(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(lambda data: Forward(target.remote), listen=BEHIND)
    client = await proxy.connect()
    await client.send(V2 + noise(500_000))
    client.finish()
    upstream = await target.accept()
    assert await upstream.read_all() == noise(500_000)


@in_reactor
async def test_a_second_header_is_data(start: Start) -> None:
    asked = Asked(lambda data: Reject())
    proxy = start(asked, listen=BEHIND)
    client = await proxy.connect()
    await client.send(V1 + V1)
    assert await client.read_all() == b""
    assert asked.about == [V1]


@in_reactor
async def test_before_the_header_nothing_is_asked_and_after_it_the_client_is_greeted(start: Start) -> None:
    proxy = start(Clients(), listen=BEHIND, accepted=lambda client: {"reply": f"hello {client.address[0]}".encode()})
    client = await proxy.connect()
    await client.send(V1[:-1])
    await settle()
    assert not client.has_something()
    await client.send(V1[-1:])
    assert await client.receive(15) == b"hello 192.0.2.7"


@pytest.mark.parametrize("bytewise", [False, True], ids=["in one segment", "byte by byte"])
@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="http"),
        pytest.param(b"\x16\x03\x01\x00\xa5\x01", id="tls"),
        pytest.param(b"PROXY TCP4 192.0.2.7 198.51.100.8 51000 99999\r\n", id="v1 port"),
        pytest.param(b"PROXY TCP4 192.0.2.7 198.51.100.8  51000 443\r\n", id="v1 two blanks"),
        pytest.param(b"PROXY UNKNOWN " + b"x" * 200, id="v1 too long"),
        pytest.param(SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12), id="v2 version"),
        pytest.param(SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12), id="v2 command"),
        pytest.param(v2(1, 0x11, bytes(11)), id="v2 too short"),
        pytest.param(v2(1, 0x11, bytes(12) + b"\x02\x00\x09x"), id="v2 TLV"),
    ],
)
@in_reactor
async def test_what_is_no_header_is_a_protocol_error(start: Start, garbage: bytes, bytewise: bool) -> None:
    asked = Asked(lambda data: None)
    proxy = start(asked, listen=BEHIND)
    client = await proxy.connect()
    if bytewise:
        for place in range(len(garbage)):
            if client.has_something():
                break
            await client.send_bytewise(garbage[place : place + 1])
    else:
        await client.send(garbage)
    assert await client.read_all() == b""
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("protocol_error", 0)
    assert asked.about == []


@in_reactor
async def test_a_client_that_finishes_within_its_header_is_closed(start: Start) -> None:
    proxy = start(Clients(), listen=BEHIND)
    client = await proxy.connect()
    await client.send(V1[:20])
    client.finish()
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "undecided"


@in_reactor
async def test_a_client_that_resets_within_its_header_is_undecided(start: Start) -> None:
    proxy = start(Clients(), listen=BEHIND)
    client = await proxy.connect()
    await client.send(V1[:20])
    await settle()
    client.reset()
    assert (await proxy.record()).outcome == "undecided"


@pytest.mark.parametrize("sends", [b"", V1[:20], V2[:20]], ids=["nothing", "half of v1", "half of v2"])
@in_reactor
async def test_a_header_must_come_in_the_time_of_the_decision(start: Start, sends: bytes) -> None:
    proxy = start(Clients(), listen=BEHIND, decide_timeout=5)
    client = await proxy.connect()
    await client.send(sends)
    await settle()
    proxy.clock.advance(4.9)
    await settle()
    assert not client.has_something()
    proxy.clock.advance(0.1)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "undecided"


@in_reactor
async def test_the_header_and_the_decision_share_their_time(start: Start) -> None:
    proxy = start(Clients(), listen=BEHIND, decide_timeout=5)
    client = await proxy.connect()
    await settle()
    proxy.clock.advance(3)
    await client.send(V1 + b"not the end")
    await settle()
    proxy.clock.advance(2)
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "undecided"


# Who may send it


@in_reactor
async def test_only_those_who_are_trusted_may_send_a_header(start: Start) -> None:
    clients = Clients()
    proxy = start(clients, listen=BEHIND, trust_proxy=["127.0.0.2/31", "::1"])
    stranger = await proxy.connect(source="127.0.0.4")
    assert await stranger.read_all() == b""
    friend = await proxy.connect(source="127.0.0.3")
    await friend.send(V1 + b"hello.")
    assert await friend.read_all() == b"got hello."
    friend.close()
    assert [record.outcome for record in await proxy.ended(2)] == ["refused", "rejected"]
    assert [client.address for client in clients.seen] == [("192.0.2.7", 51000)]


@in_reactor
async def test_whoever_is_not_trusted_is_refused_whatever_it_sends(start: Start) -> None:
    asked = Asked(lambda data: None)
    proxy = start(asked, listen=BEHIND, trust_proxy="10.0.0.0/8")
    client = await proxy.connect()
    try:
        await client.send(V1 + b"hello.")
        assert await client.read_all() == b""
    except ConnectionResetError:
        pass  # it was closed before these bytes came
    record = await proxy.record()
    assert (record.outcome, record.client.split(":")[0]) == ("refused", "127.0.0.1")
    assert asked.about == []


@in_reactor
async def test_trust_is_judged_by_the_real_address_alone(start: Start) -> None:
    proxy = start(Clients(), listen=BEHIND, trust_proxy="127.0.0.1", allow="192.0.2.7")
    await says_hello(proxy, header=V1, bytewise=False)
    assert (await proxy.record()).outcome == "rejected"


# Admission is by the header's address


@pytest.mark.parametrize(
    "settings", [{"deny": "192.0.2.0/24"}, {"allow": "127.0.0.0/8"}], ids=["denied", "not allowed"]
)
@in_reactor
async def test_admission_judges_the_address_in_the_header(start: Start, settings: dict[str, Any]) -> None:
    asked = Asked(lambda data: None)
    proxy = start(asked, listen=BEHIND, **settings)
    client = await proxy.connect()
    await client.send(V1 + b"hello.")
    assert await client.read_all() == b""
    record = await proxy.record()
    assert (record.outcome, record.client) == ("refused", "192.0.2.7:51000")
    assert asked.about == []


@in_reactor
async def test_a_proxy_that_is_itself_denied_may_bring_clients_that_are_not(start: Start) -> None:
    proxy = start(Clients(), listen=BEHIND, deny="127.0.0.0/8")
    await says_hello(proxy, header=V1, bytewise=False)
    assert (await proxy.record()).outcome == "rejected"


@in_reactor
async def test_a_header_that_does_not_say_is_judged_by_the_real_address(start: Start) -> None:
    proxy = start(Clients(), listen=BEHIND, deny="127.0.0.0/8")
    client = await proxy.connect()
    await client.send(V2_LOCAL + b"hello.")
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "refused"


@in_reactor
async def test_clients_are_counted_by_the_address_in_the_header(start: Start) -> None:
    proxy = start(Clients(), listen=BEHIND, max_per_client=1)
    first = await proxy.connect()
    await first.send(V1 + b"hello")
    await settle()
    other = await proxy.connect()
    await other.send(V1_V6 + b"hello.")
    assert await other.read_all() == b"got hello."
    other.close()
    second = await proxy.connect()
    await second.send(V1 + b"hello.")
    assert await second.read_all() == b""
    await proxy.ended(2)
    await first.send(b".")
    assert await first.read_all() == b"got hello."
    first.close()
    await proxy.ended(3)
    third = await proxy.connect()
    await third.send(V1 + b"hello.")
    assert await third.read_all() == b"got hello."
    third.close()
    assert [record.outcome for record in await proxy.ended(4)] == ["rejected", "refused", "rejected", "rejected"]


@in_reactor
async def test_a_client_without_its_header_counts_among_all(start: Start) -> None:
    proxy = start(Clients(), listen=BEHIND, max_connections=1)
    silent = await proxy.connect()
    await settle()
    client = await proxy.connect()
    assert await client.read_all() == b""
    assert (await proxy.record()).outcome == "refused"
    silent.close()
    await proxy.ended(2)
    await says_hello(proxy, header=V1, bytewise=False)


# On other transports


@in_reactor
async def test_behind_a_unix_socket(start: Start, net: Net, tmp_path: Path) -> None:
    clients = Clients()
    proxy = start(clients, listen=f"haproxy:unix:{tmp_path}/socket")
    assert proxy.address == f"unix:{tmp_path}/socket"
    await says_hello(proxy, header=V2, bytewise=True)
    await says_hello(proxy, header=V2_LOCAL, bytewise=False)
    assert clients.seen[0].address == ("192.0.2.7", 51000)
    assert clients.seen[-1].address == ("unix:", 0)


@in_reactor
async def test_behind_ipv6(start: Start) -> None:
    clients = Clients()
    proxy = start(clients, listen=r"haproxy:tcp6:0:interface=\:\:1")
    await says_hello(proxy, header=V1, bytewise=False)
    assert clients.seen[0].address == ("192.0.2.7", 51000)


@pytest.mark.parametrize("header", [V1, V2_TLV], ids=["v1", "v2"])
@in_reactor
async def test_the_header_comes_before_tls(
    start: Start, net: Net, authority: Authority, own: Credentials, header: bytes
) -> None:
    clients = Clients()
    proxy = start(clients, listen=f"haproxy:{own.endpoint}")
    client = await net.connect_tls(proxy.address, authority.for_client(), server_name="proxy.example", first=header)
    await client.handshake()
    await client.send(b"hello.")
    assert await client.read_all() == b"got hello."
    client.close()
    [seen] = clients.seen
    assert seen.address == ("192.0.2.7", 51000)
    assert seen.tls is not None
    assert seen.tls.server_name == "proxy.example"
    assert seen.proxy_protocol is not None
    record = await proxy.record()
    assert (record.outcome, record.client, record.bytes_in) == ("rejected", "192.0.2.7:51000", 6)


@in_reactor
async def test_a_header_before_tls_may_come_byte_by_byte(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    clients = Clients()
    proxy = start(clients, listen=f"haproxy:{own.endpoint}")
    plain = await proxy.connect()
    await plain.send_bytewise(V1)
    client = net.secure(plain, authority.for_client(), "proxy.example")
    await client.handshake()
    await client.send(b"hello.")
    assert await client.read_all() == b"got hello."
    assert [each.address for each in clients.seen] == [("192.0.2.7", 51000)]


@in_reactor
async def test_tls_without_the_header_before_it_is_a_protocol_error(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    proxy = start(Clients(), listen=f"haproxy:{own.endpoint}")
    client = await net.connect_tls(proxy.address, authority.for_client(), server_name="proxy.example")
    with pytest.raises(OSError, match=r"EOF|reset"):
        await client.handshake()
    assert (await proxy.record()).outcome == "protocol_error"


@in_reactor
async def test_a_denied_client_behind_tls_is_closed_before_the_handshake(
    start: Start, net: Net, authority: Authority, own: Credentials
) -> None:
    proxy = start(Clients(), listen=f"haproxy:{own.endpoint}", deny="192.0.2.7")
    client = await net.connect_tls(proxy.address, authority.for_client(), server_name="proxy.example", first=V1)
    with pytest.raises(OSError, match=r"EOF|reset"):
        await client.handshake()
    assert (await proxy.record()).outcome == "refused"


@in_reactor
async def test_a_client_that_is_silent_after_its_header_is_undecided_by_the_deadline(
    start: Start, own: Credentials
) -> None:
    proxy = start(Clients(), listen=f"haproxy:{own.endpoint}", decide_timeout=5)
    client = await proxy.connect()
    await client.send(V1)
    await settle()
    proxy.clock.advance(5)
    await settle()
    proxy.clock.advance(10)  # a TLS close may wait for the other side
    await settle()
    assert client.has_something()
    assert (await proxy.record()).outcome == "undecided"

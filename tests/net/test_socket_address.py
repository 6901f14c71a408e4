"""Where clients are, and where they have connected to."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from proxymux import Client, Reject
from proxymux.net.socket_address import RawAddress, address_of, with_zone
from tests.services.fixtures import LOOPBACK, RELAYS, Start
from tests.services.peers import Net, in_reactor

LO = socket.if_nametoindex("lo")
ANY = r"tcp6:0:interface=\:\:"


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        (("192.0.2.1", 80), ("192.0.2.1", 80)),
        (("2001:db8::1", 80, 0, 0), ("2001:db8::1", 80)),
        (("::ffff:192.0.2.1", 80, 0, 0), ("192.0.2.1", 80)),
        (("fe80::1", 80, 0, LO), ("fe80::1%lo", 80)),
        (("fe80::1%lo", 80, 0, LO), ("fe80::1%lo", 80)),
        ("", ("unix:", 0)),
        ("/run/x", ("unix:/run/x", 0)),
        (b"\0abstract", ("unix:\0abstract", 0)),
    ],
)
def test_where_a_socket_is(raw: RawAddress, address: tuple[str, int]) -> None:
    assert address_of(raw) == address


def test_an_interface_that_has_gone_is_a_number() -> None:
    assert with_zone("fe80::1", 0x7FFFFFFF) == "fe80::1%2147483647"


@in_reactor
async def test_an_ipv4_client_of_a_listener_for_both_is_one(start: Start, net: Net) -> None:
    target = net.upstream()
    clients: list[Client] = []

    def proxy(data: bytes, client: Client) -> object:
        clients.append(client)
        return {"remote": target.remote, "send_proxy": "v1"}

    running = start(proxy, listen=ANY, max_per_client=1)
    port = int(running.address.rpartition(":")[2])
    client = await net.connect(f"127.0.0.1:{port}")
    await client.send(b"hello")
    client.finish()
    upstream = await target.accept()
    own = client.address[1]
    assert await upstream.read_all() == f"PROXY TCP4 127.0.0.1 127.0.0.1 {own} {port}\r\nhello".encode()
    assert [(each.address, each.local) for each in clients] == [(("127.0.0.1", own), ("127.0.0.1", port))]
    upstream.finish()
    record = await running.record()
    assert (record.client, record.local) == (f"127.0.0.1:{own}", f"127.0.0.1:{port}")


@in_reactor
async def test_an_ipv4_address_that_a_proxy_passes_on_as_ipv6_is_ipv4(start: Start) -> None:
    proxy = start(lambda data: Reject(b"no"), listen=f"haproxy:{LOOPBACK}")
    client = await proxy.connect()
    await client.send(b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.8 51000 443\r\nhello")
    assert await client.read_all() == b"no"
    record = await proxy.record()
    assert (record.client, record.local) == ("192.0.2.7:51000", "192.0.2.8:443")


def link_local() -> tuple[str, str]:
    """An address that is of use on one link only, and its interface."""
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        digits, _, _, scope, _, interface = line.split()
        if scope == "20":
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)), interface
    pytest.skip("no interface has a link-local address")


@pytest.mark.parametrize("listens_on", ["it", "all"])
@in_reactor
async def test_a_link_local_address_keeps_its_zone_on_both_sides(start: Start, net: Net, listens_on: str) -> None:
    host, interface = link_local()
    zoned = f"{host}%{interface}"
    listen = ANY if listens_on == "all" else "tcp6:0:interface=" + zoned.replace(":", r"\:")
    clients: list[Client] = []

    def proxy(data: bytes, client: Client) -> object:
        clients.append(client)
        return Reject(b"no")

    running = start(proxy, listen=listen)
    port = int(running.address.rpartition(":")[2])
    client = net._socket(socket.AF_INET6, None)
    client.connect((host, port, 0, socket.if_nametoindex(interface)))
    client.sendall(b"x")
    record = await running.record()
    assert (clients[0].address[0], clients[0].local) == (zoned, (zoned, port))
    assert record.local == f"[{zoned}]:{port}"

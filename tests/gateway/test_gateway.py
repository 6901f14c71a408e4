"""The gateway: its failure budget, beside other options, and what it does at a reload and a stop."""

from __future__ import annotations

import base64
import os
import socket
import stat
import time
from typing import Any

import pytest

from proxymux.core.token.sealed import Keys
from tests.gateway.conftest import StartGateway, finish, old, sealed, served, told
from tests.services.certificates import Authority, Credentials
from tests.services.fixtures import LOOPBACK
from tests.services.peers import MEGABYTE, Net, Peer, in_reactor, noise, settle, together, until

# The failure budget


@in_reactor
async def test_an_address_that_failed_too_often_waits_and_another_does_not(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway("--max-failures", "12")
    for _ in range(12):
        client = await proxy.shows(b"bad")
        assert await told(client) == b"401"
    good, bad = await proxy.shows(old(target.remote), b"rest"), await proxy.shows(b"bad")
    await settle()
    assert not good.has_something()
    other = await proxy.connect(source="127.0.0.2")
    await other.send(old(target.remote) + b"\n")
    await finish(other, await served(other, target))
    proxy.clock.advance(4.8)
    await settle()
    assert not good.has_something()
    assert await target.is_left_alone()
    proxy.clock.advance(0.4)
    upstream = await served(good, target, b"rest")
    assert await told(bad) == b"401"
    await finish(good, upstream)


@pytest.mark.parametrize("step", [-3600, 3600])
@in_reactor
async def test_who_has_to_wait_waits_as_long_when_the_time_of_day_is_set(
    gateway: StartGateway, net: Net, step: float
) -> None:
    target = net.upstream()
    proxy = gateway("--max-failures", "1")
    client = await proxy.shows(b"bad")
    assert await told(client) == b"401"
    proxy.clock.advance(55)
    proxy.reactor.time_of_day.advance(step)
    good = await proxy.shows(old(target.remote), b"rest")
    proxy.clock.advance(4.8)
    await settle()
    assert not good.has_something()
    proxy.clock.advance(0.4)
    await finish(good, await served(good, target, b"rest"))


@in_reactor
async def test_who_would_wait_longer_than_the_deadline_is_400(gateway: StartGateway) -> None:
    proxy = gateway("--max-failures", "1")
    client = await proxy.shows(b"bad")
    assert await told(client) == b"401"
    client = await proxy.shows(b"bad")
    await settle()
    proxy.clock.advance(10.1)
    assert await told(client) == b"400"


@in_reactor
async def test_who_leaves_while_waiting_costs_nothing(gateway: StartGateway) -> None:
    proxy = gateway("--max-failures", "1")
    client = await proxy.shows(b"bad")
    assert await told(client) == b"401"
    for _ in range(10):
        client = await proxy.shows(b"bad")
        await settle()
        client.reset()
    records = await proxy.ended(11)
    assert {record.outcome for record in records[1:]} == {"undecided"}


@in_reactor
async def test_with_max_failures_off_nobody_waits(gateway: StartGateway) -> None:
    proxy = gateway("--max-failures", "off")
    for _ in range(50):
        client = await proxy.shows(b"bad")
        assert await told(client) == b"401"


# Beside other options


@in_reactor
async def test_behind_a_proxy_header_the_token_is_for_the_client_in_it(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway(listen="haproxy:" + LOOPBACK)
    line = sealed(target.remote, c="192.0.2.0/24")
    client = await proxy.connect()
    await client.send(b"PROXY TCP4 192.0.2.9 192.0.2.1 1000 80\r\n" + line + b"\nrest")
    await finish(client, await served(client, target, b"rest"))
    client = await proxy.connect()
    await client.send(b"PROXY TCP4 192.0.3.9 192.0.2.1 1000 80\r\n" + line + b"\nrest")
    assert await told(client) == b"401"


@in_reactor
async def test_a_client_of_a_unix_socket_may_use_what_is_bound_to_no_address(
    gateway: StartGateway, net: Net, tmp_path: Any
) -> None:
    target = net.upstream()
    proxy = gateway(listen=f"unix:{tmp_path}/gateway")
    client = await proxy.shows(sealed(target.remote))
    await finish(client, await served(client, target))
    client = await proxy.shows(sealed(target.remote, c="0.0.0.0/0"))
    assert await told(client) == b"401"


@in_reactor
async def test_over_tls_it_is_the_same(gateway: StartGateway, net: Net, authority: Authority, own: Credentials) -> None:
    target = net.upstream()
    proxy = gateway(listen=own.endpoint)
    client = await net.connect_tls(proxy.address, authority.for_client(), server_name="proxy.example")
    await client.handshake()
    await client.send(old(target.remote) + b"\nrest")
    upstream = await served(client, target, b"rest")
    upstream.finish()
    assert await client.read_all() == b""
    other = await net.connect_tls(proxy.address, authority.for_client(), server_name="proxy.example")
    await other.handshake()
    await other.send(b"bad\n")
    assert await other.read_all() == b"401"


@in_reactor
async def test_send_proxy_tells_the_server_the_clients_address_before_the_rest(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway("--send-proxy", "v1")
    client = await proxy.shows(old(target.remote), b"rest")
    upstream = await target.accept()
    host, port = client.address
    own_port = proxy.address.rpartition(":")[2]
    header = f"PROXY TCP4 {host} 127.0.0.1 {port} {own_port}\r\n".encode()
    assert await upstream.receive(len(header) + 4) == header + b"rest"
    assert await client.receive(3) == b"200"
    await finish(client, upstream)


def both_legs(client: Peer, upstream: Peer) -> list[socket.socket]:
    """The gateway's own two sockets, of which this process has the descriptors."""
    wanted = {(client.peer_address, client.address), (upstream.peer_address, upstream.address)}
    found = []
    names = [name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")]
    for number in [int(name) for name in names if stat.S_ISSOCK(os.fstat(int(name)).st_mode)]:
        copy = socket.socket(fileno=os.dup(number))
        try:
            is_wanted = (copy.getsockname(), copy.getpeername()) in wanted
        except OSError:
            is_wanted = False
        if is_wanted:
            found.append(copy)
        else:
            copy.close()
    assert len(found) == 2
    return found


@pytest.mark.parametrize(
    ("arguments", "idle", "user"),
    [
        ([], 15, 0),
        (["--tcp-keepalive", "7"], 7, 0),
        (["--tcp-user-timeout", "2.5"], 15, 2500),
        (["--tcp-keepalive", "off"], None, 0),
        (["--tcp-keepalive", "off", "--tcp-user-timeout", "60"], None, 60_000),
        (["--reuse", "1"], 15, 0),
    ],
)
@pytest.mark.parametrize("target_host", ["127.0.0.1", "::1"])
@in_reactor
async def test_both_legs_are_watched_for_liveness(
    gateway: StartGateway, net: Net, arguments: list[str], idle: int | None, user: int, target_host: str
) -> None:
    target = net.upstream(target_host)
    proxy = gateway(*arguments)
    client = await proxy.shows(old(target.remote))
    upstream = await served(client, target)
    with open("/proc/sys/net/ipv4/tcp_keepalive_time") as file:
        system_idle = int(file.read())
    for leg in both_legs(client, upstream):
        with leg:
            assert leg.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == (idle or system_idle)
            if idle is not None:
                assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == idle
                assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
            assert leg.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == user
    await finish(client, upstream)


@in_reactor
async def test_two_that_reuse_a_port_share_it_and_one_that_does_not_is_refused(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    first = gateway("--reuse", "1")
    port = first.address.rpartition(":")[2]
    second = gateway("--reuse", "1", listen=f"tcp:{port}:interface=127.0.0.1")
    assert second.address == first.address
    for _ in range(40):
        client = await first.shows(old(target.remote))
        await finish(client, await served(client, target))
    await until(lambda: len(first.records) + len(second.records) == 40, "all to have ended")


@in_reactor
async def test_a_small_buffer_carries_bulk_too(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway("--buffer", "1024")
    data = noise(3 * MEGABYTE)
    client = await proxy.connect()
    _, upstream = await together(client.send(old(target.remote) + b"\n" + data), target.accept())
    assert await upstream.receive(len(data)) == data
    _, heard = await together(upstream.send(data), client.receive(3 + len(data)))
    assert heard == b"200" + data
    await finish(client, upstream)


@in_reactor
async def test_the_statistics_say_what_became_of_all(gateway: StartGateway, net: Net) -> None:
    target, refusing = net.upstream(), net.upstream(listens=False)
    proxy = gateway()
    for _ in range(3):
        client = await proxy.shows(old(target.remote))
        await finish(client, await served(client, target))
    for line, status in ((b"bad", b"401"), (b"bad", b"401"), (old(refusing.remote), b"502"), (b"x" * 2000, b"400")):
        client = await proxy.shows(line)
        assert await told(client) == status
    client = await proxy.connect()
    await settle()
    client.reset()
    await proxy.ended(8)
    proxy.service.reload()
    told_of = [line for _, line in proxy.lines if line.startswith("statistics: ")]
    assert told_of[:3] == [
        "statistics: good tokens: 4 (old 4)",
        f"statistics: 200: 3 ({target.remote} 3)",
        "statistics: 401: 2 (not base64 2)",
    ]
    assert sorted(told_of[3:]) == [
        "statistics: -: 1 (undecided 1)",
        "statistics: 400: 1 (no line's end within 1024 bytes 1)",
        f"statistics: 502: 1 ({refusing.remote} 1)",
    ]


@in_reactor
async def test_a_reload_takes_new_keys_and_a_bad_file_keeps_the_old(
    gateway: StartGateway, net: Net, tmp_path: Any
) -> None:
    target = net.upstream()
    proxy = gateway()
    new = Keys({"k2": bytes(32)})
    line = new.seal({"t": target.remote, "e": int(time.time()) + 60}, bytes(16)).encode()
    client = await proxy.shows(line)
    assert await told(client) == b"401"
    (tmp_path / "keys").write_text("k2 nonsense\n")
    proxy.service.reload()
    assert any("not reloaded, the old one stays" in error and "line 1" in error for error in proxy.errors)
    client = await proxy.shows(sealed(target.remote))
    await finish(client, await served(client, target))
    (tmp_path / "keys").write_text(f"k2 {base64.b64encode(bytes(32)).decode()}\n")
    proxy.service.reload()
    client = await proxy.shows(line)
    await finish(client, await served(client, target))
    client = await proxy.shows(sealed(target.remote))
    assert await told(client) == b"401"


@in_reactor
async def test_a_stop_cuts_handshakes_and_lets_tunnels_finish(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway("--drain-timeout", "5")
    silent = await proxy.connect()
    client = await proxy.shows(old(target.remote))
    upstream = await served(client, target)
    stopped: list[None] = []
    proxy.service.stopService().addCallback(stopped.append)
    await settle()
    await client.send(b"still here")
    assert await upstream.receive(10) == b"still here"
    await finish(client, upstream)
    assert stopped == []
    proxy.clock.advance(5)
    assert await silent.read_all() == b""
    silent.close()
    await until(lambda: stopped, "the stop")
    assert sorted(record.outcome for record in proxy.records) == ["completed", "drained"]

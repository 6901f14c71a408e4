"""Where the admin endpoint listens, and what keeps it from that."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import cast

import pytest
from twisted.internet.interfaces import IReactorTime

from proxymux.admin.endpoint import AdminEndpoint, local_instance, make_endpoint
from proxymux.errors import ConfigError
from proxymux.process import Process
from proxymux.settings import Settings
from tests.admin.asking import TOKEN, Asker, Said
from tests.services.fixtures import Start, StartPool
from tests.services.peers import Net, in_reactor, settle


@in_reactor
async def test_a_port_alone_is_one_of_loopback(start: Start) -> None:
    running = start(lambda data: None, admin=0)
    [endpoint] = running.service.admin
    assert str(endpoint.address).startswith("127.0.0.1:")
    assert not running.service.warnings


@in_reactor
async def test_an_endpoint_may_be_a_unix_socket_that_a_killed_process_has_left(
    start: Start, net: Net, tmp_path: Path
) -> None:
    path = tmp_path / "admin"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    running = start(lambda data: None, admin=f"unix:{path}")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    peer = await net.connect(f"unix:{path}")
    await peer.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert Said.read(await peer.read_all()).status == 200
    assert str(running.service.admin[0].address) == f"unix:{path}"


@in_reactor
async def test_a_pool_shows_its_pool(start_pool: StartPool, net: Net) -> None:
    pool = start_pool(net.upstream(), codec="line", admin="0")
    asker = Asker(net, pool)
    assert 'proxymux_pool_upstreams{service="pool",state="idle"} 0.0' in (await asker.get("/metrics")).body.decode()
    assert (await asker.get("/status")).json["services"][0]["pool"]["sv_idle"] == 0


def endpoint_of(option: str, text: str, **settings: object) -> AdminEndpoint:
    from twisted.internet import reactor

    clock = cast("IReactorTime", reactor)
    read = Settings.read({"admin": text, **settings})
    instance = local_instance(Process(reactor, clock), clock)  # type: ignore[arg-type]
    return make_endpoint(reactor, clock, option, text, read, instance, _NO_LOG)  # type: ignore[arg-type]


class _NoLog:
    def info(self, *_: object, **__: object) -> None: ...

    error = warn = info


_NO_LOG = _NoLog()


@in_reactor
async def test_services_that_share_an_endpoint_close_it_together(net: Net) -> None:
    endpoint = endpoint_of("--admin", "0")
    for step in (endpoint.check, endpoint.start, endpoint.check, endpoint.start, endpoint.announce):
        step()
    address = str(endpoint.address)
    assert endpoint.stop() is None
    peer = await net.connect(address)
    await settle()
    closed = endpoint.stop()
    assert closed is not None
    await closed
    await peer.read_until_reset()
    with pytest.raises(ConnectionRefusedError):
        await net.connect(address)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("99999", "--admin: tcp:99999:interface=127.0.0.1: cannot listen on 127.0.0.1:99999: "),
        ("nonsense", "--admin: 'nonsense': "),
        ("127.0.0.1:9090", "--admin: '127.0.0.1:9090': "),
        ("tcp:0:interface=192.0.2.1", "--admin: tcp:0:interface=192.0.2.1: cannot listen on 192.0.2.1:0: "),
        ("haproxy:tcp:0", "--admin: haproxy:tcp:0: haproxy: and tls: are for --listen; ssl: is accepted"),
        ("tls:a.pem:tcp:0", "--admin: tls:a.pem:tcp:0: haproxy: and tls: are for --listen; ssl: is accepted"),
        ("unix:/nowhere/admin", "--admin: unix:/nowhere/admin: cannot listen on "),
    ],
)
def test_where_it_cannot_listen_is_one_line(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        endpoint_of("--admin", text).check()
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)


def test_an_address_that_is_taken_meanwhile_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"^--admin: tcp:{port}:interface=127.0.0.1: cannot listen on 127.0.0.1:"):
            endpoint_of("--admin", str(port)).start()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty; name a file with the token in one line"),
        (b" \n\n", "is empty; name a file with the token in one line"),
        (b"two words\n", "is no token, a word of ASCII characters; name a file with the token in one line"),
        (b"two\nlines\n", "is no token, a word of ASCII characters; name a file with the token in one line"),
        (b"\xc3\xa9", "is no token, a word of ASCII characters; name a file with the token in one line"),
        (b"x" * 5000, "is no token, a word of ASCII characters; name a file with the token in one line"),
        (None, "No such file or directory; name a file with the token in one line"),
    ],
)
def test_a_bad_token_file_is_one_line_without_what_is_in_it(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        endpoint_of("--admin", "0", admin_token_file=str(path)).check()
    assert str(error.value) == f"--admin-token-file: {path}: {words}"


def test_a_token_that_everybody_can_read_is_warned_of(public_folder: Path) -> None:
    path = public_folder / "token"
    path.write_text(TOKEN)
    path.chmod(0o644)
    [warning] = endpoint_of("--admin", "0", admin_token_file=str(path)).warnings()
    assert warning.startswith(f"--admin-token-file: {path}")
    path.chmod(0o640)
    assert endpoint_of("--admin", "0", admin_token_file=str(path)).warnings() == []


@in_reactor
async def test_an_option_that_has_no_effect_is_warned_of(start: Start, tmp_path: Path) -> None:
    running = start(lambda data: None, admin_token_file=str(tmp_path / "token"), admin_host=["a.example"])
    assert running.service.warnings == (
        "--admin-token-file: has no effect without --admin",
        "--admin-host: has no effect without --admin",
    )


@in_reactor
async def test_pprof_has_the_debug_pages_and_nothing_else(net: Net) -> None:
    endpoint = endpoint_of("--pprof", "0")
    endpoint.start()
    peers = {}
    for path in ("/", "/debug/stacks", "/status", "/metrics", "/sessions", "/readyz"):
        peer = await net.connect(str(endpoint.address))
        await peer.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        peers[path] = Said.read(await peer.read_all()).status
    closed = endpoint.stop()
    assert closed is not None
    await closed
    assert [path for path, status in peers.items() if status == 200] == ["/", "/debug/stacks"]
    assert set(peers.values()) == {200, 404}

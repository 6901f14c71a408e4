"""Listening sockets that are opened by one process and accepted on by others."""

from __future__ import annotations

import select
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.protocol import Factory

from proxymux import Reject
from proxymux.errors import ConfigError
from proxymux.net.reactor.twisted_types import installed_reactor
from proxymux.session.binding import BindingReactor
from proxymux.session.listening import Listener
from proxymux.settings import Settings
from tests.services.certificates import Credentials
from tests.services.fixtures import LOOPBACK, Start
from tests.services.peers import Net, in_reactor, settle


def bind(description: str, count: int = 3, **settings: Any) -> BindingReactor:
    listener = Listener(description, Settings.read({"listen": description, **settings}))
    return listener.bind(installed_reactor(), count)


def test_there_is_a_socket_for_each_worker_on_one_port() -> None:
    bound = bind(LOOPBACK)
    try:
        assert len({sock.getsockname() for sock in bound.sockets}) == 1
        assert len({sock.fileno() for sock in bound.sockets}) == 3
        for sock in bound.sockets:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
            assert not sock.getblocking()
            assert not sock.get_inheritable()
    finally:
        bound.close()
    assert [sock.fileno() for sock in bound.sockets] == [-1] * 3


def test_a_unix_socket_is_one_for_all_and_goes_with_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    bound = bind(f"unix:{path}")
    assert len(bound.sockets) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with pytest.raises(ConfigError, match="--listen"):
        bind(f"unix:{path}")
    bound.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("reuses", [False, True])
def test_a_port_that_somebody_has_is_not_shared(reuses: bool) -> None:
    with socket.socket() as other:
        if reuses:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            bind(f"tcp:{port}:interface=127.0.0.1")


def test_the_sockets_of_tls_and_of_a_header_are_plain_ones(own: Credentials) -> None:
    for description in (own.endpoint, f"tls:{own.file}:{LOOPBACK}", f"haproxy:{LOOPBACK}"):
        bound = bind(description, 2)
        assert len(bound.sockets) == 2
        bound.close()


def test_a_socket_that_was_inherited_is_one_for_all() -> None:
    with socket.socket() as inherited:
        inherited.bind(("127.0.0.1", 0))
        inherited.listen()
        bound = BindingReactor(installed_reactor(), Listener(LOOPBACK, Settings.read({"listen": LOOPBACK})), 4)
        bound.adoptStreamPort(inherited.fileno(), socket.AF_INET, None)  # type: ignore[arg-type]
        assert [sock.getsockname() for sock in bound.sockets] == [inherited.getsockname()]
        bound.close()
        assert inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


# Accepting on what another worker was given


@in_reactor
async def test_who_waits_in_another_workers_queue_is_served_until_it_is_given_back(start: Start, net: Net) -> None:
    bound = bind(LOOPBACK, 1)
    (sock,) = bound.sockets
    address = f"127.0.0.1:{sock.getsockname()[1]}"
    waiting = await net.connect(address)
    await waiting.send(b"hello")
    proxy = start(lambda data: Reject(b"served"), max_connections=10)
    for _ in range(2):
        proxy.service.accept_for(2, [(0, sock.dup())])
        assert await waiting.read_all() == b"served"
        proxy.service.give_back(2)
        proxy.service.give_back(2)
        await settle()
        waiting = await net.connect(address)  # waits in the queue again
        await waiting.send(b"hello")
        await settle()
        assert not waiting.has_something()
    assert await proxy.ask(b"x") == b"served"
    assert len(await proxy.ended(3)) == 3
    bound.close()


@in_reactor
async def test_a_drain_gives_back_what_was_lent(start: Start, net: Net) -> None:
    bound = bind(LOOPBACK, 1)
    (sock,) = bound.sockets
    proxy = start(lambda data: Reject(b"served"))
    proxy.service.accept_for(2, [(0, sock.dup())])
    proxy.service.drain(None)
    waiting = await net.connect(f"127.0.0.1:{sock.getsockname()[1]}")
    await waiting.send(b"hello")
    await settle()
    assert not waiting.has_something()
    bound.close()


def test_nobody_new_comes_to_copies_of_sockets_that_are_closed_for_good() -> None:
    bound = bind(LOOPBACK, 1)
    with bound.sockets[0].dup() as copy, socket.socket() as client:
        bound.close()
        client.setblocking(False)
        client.connect_ex(copy.getsockname())
        assert select.select([], [client], [], 0) == ([], [], [])


def test_a_socket_that_systemd_has_passed_is_left_open_for_its_next_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        bound = bind(LOOPBACK, 1)
        bound.adoptStreamPort(passed.fileno(), socket.AF_INET, Factory())
        bound.close()
        with socket.create_connection(passed.getsockname(), 10):
            passed.accept()[0].close()


@in_reactor
async def test_a_listener_accepts_on_what_it_is_given(start: Start, net: Net, tmp_path: Path) -> None:
    proxy = start(lambda data: Reject(b"served"))
    for description in (LOOPBACK, f"unix:{tmp_path}/socket"):
        bound = bind(description, 1)
        (sock,) = bound.sockets
        listener = Listener(description, proxy.service._context.settings, given=sock, is_elsewhere=True)
        listener.check(proxy.reactor, proxy.service._certificates)  # type: ignore[arg-type]
        ports: list[Any] = []
        listener.listen(proxy.service._driver, proxy.service.sessions.begin, proxy.service._certificates).addCallback(
            ports.append
        )
        name = sock.getsockname()
        client = await net.connect(f"unix:{name}" if isinstance(name, str) else f"127.0.0.1:{name[1]}")
        await client.send(b"x")
        assert await client.read_all() == b"served"
        ports[0].stopListening()
        await settle()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)  # the supervisor's own stays
        bound.close()

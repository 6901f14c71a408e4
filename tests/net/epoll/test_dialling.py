"""A dial with a source address takes the local port when the target is known."""

from __future__ import annotations

import socket
from typing import cast

import pytest

from proxymux.core.target import InetTarget
from proxymux.net.epoll.dialling import SocketAttempt
from proxymux.net.epoll.hub import Closable, Hub, Watcher
from proxymux.net.happy_eyeballs import DialListener
from proxymux.net.socket_options import SocketOptions

#: Linux's number, which Python has from 3.12.
IP_BIND_ADDRESS_NO_PORT = 24


class Watching:
    """A hub that only notes the socket."""

    number = -1

    def watch(self, number: int, watcher: Watcher) -> None:
        self.number = number

    def close(self, sock: Closable, number: int) -> None:
        sock.close()


def dialled(host: str, bind: str | None) -> tuple[int, str]:
    """The option of a socket that is connecting, and its source address."""
    hub = Watching()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        target = InetTarget(host, server.getsockname()[1], is_address=True)
        attempt = SocketAttempt(cast("Hub", hub), SocketOptions(), target, bind, cast("DialListener", None))
        with socket.fromfd(hub.number, family, socket.SOCK_STREAM) as sock:
            found = sock.getsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), sock.getsockname()[0]
        attempt.cancel()
    return found


@pytest.mark.parametrize(("host", "bind"), [("127.0.0.1", "127.0.0.2"), ("::1", "::1")])
def test_a_bind_takes_no_port_before_the_target_is_known(host: str, bind: str) -> None:
    assert dialled(host, bind) == (1, bind)


def test_without_a_bind_the_socket_is_as_it_is() -> None:
    assert dialled("127.0.0.1", None) == (0, "127.0.0.1")


def test_a_system_without_the_option_connects_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxymux.net.epoll.dialling._BIND_ADDRESS_NO_PORT", 9999)  # no option's number
    assert dialled("127.0.0.1", "127.0.0.2") == (0, "127.0.0.2")

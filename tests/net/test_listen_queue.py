"""A listening socket that is about to be closed: who waits in its queue stays, and nobody comes into it any more."""

from __future__ import annotations

import errno
import select
import socket

import pytest
from twisted.internet.task import Clock

from proxymux.net.listen_queue import HANDSHAKE_TIME, handshakes_over, turn_away


def listening(address: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.bind((address, 0))
    sock.listen()
    sock.setblocking(False)
    return sock


def begins_to_connect(sock: socket.socket) -> socket.socket:
    client = socket.socket(sock.family, socket.SOCK_STREAM)
    client.setblocking(False)
    assert client.connect_ex(sock.getsockname()[:2]) in (0, errno.EINPROGRESS)
    return client


def is_connected(client: socket.socket, patience: int = 0) -> bool:
    poll = select.poll()
    poll.register(client, select.POLLOUT)
    return any(events == select.POLLOUT for _, events in poll.poll(patience))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_who_waits_stays_and_nobody_new_comes(address: str) -> None:
    with listening(address) as sock, begins_to_connect(sock) as early:
        assert is_connected(early, 10_000)
        turn_away(sock)
        with begins_to_connect(sock) as late:
            accepted, _ = sock.accept()
            with accepted:
                early.send(b"whole")
                accepted.setblocking(True)
                assert accepted.recv(100) == b"whole"
                accepted.sendall(b"answer")
                early.setblocking(True)
                assert early.recv(100) == b"answer"
            assert not is_connected(late)
            with pytest.raises(BlockingIOError):
                sock.accept()


def test_another_socket_of_the_port_takes_who_comes_again() -> None:
    with listening() as sock:
        turn_away(sock)
        with begins_to_connect(sock) as client:
            assert not is_connected(client)
            address = sock.getsockname()
            sock.close()
            with socket.socket() as successor:
                successor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                successor.bind(address)
                successor.listen()
                assert is_connected(client, 10_000)


@pytest.mark.parametrize(("address", "wait"), [("127.0.0.1", 0.0), ("::1", 0.0), ("0.0.0.0", HANDSHAKE_TIME)])
def test_handshakes_with_other_machines_are_given_time(address: str, wait: float) -> None:
    with listening(address) as sock:
        assert turn_away(sock) == wait


@pytest.mark.parametrize(
    ("wait", "limit", "seconds"), [(0.0, None, 0.0), (0.2, None, 0.2), (0.2, 5.0, 0.2), (0.2, 0.0, 0.0)]
)
def test_they_are_waited_for_as_far_as_the_drain_allows(wait: float, limit: float | None, seconds: float) -> None:
    clock = Clock()
    over: list[None] = []
    handshakes_over(clock, wait, limit).addCallback(over.append)
    if seconds:
        clock.advance(seconds - 0.1)
        assert over == []
        clock.advance(0.1)
    assert over == [None]
    assert clock.getDelayedCalls() == []

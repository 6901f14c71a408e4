"""What a TLS socket has still to send."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator

import pytest

from proxymux.net.epoll.tls_send_buffer import TlsSendBuffer
from proxymux.net.tls.engine import MOST_ANSWERS, TlsError
from tests.net.epoll.ends import Ends
from tests.services.certificates import Authority, Credentials


@pytest.fixture
def ends(authority: Authority, own: Credentials) -> Iterator[Ends]:
    made = Ends(authority, own)
    yield made
    made.close()


def test_what_the_kernel_does_not_take_waits_encrypted(ends: Ends) -> None:
    data = bytes(1 << 22)
    sent = ends.tls.send(data)
    assert 0 < sent < len(data)
    waiting = ends.connection.send_buffer
    assert waiting is not None
    waiting.add(b"the rest")
    ends.peer.setblocking(False)
    received = b""
    while ends.connection.send_buffer is not None:
        with contextlib.suppress(BlockingIOError):
            while True:
                ends.client.put(ends.peer.recv(1 << 20))
        with contextlib.suppress(BlockingIOError):
            waiting.send()
            ends.connection.send_buffer = None
    with contextlib.suppress(BlockingIOError):
        while True:
            ends.client.put(ends.peer.recv(1 << 20))
    while len(received) < sent + 8:
        received += ends.client.tls.read(1 << 20)
    assert received == bytes(sent) + b"the rest"


@pytest.mark.parametrize("piece", [1000, 50_000, 1 << 22])
def test_what_is_not_unsent_can_be_read_by_the_peer(ends: Ends, piece: int) -> None:
    sent = 0
    while ends.connection.send_buffer is None:
        sent += ends.tls.send(bytes(piece))
    waiting = ends.connection.send_buffer
    waiting.add(b"the rest")
    assert waiting.unsent > 0
    ends.client.put(ends.peer.recv(1 << 22))
    received = 0
    with contextlib.suppress(ssl.SSLWantReadError):
        while True:
            received += len(ends.client.tls.read(1 << 20))
    assert received == sent + len(b"the rest") - waiting.unsent


def test_answers_that_nobody_reads_are_bounded(ends: Ends) -> None:
    waiting = TlsSendBuffer(ends.below, ends.tls)
    for _ in range(2):
        waiting.add_encrypted(bytes(MOST_ANSWERS), 0, MOST_ANSWERS)
        waiting.add_encrypted(bytes(100), 78, 100)
        with pytest.raises(TlsError, match="reads none"):
            waiting.add_encrypted(b"?", 0, 1)
        waiting.send()

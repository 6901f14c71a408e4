"""TLS in the place of a socket: what it takes, gives and lets go."""

from __future__ import annotations

import contextlib
import gc
import socket
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from proxymux.net.epoll.send_buffer import SendBuffer
from proxymux.net.epoll.tls import TlsSocket
from proxymux.net.tls.engine import TlsError
from proxymux.net.tls.rules import ServerRules
from proxymux.net.tls.server import ServerContexts
from tests.net.tls.memory import MemoryClient
from tests.services.certificates import Authority, Credentials


@dataclass(eq=False)
class Connection:
    """The connection of a TLS socket."""

    sock: TlsSocket | None = None
    send_buffer: SendBuffer | None = None
    is_ending: bool = False
    has_turn: bool = True
    is_secured: bool = False

    def note_secured(self) -> None:
        self.is_secured = True

    def may_shake_hands(self) -> bool:
        return self.has_turn


class Ends:
    """A TLS socket whose handshake is done, and the other end: its client, and the plain socket under that."""

    def __init__(self, authority: Authority, own: Credentials, *, is_secured: bool = True) -> None:
        engine = ServerContexts(str(own.file), ServerRules()).engine(None)
        context = authority.for_client()
        context.check_hostname = False
        self.client = MemoryClient(engine, context, None)
        if is_secured:
            self.client.shake_hands()
        self.below, peer = socket.socketpair()
        self.peer = peer
        self.below.setblocking(False)
        self.connection = Connection()
        self.tls = self.connection.sock = TlsSocket(self.below, engine, self.connection)

    def close(self) -> None:
        self.below.close()
        self.peer.close()

    def say(self, data: bytes) -> None:
        """Have the client send ``data``, encrypted."""
        self.client.tls.write(data)
        self.peer.sendall(self.client.outgoing())

    def read(self, size: int = 100) -> bytes:
        buffer = bytearray(size)
        with memoryview(buffer) as view:
            return bytes(buffer[: self.tls.recv_into(view)])


@pytest.fixture
def ends(authority: Authority, own: Credentials) -> Iterator[Ends]:
    made = Ends(authority, own)
    yield made
    made.close()


def test_it_reads_what_was_sent_and_then_nothing(ends: Ends) -> None:
    ends.say(b"one")
    ends.say(b"two")
    assert ends.read() == b"onetwo"
    with pytest.raises(BlockingIOError):
        ends.read()


def test_what_does_not_fit_is_read_later(ends: Ends) -> None:
    ends.say(b"abcdef")
    assert ends.read(4) == b"abcd"
    assert ends.read(4) == b"ef"


def test_no_handshake_is_done_out_of_turn(authority: Authority, own: Credentials) -> None:
    made = Ends(authority, own, is_secured=False)
    made.connection.has_turn = False
    with contextlib.suppress(Exception):
        made.client.tls.do_handshake()
    made.peer.sendall(made.client.outgoing())
    with pytest.raises(BlockingIOError):
        made.read()
    made.peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        made.peer.recv(1)
    made.connection.has_turn = True
    with pytest.raises(BlockingIOError):
        made.read()
    assert made.peer.recv(1) == b"\x16"
    assert not made.connection.is_secured
    made.close()


def test_close_notify_is_the_end(ends: Ends) -> None:
    ends.say(b"last")
    with contextlib.suppress(Exception):
        ends.client.tls.unwrap()
    ends.peer.sendall(ends.client.outgoing())
    assert [ends.read(), ends.read()] == [b"last", b""]
    assert not ends.tls.is_truncated


def test_a_bare_fin_is_the_end_too_but_noted(ends: Ends) -> None:
    ends.say(b"last")
    ends.peer.shutdown(socket.SHUT_WR)
    assert ends.read() == b"last"
    assert ends.read() == b""
    assert ends.tls.is_truncated


def test_an_error_comes_after_the_bytes_before_it(ends: Ends) -> None:
    ends.say(b"good")
    ends.peer.sendall(b"this is no record of TLS")
    assert ends.read() == b"good"
    with pytest.raises(TlsError):
        ends.read()


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


# Nothing may point into a memoryview for longer than a call: Python crashes where it finds a circle with one such, as
# the traceback of an error that is kept is.


@pytest.fixture
def view() -> memoryview:
    return memoryview(bytearray(1 << 16))


def test_nothing_points_to_what_could_not_be_sent(ends: Ends, view: memoryview) -> None:
    ends.peer.close()
    with pytest.raises((BrokenPipeError, ConnectionResetError)) as kept:
        ends.tls.send(view)
    assert kept.tb is not None
    view.release()


def test_nothing_points_to_where_nothing_was_read(ends: Ends, view: memoryview) -> None:
    with pytest.raises(BlockingIOError) as kept:
        ends.tls.recv_into(view)
    assert kept.tb is not None
    view.release()


def test_nothing_points_to_where_reading_failed(ends: Ends, view: memoryview) -> None:
    ends.peer.sendall(b"this is no record of TLS")
    with pytest.raises(TlsError) as kept:
        ends.tls.recv_into(view)
    assert kept.tb is not None
    view.release()


def test_once_closed_it_is_released_without_a_search_for_circles(authority: Authority, own: Credentials) -> None:
    made = Ends(authority, own)
    handle = weakref.ref(made.tls.engine.connection)
    gc.disable()
    try:
        made.tls.close()
        made.peer.close()
        del made
        assert handle() is None
    finally:
        gc.enable()

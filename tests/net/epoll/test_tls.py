"""TLS in the place of a socket: what it takes, gives and lets go."""

from __future__ import annotations

import contextlib
import gc
import socket
import weakref
from collections.abc import Iterator

import pytest

from proxymux.net.tls.engine import TlsError
from tests.net.epoll.ends import Ends
from tests.services.certificates import Authority, Credentials


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


def test_bytes_that_hold_few_plain_ones_are_read_in_turns_and_in_small_pieces(ends: Ends) -> None:
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    count = 10_000
    for _ in range(count):
        ends.client.tls.write(b"x")
    encrypted = ends.client.outgoing()
    ends.peer.sendall(encrypted)
    record = len(encrypted) // count
    first, second = ends.read(count), ends.read(count)
    assert len(first) == 2 * 65_536 // record  # the third read is decrypted in the next turn
    assert len(first + second) == (3 * 65_536 + 2 * 4096) // record
    assert ends.connection.reads_again == 2
    rest = count - len(first + second)
    while rest:
        rest -= len(ends.read(count))
    ends.client.tls.write(bytes(1 << 18))
    ends.peer.sendall(ends.client.outgoing())
    with contextlib.suppress(BlockingIOError):
        ends.read(65_536)
    ends.read(65_536)
    assert len(ends.read(65_536)) == 65_536  # as before


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

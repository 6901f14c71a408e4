"""The engine: plain bytes in, encrypted bytes out, and the other way round."""

from __future__ import annotations

import ssl

import pytest
from OpenSSL import SSL
from OpenSSL._util import lib

from proxymux.net.tls.engine import CLOSED, TAKE_SIZE, WANT, TlsEngine, TlsError, pointer_to
from proxymux.net.tls.rules import ServerRules
from proxymux.net.tls.server import ServerContexts
from tests.net.tls.memory import MemoryClient
from tests.services.certificates import Authority, Credentials


def read(engine: TlsEngine) -> bytes | int:
    buffer = bytearray(100)
    count = engine.read_into(pointer_to(buffer), len(buffer))
    return bytes(buffer[:count]) if count > 0 else count


@pytest.fixture
def client(authority: Authority, own: Credentials) -> MemoryClient:
    """A client whose handshake with its engine is to be done."""
    context = authority.for_client()
    context.check_hostname = False
    return MemoryClient(ServerContexts(str(own.file), ServerRules()).engine(None), context, None)


@pytest.fixture
def secured(client: MemoryClient) -> MemoryClient:
    client.shake_hands()
    return client


def test_the_handshake_needs_the_peer(client: MemoryClient) -> None:
    assert not client.engine.handshake()
    assert not client.engine.is_secured
    client.shake_hands()
    assert client.engine.is_secured


def test_bytes_pass_both_ways(secured: MemoryClient) -> None:
    secured.send(b"question")
    assert secured.received == b"question"
    secured.say(b"answer")
    assert secured.read() == b"answer"


def test_nothing_is_read_before_more_is_put_in(secured: MemoryClient) -> None:
    assert read(secured.engine) == WANT
    secured.tls.write(b"abc")
    record = secured.outgoing()
    secured.engine.put_bytes(record[:10])
    assert read(secured.engine) == WANT
    secured.engine.put_bytes(record[10:])
    assert read(secured.engine) == b"abc"


def test_close_notify_is_told(secured: MemoryClient) -> None:
    with pytest.raises(ssl.SSLWantReadError):
        secured.tls.unwrap()
    secured.engine.put_bytes(secured.outgoing())
    assert read(secured.engine) == CLOSED


def test_no_take_is_larger_than_its_size(secured: MemoryClient) -> None:
    secured.say(bytes(2 * TAKE_SIZE))
    sizes = []
    while taken := secured.engine.take():
        sizes.append(len(taken))
    assert sizes[:2] == [TAKE_SIZE, TAKE_SIZE]
    assert sum(sizes) > 2 * TAKE_SIZE
    assert not secured.engine.has_output


def test_an_error_has_an_alert_and_leaves_none_behind(secured: MemoryClient, authority: Authority) -> None:
    secured.engine.put_bytes(b"this is no record of TLS")
    with pytest.raises(TlsError, match="what the peer sends is not TLS"):
        read(secured.engine)
    assert secured.engine.has_output
    assert lib.ERR_peek_error() == 0


def test_memory_is_released_only_when_nothing_waits(secured: MemoryClient) -> None:
    secured.say(b"waits")
    secured.engine.shrink()
    assert secured.read() == b"waits"
    secured.engine.shrink()
    secured.say(b"after")
    assert secured.read() == b"after"
    secured.send(b"and back")
    assert secured.received == b"and back"


def test_the_end_of_a_secured_connection_is_told_once(secured: MemoryClient) -> None:
    released: list[SSL.Connection] = []
    secured.engine.when_released = released.append
    secured.engine.release()
    assert released == [secured.engine.connection]


def test_the_end_of_a_handshake_that_failed_is_not(client: MemoryClient) -> None:
    released: list[SSL.Connection] = []
    client.engine.when_released = released.append
    client.engine.put_bytes(b"GET / HTTP/1.0\r\n\r\n")
    with pytest.raises(TlsError, match="plain HTTP"):
        client.engine.handshake()
    client.engine.release()
    assert released == []

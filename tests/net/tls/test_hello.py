"""The ClientHello is read first, whatever its pieces, and the context chosen by its name."""

from __future__ import annotations

import contextlib
import ssl

import pytest

from proxymux.net.memory import MemoryConnection
from proxymux.net.tls.engine import TlsEngine, TlsError
from proxymux.net.tls.hello import GivenTls, NamedTls
from proxymux.net.tls.rules import ServerRules
from proxymux.net.tls.server import ServerContexts
from tests.services.certificates import Credentials


class Contexts(ServerContexts):
    """Contexts that note who has asked for what."""

    def __init__(self, own: Credentials) -> None:
        super().__init__(str(own.file), ServerRules())
        self.asked: list[str | None] = []

    def engine(self, server_name: str | None, hello: bytes = b"") -> TlsEngine:
        self.asked.append(server_name)
        return super().engine(server_name, hello)


class Connection(MemoryConnection):
    """A connection that notes what TLS begins with."""

    began: bytes | None = None

    def start_tls(self, engine: object, received: bytes = b"") -> None:
        assert isinstance(engine, TlsEngine)
        self.began = received


class Owner:
    """The owner of a connection, who must hear of its loss and of nothing else."""

    loss: list[Exception | None]

    def __init__(self) -> None:
        self.loss = []

    def lost(self, reason: Exception | None) -> None:
        self.loss.append(reason)

    def made(self) -> None:
        raise AssertionError

    secured = flushed = finished = made

    def received(self, data: bytes) -> None:
        raise AssertionError


def hello(name: str) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.fixture
def contexts(own: Credentials) -> Contexts:
    return Contexts(own)


@pytest.fixture
def connection() -> Connection:
    made = Connection()
    made.owner = Owner()
    return made


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_the_name_picks_the_context_however_the_hello_comes(
    contexts: Contexts, connection: Connection, size: int
) -> None:
    owner, sent = connection.owner, hello("a.example")
    NamedTls(contexts).start(connection, b"")
    for start in range(0, len(sent), size):
        assert contexts.asked == []
        connection.receive(sent[start : start + size])
    assert contexts.asked == ["a.example"]
    assert connection.began == sent
    assert connection.owner is owner


def test_what_has_come_before_counts(contexts: Contexts, connection: Connection) -> None:
    sent = hello("a.example")
    NamedTls(contexts).start(connection, sent[:100])
    connection.receive(sent[100:] + b"more")
    assert (contexts.asked, connection.began) == (["a.example"], sent + b"more")


def test_what_is_no_hello_is_left_to_openssl(contexts: Contexts, connection: Connection) -> None:
    NamedTls(contexts).start(connection, b"GET / HTTP/1.0\r\n")
    assert (contexts.asked, connection.began) == ([None], b"GET / HTTP/1.0\r\n")


def test_a_fin_in_the_hello_is_left_to_openssl_too(contexts: Contexts, connection: Connection) -> None:
    sent = hello("a.example")[:50]
    NamedTls(contexts).start(connection, sent)
    connection.owner.finished()
    assert (contexts.asked, connection.began) == ([None], sent)


def test_the_owner_is_told_of_a_loss(contexts: Contexts, connection: Connection) -> None:
    owner = connection.owner
    assert isinstance(owner, Owner)
    NamedTls(contexts).start(connection, b"")
    connection.abort()
    assert [type(reason) for reason in owner.loss] == [TlsError]  # of the handshake, whatever the loss was
    assert contexts.asked == []


def test_an_endpoint_that_makes_its_contexts_is_not_given_a_name(contexts: Contexts, connection: Connection) -> None:
    GivenTls(lambda: contexts.engine(None)).start(connection, b"any bytes")
    assert connection.began == b"any bytes"

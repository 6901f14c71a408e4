"""The HTTP client of sources, with a server that answers whatever bytes a test wants."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed
from zope.interface import implementer

from proxymux.core.target import parse_address
from proxymux.discovery.http_client import KEPT_FOR, Answer, HttpClient
from proxymux.discovery.http_connections import (
    CONNECT_TIMEOUT,
    MAX_ANSWER,
    USUAL,
    AskingFailed,
    Limits,
    NotConnected,
    TooLong,
)
from proxymux.discovery.http_tls import TlsFiles
from tests.services.certificates import Authority
from tests.services.peers import Net, Peer, TlsPeer, Upstream, in_reactor, settle, until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


class Scene:
    """A client and the server that it asks."""

    def __init__(self, net: Net) -> None:
        from twisted.internet import reactor

        self.net = net
        self.server: Upstream = net.upstream()
        self.clock = Clock()
        self._reactor: Any = reactor
        self.client = self.client_of(self.server.remote)

    def client_of(self, address: str, tls: TlsFiles | None = None, limits: Limits = USUAL) -> HttpClient:
        self.client = HttpClient(self._reactor, self.clock, parse_address(address), tls, limits)
        return self.client

    def ask(self, path: str = "/x", **headers: str) -> Deferred[Answer]:
        return self.client.get(path, headers, 20.0)

    async def answered(self, data: bytes, *, ends: bool = False) -> Answer:
        """What a request comes to that a new connection answers with ``data``."""
        asked = self.ask()
        peer = await self.server.accept()
        await head(peer)
        await peer.send(data)
        if ends:
            peer.close()
        return await asked


async def head(peer: Peer) -> bytes:
    """The next request."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += await peer.read_some()
    return data


@pytest.fixture
def scene(net: Net) -> Iterator[Scene]:
    scene = Scene(net)
    yield scene
    scene.client.close()
    assert scene.clock.getDelayedCalls() == []


async def reason_of(asked: Coroutine[Any, Any, Any] | Deferred[Any], kind: type[AskingFailed] = AskingFailed) -> str:
    with pytest.raises(kind) as raised:
        await asked
    return str(raised.value)


@in_reactor
async def test_a_request_and_its_answer(scene: Scene) -> None:
    asked = scene.ask("/x?y=%20", X_Token="a", Other="b")
    peer = await scene.server.accept()
    first, *headers = (await head(peer)).decode().splitlines()
    assert first == "GET /x?y=%20 HTTP/1.1"
    assert sorted(headers) == ["", f"Host: {scene.server.remote}", "Other: b", "X_token: a"]
    await peer.send(b"HTTP/1.1 418 Teapot\r\nX-A: 1\r\nx-a: 2\r\n" + CHUNKED + b"2\r\nok\r\n0\r\n\r\n")
    answer = await asked
    assert (answer.status, answer.body, answer.header("X-A"), answer.header("X-B")) == (418, b"ok", "2", None)


@in_reactor
async def test_the_connection_is_kept_for_the_next_request_and_not_for_ever(scene: Scene) -> None:
    asked = scene.ask()
    peer = await scene.server.accept()
    for _ in range(2):
        await head(peer)
        await peer.send(OK)
        assert (await asked).body == b"ok"
        asked = scene.ask()
    await head(peer)
    await peer.send(OK)
    await asked
    scene.clock.advance(KEPT_FOR)
    assert await peer.read_until_reset() == b""


@in_reactor
async def test_a_kept_connection_that_the_server_has_closed_is_replaced(scene: Scene) -> None:
    asked = scene.ask()
    first = await scene.server.accept()
    await head(first)
    await first.send(OK)
    await asked
    first.close()
    await settle()
    assert (await scene.answered(OK)).body == b"ok"


@in_reactor
async def test_a_request_whose_connection_is_lost_is_not_made_again(scene: Scene) -> None:
    asked = scene.ask()
    peer = await scene.server.accept()
    for _ in range(2):
        await head(peer)
        await peer.send(OK)
        await asked
        asked = scene.ask()
    await head(peer)
    peer.close()
    assert await reason_of(asked) == "closed"
    assert await scene.server.is_left_alone()


@in_reactor
async def test_headers_may_hold_any_bytes(scene: Scene) -> None:
    answer = await scene.answered(b"HTTP/1.1 200 OK\r\nX-A: \xff\r\nContent-Length: 0\r\n\r\n")
    assert (answer.header("X-A"), answer.body) == ("\xff", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\nConte", "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "closed"),
        (b"HTTP/1.1 200 OK\r\n\r\nok", "the answer does not say how long it is"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nok", "closed"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "what the server sends is not HTTP: "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok", "what the server sends is not HTTP: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "what the server sends is not HTTP: "),
    ],
)
@in_reactor
async def test_an_answer_that_is_cut_or_none_is_a_failure(scene: Scene, data: bytes, reason: str) -> None:
    assert (await reason_of(scene.answered(data, ends=True))).startswith(reason)


@in_reactor
async def test_what_is_compressed_stays_so(scene: Scene) -> None:
    answer = await scene.answered(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok")
    assert answer.body == b"ok"


@in_reactor
async def test_a_redirection_is_an_answer(scene: Scene) -> None:
    other = scene.net.upstream()
    answer = await scene.answered(
        f"HTTP/1.1 302 Found\r\nLocation: http://{other.remote}/\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert answer.status == 302
    assert await other.is_left_alone()


HEADER = b"a: " + b"b" * 9000 + b"\r\n"


@pytest.mark.parametrize(
    ("begin", "piece"),
    [(b"", HEADER), (CHUNKED, b"%x\r\n%b\r\n" % (len(HEADER), HEADER)), (b"Content-Length: 99999999\r\n\r\n", HEADER)],
    ids=["head", "chunks", "body"],
)
@in_reactor
async def test_an_answer_without_an_end_is_cut(scene: Scene, begin: bytes, piece: bytes) -> None:
    asked = scene.ask()
    peer = await scene.server.accept()
    await head(peer)
    await peer.send(b"HTTP/1.1 200 OK\r\n" + begin)
    sent = 0
    while not asked.called and sent < 2 * MAX_ANSWER:
        try:
            await peer.send(piece * 100)
        except OSError:
            break
        sent += 100 * len(piece)
    assert await reason_of(asked) == "the answer has more than 16 MiB"


@in_reactor
async def test_the_size_is_that_of_each_answer(scene: Scene) -> None:
    asked = scene.ask()
    peer = await scene.server.accept()
    size = MAX_ANSWER * 2 // 3
    for _ in range(2):
        await head(peer)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        assert len((await asked).body) == size
        asked = scene.ask()
    asked.addErrback(lambda _: None)
    asked.cancel()


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nX", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\no"])
@in_reactor
async def test_an_answer_has_to_be_there_in_time(scene: Scene, data: bytes) -> None:
    asked = scene.ask()
    peer = await scene.server.accept()
    await head(peer)
    await peer.send(data)
    await settle()
    scene.clock.advance(19.9)
    assert not asked.called
    scene.clock.advance(0.2)
    assert await reason_of(asked) == "no answer within 20 s"
    await peer.read_until_reset()


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200 OK\r\nX", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\no"])
@in_reactor
async def test_a_request_that_is_cancelled_resets_its_connection(scene: Scene, data: bytes) -> None:
    asked = scene.ask()
    peer = await scene.server.accept()
    await head(peer)
    await peer.send(data)
    await settle()
    asked.cancel()
    await reason_of(asked)
    await peer.read_until_reset()
    assert scene.clock.getDelayedCalls() == []


@in_reactor
async def test_a_connection_has_to_be_made_in_time(scene: Scene) -> None:
    scene.server.fill_queue()
    asked = scene.ask()
    await settle()
    scene.clock.advance(CONNECT_TIMEOUT - 0.1)
    assert not asked.called
    scene.clock.advance(0.2)
    assert await reason_of(asked, NotConnected) == "no connection within 10 s"


@in_reactor
async def test_a_tls_server_that_does_not_answer_the_end_is_left_at_once(scene: Scene, authority: Authority) -> None:
    asked, peer = await over_tls(scene, authority, "127.0.0.1")
    await head(peer)
    await peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
    assert (await asked).body == b"ok"
    await peer.read_until_cut()


@in_reactor
async def test_a_certificate_that_has_expired_or_is_anothers_is_not_accepted(
    scene: Scene, authority: Authority, stranger: Authority
) -> None:
    for own, reason in (
        (authority.issue_expired("localhost"), "the peer's certificate is not accepted: it has expired"),
        (stranger.issue("localhost"), "the peer's certificate is not accepted: its issuer is not known"),
        (authority.issue("other.example"), "the certificate is not one for localhost; it names other.example"),
        (authority.issue_with("localhost"), "the certificate is not one for localhost; "),
    ):
        scene.client_of(f"localhost:{scene.server.port}", TlsFiles(str(authority.file)))
        asked = scene.ask()
        peer = scene.net.secure(await scene.server.accept(), own.for_server())
        assert await peer.hear() == b""
        assert (await reason_of(asked)).startswith(reason)


@in_reactor
async def test_a_server_that_speaks_no_tls(scene: Scene, authority: Authority) -> None:
    scene.client_of(scene.server.remote, TlsFiles(str(authority.file)))
    asked = scene.ask()
    await (await scene.server.accept()).send(OK)
    assert await reason_of(asked) == "what the peer sends is not TLS"


async def over_tls(scene: Scene, authority: Authority, host: str) -> tuple[Deferred[Answer], TlsPeer]:
    """A request over TLS, and the other end of its connection."""
    scene.client_of(f"{host}:{scene.server.port}", TlsFiles(str(authority.file)))
    asked = scene.ask()
    peer = scene.net.secure(await scene.server.accept(), authority.issue(host).for_server())
    await peer.handshake()
    return asked, peer


@in_reactor
async def test_a_server_that_is_not_there(scene: Scene) -> None:
    scene.server.close()
    assert await reason_of(scene.ask(), NotConnected) == "connection refused"


@in_reactor
async def test_a_name_is_resolved(scene: Scene) -> None:
    scene.client_of(f"localhost:{scene.server.port}")
    assert (await scene.answered(OK)).body == b"ok"


@in_reactor
async def test_a_body_is_sent_and_the_connection_is_kept(scene: Scene) -> None:
    asked = scene.client.post("/x", {"A": "b"}, b"body", 20.0)
    peer = await scene.server.accept()
    for _ in range(2):
        lines = (await posted(peer, b"body")).decode().splitlines()
        assert lines[0] == "POST /x HTTP/1.1"
        assert sorted(lines[1:]) == ["", "A: b", "Content-Length: 4", f"Host: {scene.server.remote}"]
        await peer.send(OK)
        assert (await asked).body == b"ok"
        asked = scene.client.post("/x", {"A": "b"}, b"body", 20.0)
    asked.addErrback(lambda _: None)
    asked.cancel()


async def posted(peer: Peer, body: bytes) -> bytes:
    """The head of the next request, whose body is ``body``."""
    data = b""
    while b"\r\n\r\n" not in data or not data.endswith(body):
        data += await peer.read_some()
    return data.removesuffix(body)


@in_reactor
async def test_of_two_requests_one_fails_alone(scene: Scene) -> None:
    good, bad = scene.ask("/good"), scene.ask("/bad")
    peers = [await scene.server.accept() for _ in range(2)]
    by_path = {(await head(peer)).split()[1]: peer for peer in peers}
    await by_path[b"/bad"].send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\no")
    await settle()
    bad.cancel()
    await reason_of(bad)
    await by_path[b"/bad"].read_until_reset()
    await by_path[b"/good"].send(OK)
    assert (await good).body == b"ok"


class Pieces(Protocol):
    """Keeps the body of a stream, and why it has ended."""

    def __init__(self) -> None:
        self.data = b""
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.data += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason

    async def end(self) -> Failure:
        """Why it has ended, when it has."""
        await until(lambda: self.reason, "the end of the stream")
        assert self.reason is not None
        return self.reason


async def streaming(scene: Scene, answer: bytes) -> tuple[Pieces, Answer | None, Peer]:
    """A stream whose answer begins with ``answer``."""
    pieces = Pieces()
    asked = scene.client.stream("/x", {}, b"body", 20.0, pieces)
    peer = await scene.server.accept()
    await posted(peer, b"body")
    await peer.send(answer)
    return pieces, await asked, peer


@in_reactor
async def test_a_stream_may_have_more_bytes_than_an_answer(scene: Scene) -> None:
    scene.client_of(scene.server.remote, limits=Limits(answer=1000))
    pieces, answer, peer = await streaming(scene, b"HTTP/1.1 200 OK\r\n" + CHUNKED)
    assert answer is None
    await peer.send(b"bb8\r\n" + bytes(3000) + b"\r\n")
    await until(lambda: len(pieces.data) == 3000, "the stream")
    scene.clock.advance(100.0)
    await peer.send(b"1\r\n!\r\n")
    await until(lambda: len(pieces.data) == 3001, "the stream after any time")
    transport: Any = pieces.transport
    transport.loseConnection()
    await peer.read_until_reset()
    await pieces.end()


@in_reactor
async def test_a_stream_ends_with_its_connection_or_its_client(scene: Scene) -> None:
    pieces, _, peer = await streaming(scene, b"HTTP/1.1 200 OK\r\n" + CHUNKED)
    peer.close()
    assert (await pieces.end()).check(ResponseFailed)
    pieces, _, peer = await streaming(scene, b"HTTP/1.1 200 OK\r\n" + CHUNKED)
    scene.client.close()
    await peer.read_until_reset()
    await pieces.end()


@in_reactor
async def test_a_refused_stream_is_an_answer(scene: Scene) -> None:
    pieces, answer, _ = await streaming(scene, b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno")
    assert answer is not None
    assert (answer.status, answer.body, pieces.data, pieces.transport) == (503, b"no", b"", None)


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 503 No\r\nContent-Length: 9999\r\n\r\n"])
@in_reactor
async def test_a_stream_that_does_not_begin_is_limited(scene: Scene, begin: bytes) -> None:
    scene.client_of(scene.server.remote, limits=Limits(answer=1000))
    asked = scene.client.stream("/x", {}, b"body", 20.0, Pieces())
    peer = await scene.server.accept()
    await posted(peer, b"body")
    await peer.send(begin + b"a: bcdefgh\r\n" * 100)
    with pytest.raises(TooLong, match=r"^the answer has more than 0\.00\d+ MiB$"):
        await asked
    await peer.read_until_reset()


@in_reactor
async def test_a_tls_connection_that_was_kept_and_lost_is_forgotten(scene: Scene, authority: Authority) -> None:
    asked, peer = await over_tls(scene, authority, "127.0.0.1")
    await head(peer)
    await peer.send(OK)
    await asked
    peer.cut()
    await settle()
    scene.clock.advance(KEPT_FOR)


@in_reactor
async def test_connections_leave_no_line_in_the_log(scene: Scene) -> None:
    lines: list[str | None] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    try:
        await scene.answered(OK)
        await streaming(scene, b"HTTP/1.1 200 OK\r\n" + CHUNKED)
        scene.client.close()
        await settle()
    finally:
        globalLogPublisher.removeObserver(observe)
    assert lines == []

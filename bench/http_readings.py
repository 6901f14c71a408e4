"""How the codec, h11 and llhttp read the same HTTP/1 bytes.

A reading is where messages end and what follows from them.  It ends where the codec looks no further: at what is
refused, and behind the last message of a connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

import h11

from proxymux.core.codecs import Kind
from proxymux.core.codecs.http import HttpCodec
from proxymux.core.codecs.http.hint import Hint, HttpClient
from proxymux.errors import BadMessage

_CODEC: Final = HttpCodec()


class Message(NamedTuple):
    """One message.

    :param end: the offset behind it.
    :param is_last: its connection is closed, or its client has an upstream alone, after it.
    :param says: what else is known of it.
    """

    end: int
    is_last: bool
    says: str


class Reading(NamedTuple):
    """What was found: whole messages, and whether something was refused behind them."""

    messages: list[Message]
    is_refused: bool = False


def our_requests(pieces: Iterable[bytes]) -> Reading:
    """As the codec reads them."""
    scanner = _CODEC.requests()
    messages: list[Message] = []
    offset = 0
    for piece in pieces:
        is_refused = False
        try:
            found = scanner.feed(piece)
        except BadMessage as bad:
            found, is_refused = bad.finished, True
        for each in found:
            if each.kind is not Kind.REFUSED:  # empty lines before a request
                hint = each.hint
                assert isinstance(hint, Hint)
                says = f"{each.kind.value} {hint.is_head} {hint.is_last}"
                messages.append(Message(offset + each.end, each.kind is not Kind.PLAIN, says))
        if is_refused:
            return Reading(messages, True)
        offset += len(piece)
    return Reading(messages)


def our_replies(pieces: Iterable[bytes], methods: Sequence[bytes]) -> Reading:
    """As the codec reads replies to requests with these methods; the connection ends behind the last piece."""
    scanner = _CODEC.replies()
    clients = [HttpClient() for _ in methods]
    for method, client in zip(methods, clients, strict=True):
        scanner.expect(Hint(client, is_head=method == b"HEAD"))
    ends: list[int] = []
    offset, is_refused = 0, False
    for piece in pieces:
        try:
            found = scanner.feed(piece)
        except BadMessage as bad:
            found, is_refused = bad.finished, True
        ends += [offset + end for end in found]
        if is_refused:
            break
        offset += len(piece)
    if not is_refused and scanner.finish():
        ends.append(offset)
    last = len(ends) - 1 if scanner.must_close else None
    # What follows the last message, or answers no request, is refused whatever it is.
    is_over = scanner.must_close or len(ends) == len(methods)
    messages = [Message(end, n == last, str(clients[n].is_challenged)) for n, end in enumerate(ends)]
    return Reading(messages, is_refused and not is_over)


def h11_requests(data: bytes) -> Reading:
    """As h11 reads them; empty lines before a request, which it does not know, are passed over."""
    messages: list[Message] = []
    at = 0
    while at < len(data) and not (messages and messages[-1].is_last):
        while data.startswith(b"\r\n", at):
            at += 2
        if data[at:] in (b"", b"\r"):
            break
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        try:
            head, end = _read(connection, data, at)
        except h11.RemoteProtocolError:
            return Reading(messages, True)
        if end is None:
            break
        is_last = _closes(head)
        kind = Kind.OWN if _wants_upstream(head) else Kind.LAST if is_last else Kind.PLAIN
        messages.append(Message(end, kind is not Kind.PLAIN, f"{kind.value} {head.method == b'HEAD'} {is_last}"))
        at = end
    return Reading(messages)


def h11_replies(data: bytes, methods: Sequence[bytes]) -> Reading:
    """As h11 reads replies to requests with these methods."""
    messages: list[Message] = []
    at = 0
    for method in methods:
        if at >= len(data) or (messages and messages[-1].is_last):
            break
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        connection.send(h11.EndOfMessage())
        try:
            head, end = _read(connection, data, at)
            is_endless = end is None and head is not None and _is_endless(head)
        except h11.RemoteProtocolError:
            return Reading(messages, True)
        if end is None and not is_endless:
            break
        is_last = is_endless or _closes(head)
        messages.append(Message(len(data) if end is None else end, is_last, str(_authenticates(head, b"authenticate"))))
        at = messages[-1].end
    return Reading(messages)


def _read(connection: h11.Connection, data: bytes, at: int) -> tuple[Any, int | None]:
    """The head of the message at ``at``, and the offset behind it; None if it is not whole."""
    connection.receive_data(data[at:])
    head: Any = None
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request | h11.Response):
            head = event
        elif isinstance(event, h11.EndOfMessage):
            return head, len(data) - len(connection.trailing_data[0])
        elif event is h11.NEED_DATA or event is h11.PAUSED:
            return head, None
        assert not isinstance(event, h11.ConnectionClosed)


def _values(head: Any, name: bytes) -> list[bytes]:
    return [value.lower() for key, value in head.headers if key == name]


def _words(head: Any, name: bytes) -> list[bytes]:
    return [word.strip() for value in _values(head, name) for word in value.split(b",")]


def _closes(head: Any) -> bool:
    options = _words(head, b"connection")
    return b"close" in options or (head.http_version == b"1.0" and b"keep-alive" not in options)


def _is_endless(head: Any) -> bool:
    return not _values(head, b"content-length") and not _values(head, b"transfer-encoding")


def _authenticates(head: Any, what: bytes) -> bool:
    fields = [b"proxy-" + what, what if what == b"authorization" else b"www-" + what]
    words = b",".join(value for name in fields for value in _values(head, name)).replace(b",", b" ").split()
    return b"ntlm" in words or b"negotiate" in words


def _wants_upstream(head: Any) -> bool:
    optional = all(word.partition(b"/")[0] in (b"h2c", b"http", b"tls") for word in _words(head, b"upgrade"))
    return (
        head.method == b"CONNECT"
        or _authenticates(head, b"authorization")
        or (b"upgrade" in _words(head, b"connection") and not optional)
    )


def llhttp_says(data: bytes, messages: int, *, replies: bool) -> str:
    """What llhttp, by httptools, says of these whole messages: ``same``, why it refuses them, or ``OTHER`` messages."""
    httptools = import_module("httptools")
    found = _Counted()
    parser = found.parser = (httptools.HttpResponseParser if replies else httptools.HttpRequestParser)(found)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        # llhttp stops at every offer of another protocol, and the codec goes on where a server may ignore it.
        return "same for llhttp up to an upgrade" if found.whole <= messages else "OTHER"
    except httptools.HttpParserError as problem:
        return f"refused by llhttp: {problem}"
    # A body that its connection ends has no end here.
    return "same for llhttp" if found.whole == messages or (replies and found.is_open) else "OTHER"


class _Counted:
    """Takes llhttp's callbacks, and counts what is no interim reply."""

    def __init__(self) -> None:
        self.parser: Any = None
        self.whole = 0
        self.is_open = False

    def on_message_begin(self) -> None:
        self.is_open = True

    def on_message_complete(self) -> None:
        self.is_open = False
        get_status = getattr(self.parser, "get_status_code", None)
        self.whole += get_status is None or get_status() >= 200

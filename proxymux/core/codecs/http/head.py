"""Heads: the start line and header fields of a message, and what they say about the body (RFC 9112 sections 2 to 6).

The library h11 parses them strictly; this module refuses in addition what h11 tolerates and a pool must not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final, NoReturn

import h11

from proxymux.core.codecs.http.answers import bad
from proxymux.core.codecs.limits import DEFAULT_LIMITS

#: The most bytes of a head that h11 takes; a head is checked against the codec's limit before.
_LIMIT_OF_H11: Final = DEFAULT_LIMITS.head
#: Bytes of the longest head whose parse result is cached.
_REMEMBERED: Final = 2048

#: What is refused in a head: CR or LF alone, folded lines (section 5.2), control characters (RFC 9110 section 5.5).
_ODD: Final = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n)|\n[ \t]")
_LENGTH: Final = re.compile(rb"\ncontent-length:([^\r]*)", re.IGNORECASE)
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")
_INTERIM: Final = re.compile(rb"HTTP/(1\.[01]) (1[0-9]{2})[ \r]")
#: How a message begins: with a method (the longest registered one has 17 bytes), or with a reply's version.
_START: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?: |\Z)|HTTP/")
#: The fields in which client and server authenticate each other.
_AUTHENTICATION: Final = frozenset(
    (b"authorization", b"proxy-authorization", b"www-authenticate", b"proxy-authenticate")
)
#: The schemes that authenticate the connection instead of a request (RFC 4559 section 6, MS-NTHT), wherever in a list.
_OF_CONNECTION: Final = re.compile(rb"(?:^|[\s,])(?:ntlm|negotiate)(?=[\s,]|$)", re.IGNORECASE)


class PartialHead:
    """Assembles heads from chunks.

    :param limit: the most bytes of a head.
    """

    def __init__(self, limit: int) -> None:
        self._kept = bytearray()
        self._limit = limit

    @property
    def is_empty(self) -> bool:
        """True if no unfinished head is kept."""
        return not self._kept

    def take(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        """Return the head that begins or continues at ``at``, and the offset in ``data`` where it ends.

        :returns: None if the head does not end in ``data``; the rest of ``data`` is kept then.
        :raises BadMessage: if the bytes cannot be a head, or it is too long.
        """
        kept = self._kept
        if not kept:
            end = data.find(b"\r\n\r\n", at) + 4
            if end >= 4:
                head = data[at:end]
                self._check(head, 0, len(head))
                return head, end
            kept += data[at : at + self._limit + 1]
            self._check_begun(0)
            return None
        before = len(kept)
        kept += data[at : at + self._limit + 1]
        end = kept.find(b"\r\n\r\n", max(0, before - 3)) + 4
        if end < 4:
            self._check_begun(before)
            return None
        head = bytes(kept[:end])
        kept.clear()
        self._check(head, 0, len(head))
        return head, at + end - before

    def _check_begun(self, before: int) -> None:
        """Refuse an unfinished head as soon as it cannot become a valid one.

        :param before: the number of its bytes that were checked before.
        """
        # The LF of a CR at the end may come with the next chunk.
        kept = self._kept
        self._check(kept, max(0, before - 1), len(kept) - (1 if kept.endswith(b"\r") else 0))

    def _check(self, head: bytes | bytearray, start: int, end: int) -> None:
        if len(head) > self._limit:
            raise bad(f"a head of more than {self._limit} bytes", 431)
        if not _START.match(head, 0, 33):
            raise bad("no HTTP/1 message")
        if _ODD.search(head, start, end):
            raise bad("a control character, a folded line, or a CR or LF alone")


class Head:
    """What a head says about the end of the message and about the connection.

    :param raw: the bytes of the head.
    :param version: ``b"1.0"`` or ``b"1.1"``.
    :param fields: the header fields, with names in lower case.
    :raises BadMessage: if the message could be framed in two ways.
    """

    __slots__ = ("authenticates_connection", "is_chunked", "length", "options", "upgrades", "version")

    def __init__(self, raw: bytes, version: bytes, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self.version = version
        #: The body is in the chunked transfer coding.
        self.is_chunked = False
        #: The options of the Connection field, in lower case.
        self.options: set[bytes] = set()
        #: The protocols of the Upgrade field, in lower case.
        self.upgrades: set[bytes] = set()
        #: A request with credentials for the connection, or a reply that asks for them.
        self.authenticates_connection = False
        for name, value in fields:
            if name == b"connection":
                self.options.update(_words(value))
            elif name == b"upgrade":
                self.upgrades.update(_words(value))
            elif name in _AUTHENTICATION and _OF_CONNECTION.search(value):
                self.authenticates_connection = True
            elif name == b"transfer-encoding":
                self.is_chunked = True
        # h11 merges several equal lengths into one, but other readers may not, so they are refused.
        lengths = _LENGTH.findall(raw)
        #: The value of Content-Length, in bytes; None if the field is absent.
        self.length = int(_only(lengths)) if lengths else None
        if self.is_chunked and self.length is not None:
            raise bad("both Content-Length and Transfer-Encoding")
        if self.is_chunked and version == b"1.0":
            raise bad("Transfer-Encoding in HTTP/1.0")

    @property
    def is_last(self) -> bool:
        """True if the sender closes the connection after this message (section 9.3)."""
        return b"close" in self.options or (self.version == b"1.0" and b"keep-alive" not in self.options)


def read_request(raw: bytes) -> tuple[h11.Request, Head]:
    """Parse the head of a request.

    The result may come from a cache, so callers must not change it.

    :raises BadMessage: if the bytes are no request, or one that could be framed in two ways.
    """
    return _known_request(raw) if len(raw) <= _REMEMBERED else _parse_request(raw)


def read_reply(raw: bytes) -> tuple[int, Head]:
    """Parse the head of a reply into its status and the rest; otherwise as :func:`read_request`."""
    return _known_reply(raw) if len(raw) <= _REMEMBERED else _parse_reply(raw)


def _parse_request(raw: bytes) -> tuple[h11.Request, Head]:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_LIMIT_OF_H11)
    event: object = None
    try:
        connection.receive_data(raw)
        event = connection.next_event()
    except h11.RemoteProtocolError as problem:
        _refuse(problem)
    assert isinstance(event, h11.Request)
    _check_version(event.http_version)
    return event, Head(raw, event.http_version, event.headers)


def _parse_reply(raw: bytes) -> tuple[int, Head]:
    interim = _INTERIM.match(raw)
    if interim is not None:
        # h11 does not parse an interim reply before it was told of the request.
        return int(interim[2]), Head(b"", interim[1], ())
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LIMIT_OF_H11)
    event: object = None
    try:
        connection.receive_data(raw)
        event = connection.next_event()
    except h11.RemoteProtocolError as problem:
        _refuse(problem)
    assert isinstance(event, h11.Response | h11.InformationalResponse)
    _check_version(event.http_version)
    return event.status_code, Head(raw, event.http_version, event.headers)


#: h11 takes 20 µs for a head, and many heads are equal.
_known_request = functools.lru_cache(maxsize=256)(_parse_request)
_known_reply = functools.lru_cache(maxsize=256)(_parse_reply)


def _words(value: bytes) -> Iterable[bytes]:
    """Return the members of a list (RFC 9110 section 5.6.1), in lower case."""
    return (word.strip() for word in value.lower().split(b","))


def _check_version(version: bytes) -> None:
    if version not in (b"1.0", b"1.1"):
        raise bad(f"HTTP/{version.decode('ascii')}", 505)


def _only(lengths: list[bytes]) -> bytes:
    text = lengths[0].strip(b" \t")
    if len(lengths) > 1 or not _DIGITS.fullmatch(text):
        raise bad("several Content-Length, or one that is no number")
    return text


def _refuse(problem: h11.RemoteProtocolError) -> NoReturn:
    status = problem.error_status_hint
    # Only up to the colon: behind it h11 quotes the message, which may contain a password.
    raise bad(str(problem).partition(":")[0], status if status in (431, 501) else 400) from None

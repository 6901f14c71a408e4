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

#: The limit of a head, and of the trailer of a chunked body, in bytes.
LIMIT: Final = 64 * 1024
#: Bytes of the longest head whose parse result is cached.
_REMEMBERED: Final = 2048

#: What is refused in a head: CR or LF alone, folded lines (section 5.2), control characters (RFC 9110 section 5.5).
_ODD: Final = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n)|\n[ \t]")
_LENGTH: Final = re.compile(rb"\ncontent-length:([^\r]*)", re.IGNORECASE)
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")
_INTERIM: Final = re.compile(rb"HTTP/(1\.[01]) (1[0-9]{2})[ \r]")
#: How a message begins: with a method (the longest registered one has 17 bytes), or with a reply's version.
_START: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?: |\Z)|HTTP/")


class PartialHead:
    """Assembles heads from chunks; keeps at most :data:`LIMIT` bytes of one."""

    def __init__(self) -> None:
        self._kept = bytearray()

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
                return _checked(data[at:end]), end
            kept += data[at : at + LIMIT + 1]
            _check_begun(kept, 0)
            return None
        before = len(kept)
        kept += data[at : at + LIMIT + 1]
        end = kept.find(b"\r\n\r\n", max(0, before - 3)) + 4
        if end < 4:
            _check_begun(kept, before)
            return None
        head = bytes(kept[:end])
        kept.clear()
        return _checked(head), at + end - before


class Head:
    """What a head says about the end of the message and of the connection.

    :param raw: the bytes of the head.
    :param version: ``b"1.0"`` or ``b"1.1"``.
    :param fields: the header fields, with names in lower case.
    :raises BadMessage: if the message could be framed in two ways.
    """

    __slots__ = ("is_chunked", "length", "options", "version")

    def __init__(self, raw: bytes, version: bytes, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self.version = version
        #: The body is in the chunked transfer coding.
        self.is_chunked = False
        #: The options of the Connection field, in lower case.
        self.options: set[bytes] = set()
        for name, value in fields:
            if name == b"connection":
                self.options.update(word.strip() for word in value.lower().split(b","))
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
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
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
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LIMIT)
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


def _checked(raw: bytes) -> bytes:
    _check(raw, 0, len(raw))
    return raw


def _check_begun(kept: bytearray, before: int) -> None:
    """Refuse an unfinished head as soon as it cannot become a valid one.

    :param before: the number of bytes of ``kept`` that were checked before.
    """
    # The LF of a CR at the end may come with the next chunk.
    _check(kept, max(0, before - 1), len(kept) - (1 if kept.endswith(b"\r") else 0))


def _check(head: bytes | bytearray, start: int, end: int) -> None:
    if len(head) > LIMIT:
        raise bad(f"a head of more than {LIMIT} bytes", 431)
    if not _START.match(head, 0, 33):
        raise bad("no HTTP/1 message")
    if _ODD.search(head, start, end):
        raise bad("a control character, a folded line, or a CR or LF alone")


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

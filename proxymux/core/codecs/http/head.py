"""Heads: the start line and the header fields, and what they say about the body (RFC 9112 sections 2 to 6).

They are read by h11, which is strict; what it tolerates and a pool must not is refused here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Final, NoReturn

import h11

from proxymux.core.codecs.http.answers import bad

#: Bytes of a head, and of the trailer of a chunked body.
LIMIT: Final = 64 * 1024
#: Bytes of the longest head that is remembered.
_REMEMBERED: Final = 2048

#: CR and LF that are not together, a folded line (section 5.2), and control characters (RFC 9110 section 5.5).
_ODD: Final = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n)|\n[ \t]")
_LENGTH: Final = re.compile(rb"\ncontent-length:([^\r]*)", re.IGNORECASE)
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")
_INTERIM: Final = re.compile(rb"HTTP/(1\.[01]) (1[0-9]{2})[ \r]")
#: A method, of which the longest that is registered has 17 bytes, or the version of a reply.
_START: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?: |\Z)|HTTP/")


class PartialHead:
    """A head that may come in pieces; no more than :data:`LIMIT` bytes of it are kept."""

    def __init__(self) -> None:
        self._begun = bytearray()

    @property
    def is_empty(self) -> bool:
        """True if no part of a head is kept."""
        return not self._begun

    def take(self, data: bytes, at: int) -> tuple[bytes, int] | None:
        """The head that goes on at ``at``, and where it ends; None if it does not end in ``data``, which is kept then.

        :raises BadMessage: if it is too long, or is none.
        """
        begun = self._begun
        if not begun:
            end = data.find(b"\r\n\r\n", at) + 4
            if end >= 4:
                return _checked(data[at:end]), end
            begun += data[at : at + LIMIT + 1]
            _check_begun(begun, 0)
            return None
        before = len(begun)
        begun += data[at : at + LIMIT + 1]
        end = begun.find(b"\r\n\r\n", max(0, before - 3)) + 4
        if end < 4:
            _check_begun(begun, before)
            return None
        head = bytes(begun[:end])
        begun.clear()
        return _checked(head), at + end - before


class Head:
    """What a head says, as far as messages' ends go.

    :param version: ``b"1.0"`` or ``b"1.1"``.
    :param length: Content-Length, or None.
    :param is_chunked: True if the body is chunked.
    """

    __slots__ = ("is_chunked", "length", "options", "version")

    def __init__(self, raw: bytes, version: bytes, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self.version = version
        self.is_chunked = False
        #: The words of Connection, in lower case.
        self.options: set[bytes] = set()
        for name, value in fields:
            if name == b"connection":
                self.options.update(word.strip() for word in value.lower().split(b","))
            elif name == b"transfer-encoding":
                self.is_chunked = True
        # h11 makes one length of several that are equal, but not everybody does.
        lengths = _LENGTH.findall(raw)
        self.length = int(_only(lengths)) if lengths else None
        if self.is_chunked and self.length is not None:
            raise bad("both Content-Length and Transfer-Encoding")
        if self.is_chunked and version == b"1.0":
            raise bad("Transfer-Encoding in HTTP/1.0")

    @property
    def is_last(self) -> bool:
        """True if the connection ends after this message (section 9.3)."""
        return b"close" in self.options or (self.version == b"1.0" and b"keep-alive" not in self.options)


def read_request(raw: bytes) -> tuple[h11.Request, Head]:
    """The request whose head this is.

    Nobody changes what is returned: for a head that has come before it is the same.

    :raises BadMessage: if it is none, or one that could be framed in two ways.
    """
    return _known_request(raw) if len(raw) <= _REMEMBERED else _parse_request(raw)


def read_reply(raw: bytes) -> tuple[int, Head]:
    """The status of the reply whose head this is, and what else it says; otherwise as :func:`read_request`."""
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
        # h11 wants to know of the request first.
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


#: h11 takes 20 µs for a head, and clients say the same again and again.
_known_request = functools.lru_cache(maxsize=256)(_parse_request)
_known_reply = functools.lru_cache(maxsize=256)(_parse_reply)


def _checked(raw: bytes) -> bytes:
    _check(raw, 0, len(raw))
    return raw


def _check_begun(begun: bytearray, before: int) -> None:
    """Refuse what cannot become a head, rather than wait for more of it.

    :param before: bytes that were looked at before.
    """
    # A CR where the data ends may have its LF in the next.
    _check(begun, max(0, before - 1), len(begun) - (1 if begun.endswith(b"\r") else 0))


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
    # After a colon it quotes the message, which may hold a password.
    raise bad(str(problem).partition(":")[0], status if status in (431, 501) else 400) from None

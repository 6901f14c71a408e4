"""Heads: the start line and header fields of a message, and what they say about the body (RFC 9112 sections 2 to 6).

One pattern is the grammar of a whole head: what it does not match is refused, and nothing is repaired.  A second one
finds the few fields that matter here.  The grammar is h11's, which was the parser before and took fifteen times as
long; tests and ``bench/http_fuzz.py`` compare the two.  Refused in addition is what h11 tolerates and a pool must not:
equal lengths, folded lines, LF without CR, control characters.
"""

from __future__ import annotations

import re
from typing import Final

from proxymux.core.codecs.http.answers import bad
from proxymux.errors import BadMessage

#: One character of a token (RFC 9110 section 5.6.2), and those of a field's value.
TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
VALUE: Final = rb"[\t -~\x80-\xff]"
#: The longest registered method has 17 bytes.
_REQUEST_LINE: Final = rb"(%b{1,32}) [!-~]+ HTTP/([0-9]\.[0-9])\r\n" % TOKEN
#: Some servers leave out the reason with its blank.
_STATUS_LINE: Final = rb"HTTP/([0-9]\.[0-9]) ([1-9][0-9]{2})(?: %b*)?\r\n" % VALUE
#: A header field, or a line of a trailer.
FIELD_LINE: Final = rb"%b+:%b*\r\n" % (TOKEN, VALUE)
#: No byte can belong to two parts of these patterns that follow each other, so what does not match is found in linear
#: time: going back gives up bytes at once.
_FIELDS: Final = rb"(?:%b)*\r\n" % FIELD_LINE
_REQUEST: Final = re.compile(_REQUEST_LINE + _FIELDS)
_REPLY: Final = re.compile(_STATUS_LINE + _FIELDS)
#: The fields that matter, in a head that has matched and is in lower case.  Those of authentication are the ones in
#: which the client, or the server, may authenticate the connection.
_OF_REQUEST: Final = re.compile(
    rb"\n(host|connection|content-length|transfer-encoding|upgrade|expect|authorization|proxy-authorization):([^\r]*)"
)
_OF_REPLY: Final = re.compile(
    rb"\n(connection|content-length|transfer-encoding|www-authenticate|proxy-authenticate):([^\r]*)"
)
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")
#: The schemes that authenticate the connection instead of a request (RFC 4559 section 6, MS-NTHT), wherever in a list.
_OF_CONNECTION: Final = re.compile(rb"(?:^|[\s,])(?:ntlm|negotiate)(?=[\s,]|$)")

#: How an unfinished message begins: with a method, or with a reply's version.
_START: Final = re.compile(rb"%b{1,32}(?: |\Z)|HTTP/" % TOKEN)
#: What no head can have, however it goes on: CR or LF alone, folded lines (section 5.2), control characters (RFC 9110
#: section 5.5).
_ODD: Final = re.compile(rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n)|\n[ \t]")
_IS_ODD: Final = "a control character, a folded line, or a CR or LF alone"


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
        :raises BadMessage: if the bytes cannot become a head, or it is too long.  One that is returned was checked for
            nothing else: who reads it does that.
        """
        kept = self._kept
        if not kept:
            end = data.find(b"\r\n\r\n", at) + 4
            if end >= 4:
                self._check_size(end - at)
                return data[at:end], end
            kept += data[at : at + self._limit + 1]
            self._check_begun(0)
            return None
        before = len(kept)
        kept += data[at : at + self._limit + 1]
        end = kept.find(b"\r\n\r\n", max(0, before - 3)) + 4
        if end < 4:
            self._check_begun(before)
            return None
        self._check_size(end)
        head = bytes(kept[:end])
        kept.clear()
        return head, at + end - before

    def _check_begun(self, before: int) -> None:
        """Refuse an unfinished head as soon as it cannot become a valid one.

        :param before: the number of its bytes that were checked before.
        """
        kept = self._kept
        self._check_size(len(kept))
        if not _START.match(kept, 0, 33):
            raise bad("no HTTP/1 message")
        # The LF of a CR at the end may come with the next chunk.
        if _ODD.search(kept, max(0, before - 1), len(kept) - (1 if kept.endswith(b"\r") else 0)):
            raise bad(_IS_ODD)

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise bad(f"a head of more than {self._limit} bytes", 431)


class Head:
    """What a head says about the end of the message and about the connection.

    :param version: ``b"1.0"`` or ``b"1.1"``.
    :raises BadMessage: if it is another.
    """

    __slots__ = (
        "authenticates_connection",
        "expects_continue",
        "is_chunked",
        "is_old",
        "length",
        "options",
        "upgrades",
    )

    def __init__(self, version: bytes) -> None:
        #: The version is HTTP/1.0.
        self.is_old = version != b"1.1"
        if self.is_old and version != b"1.0":
            raise bad(f"HTTP/{version.decode('ascii')}", 505)
        #: The value of Content-Length, in bytes; None if the field is absent.
        self.length: int | None = None
        #: The body is in the chunked transfer coding.
        self.is_chunked = False
        #: The options of the Connection field, in lower case.
        self.options: list[bytes] = []
        #: The protocols of the Upgrade field, in lower case.
        self.upgrades: list[bytes] = []
        #: The client waits for 100 Continue before it sends the body.
        self.expects_continue = False
        #: A request with credentials for the connection, or a reply that asks for them.
        self.authenticates_connection = False

    @property
    def is_last(self) -> bool:
        """True if the sender closes the connection after this message (section 9.3)."""
        return b"close" in self.options or (self.is_old and b"keep-alive" not in self.options)

    def add(self, name: bytes, value: bytes) -> None:
        """Take note of a field that matters.

        :param name: in lower case, as is ``value``.
        :raises BadMessage: if the field, with those before it, says of the body's end what two readers could take for
            two things.
        """
        value = value.strip(b" \t")
        if name == b"connection":
            self.options += _words(value)
        elif name == b"content-length":
            if self.length is not None or not _DIGITS.fullmatch(value):
                raise bad("several Content-Length, or one that is no number")
            self.length = int(value)
        elif name == b"transfer-encoding":
            if self.is_chunked or value != b"chunked":
                raise bad("a Transfer-Encoding other than chunked", 501)
            self.is_chunked = True
        elif name == b"upgrade":
            self.upgrades += _words(value)
        elif name == b"expect":
            self.expects_continue = value == b"100-continue" and not self.is_old
        elif _OF_CONNECTION.search(value):
            self.authenticates_connection = True
        if self.is_chunked and (self.is_old or self.length is not None):
            raise bad("Transfer-Encoding in HTTP/1.0" if self.is_old else "both Content-Length and Transfer-Encoding")


def read_request(raw: bytes) -> tuple[bytes, Head]:
    """Read the head of a request: its method, and the rest.

    :param raw: from the first byte of the request line to the empty line.
    :raises BadMessage: if the bytes are no request, or one that could be framed in two ways.
    """
    found = _REQUEST.fullmatch(raw)
    if found is None:
        raise _refusal(raw, _REQUEST_LINE, "no request line")
    method, version = found.groups()
    head = Head(version)
    hosts = 0
    for name, value in _OF_REQUEST.findall(raw.lower()):
        if name == b"host":
            hosts += 1
        else:
            head.add(name, value)
    if hosts != 1 and (hosts or not head.is_old):
        raise bad("several Host, or none")
    return method, head


def read_reply(raw: bytes) -> tuple[int, Head]:
    """Read the head of a reply: its status, and the rest; otherwise as :func:`read_request`."""
    found = _REPLY.fullmatch(raw)
    if found is None:
        raise _refusal(raw, _STATUS_LINE, "no status line")
    version, digits = found.groups()
    head, status = Head(version), int(digits)
    for name, value in _OF_REPLY.findall(raw.lower()):
        head.add(name, value)
    return status, head


def _words(value: bytes) -> list[bytes]:
    """Return the members of a list (RFC 9110 section 5.6.1)."""
    return [word.strip(b" \t") for word in value.split(b",")] if b"," in value else [value]


def _refusal(raw: bytes, line: bytes, no_line: str) -> BadMessage:
    """Say what is wrong with a head, without quoting it: it may contain a password.

    :param line: the pattern of its first line.
    :param no_line: what is said if the line is none.
    """
    if _ODD.search(raw):
        return bad(_IS_ODD)
    return bad("a line that is no header field" if re.match(line, raw) else no_line)

"""HTTP/1: the head of a request (RFC 9112, RFC 9110); the preface of HTTP/2 (RFC 9113)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final

from proxymux.core.decision import NEED_DATA, NeedData
from proxymux.sniff.beginning import TCHAR, beginning_of, letters
from proxymux.sniff.http2 import PREFACE

#: The most bytes of a request's head; HAProxy's and nginx's limits are of this order too.
LIMIT: Final = 32768
_EMPTY_LINES_LIMIT: Final = 4

_SPACE: Final = b" \t"

# A method has at most 32 bytes; the longest registered one has 17.  A head has at most 256 fields; HAProxy's default
# limit is 101.
_METHOD: Final = rb"[%b]{1,32}" % TCHAR
_VALUE: Final = rb"[\t -~\x80-\xff]"
_LINE_BEGIN: Final = beginning_of((_METHOD, b" ", rb"[!-~]+", b" ", *letters(b"HTTP/1."), b"[0-9]", rb"\r"))
_FIELD_BEGIN: Final = re.compile(rb"\r|(?:[%b]+(?::%b*\r?)?)?" % (TCHAR, _VALUE))
_HEAD: Final = re.compile(rb"(%b) ([!-~]+) HTTP/(1\.[0-9])\r?(\n(?:[%b]+:%b*\r?\n){0,256})" % (_METHOD, TCHAR, _VALUE))

_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#@]*)(?:[/?#].*)?")
_AUTHORITY: Final = re.compile(
    rb"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~!$&'()*+,;=%-]{0,255})(?::([0-9]{0,5}))?",
)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The parts of a request's head (RFC 9112) that routing needs.

    :param method: as sent; methods are case-sensitive.
    :param path: the request target as sent: ``/path?query``, a whole URL, ``host:port`` of a CONNECT, or ``*``.
    :param version: ``1.0`` or ``1.1``.  The preface of HTTP/2 without TLS (RFC 9113) has the method PRI and ``2.0``;
        its host comes in a later frame and is not known here.
    :param host: in lower case and without a port, from the request target if that is a whole URL, else from the Host
        field; or None.
    :param port: the port beside the host, or None.
    :param lines: the lines of the header as sent, of which :attr:`headers` is made.  They count in no comparison, and
        are not shown, as they may hold secrets.
    """

    method: str
    path: str
    version: str
    host: str | None = None
    port: int | None = None
    lines: bytes = field(default=b"", repr=False, compare=False)

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The fields in the client's order: pairs of the name as sent, and the value without space around it."""
        pairs = (line.partition(b":") for line in self.lines.splitlines())
        return tuple((name, value.strip(_SPACE)) for name, _, value in pairs)

    def header(self, name: str | bytes) -> bytes | None:
        """The value of a field; None if there is none of that name.

        Values of several fields of one name are joined by commas, which is what they mean (RFC 9110 section 5.3).

        :param name: in any case.
        """
        wanted = (name.encode("ascii", "replace") if isinstance(name, str) else name).lower()
        values = [value for each, value in self.headers if each.lower() == wanted]
        return b", ".join(values) if values else None

    @property
    def is_websocket(self) -> bool:
        """True if the client wants to go on with WebSocket (RFC 6455 section 4.1)."""
        return (
            self.method == "GET"
            and self.version != "1.0"
            and b"websocket" in self._words("Upgrade")
            and b"upgrade" in self._words("Connection")
        )

    def _words(self, name: str) -> list[bytes]:
        return [word.strip(_SPACE).lower() for word in (self.header(name) or b"").split(b",")]


def http_request(data: bytes) -> HttpRequest | NeedData | None:
    """The request that ``data`` begins with, once its head is complete.

    None for heads that two parsers could read differently: with two Host fields, a folded line, white space before a
    colon, or a control byte.
    """
    if data[:12] == PREFACE[:12]:
        return _preface(data)
    start = _after_empty_lines(data)
    if data[start:] == b"\r":  # the first half of one more empty line
        return NEED_DATA if data.count(b"\n", 0, start) < _EMPTY_LINES_LIMIT else None
    head = _HEAD.match(data, start, LIMIT)
    if head is None:
        return NEED_DATA if len(data) < LIMIT and _LINE_BEGIN.fullmatch(data, start) else None
    request = _request(head)
    if request is None or data.startswith((b"\n", b"\r\n"), head.end(), LIMIT):
        return request
    return NEED_DATA if len(data) < LIMIT and _FIELD_BEGIN.fullmatch(data, head.end()) else None


def _preface(data: bytes) -> HttpRequest | NeedData | None:
    if data.startswith(PREFACE):
        return HttpRequest("PRI", "*", "2.0")
    return NEED_DATA if PREFACE.startswith(data) else None


def _after_empty_lines(data: bytes) -> int:
    """The offset of the request line, before which clients may send empty lines (RFC 9112 section 2.2)."""
    at = 0
    for _ in range(_EMPTY_LINES_LIMIT):
        if data.startswith((b"\n", b"\r\n"), at):
            at = data.index(b"\n", at) + 1
    return at


def _request(head: re.Match[bytes]) -> HttpRequest | None:
    """The request in the complete lines of a head, which may have further lines; None if they are not valid."""
    method, target, version, fields = head.groups()
    named = _authority(_host_field(fields))
    if method == b"CONNECT":
        named = named and _authority(target)
        if named is None or named[0] is None or named[1] is None:
            return None
    elif not target.startswith(b"/") and target != b"*":
        whole = _ABSOLUTE.fullmatch(target)
        named = named and whole and _authority(whole[1])
        if named is None or named[0] is None:
            return None
    if named is None:
        return None
    return HttpRequest(method.decode("ascii"), target.decode("ascii"), version.decode("ascii"), *named, fields[1:])


def _host_field(fields: bytes) -> bytes | None:
    """The value of the Host field; empty if there is none; None if there are two, as upstreams may differ."""
    names = fields.lower()
    at = names.find(b"\nhost:")
    if at < 0:
        return b""
    if names.find(b"\nhost:", at + 1) >= 0:
        return None
    return fields[at + 6 : fields.index(b"\n", at + 6)].strip(b" \t\r")


def _authority(text: bytes | None) -> tuple[str | None, int | None] | None:
    """Host and port of ``host:port``, each None if it is missing; None if the text is malformed."""
    found = None if text is None else _AUTHORITY.fullmatch(text)
    if found is None:
        return None
    host, port = found[1].decode("ascii").lower(), int(found[2] or b"0")
    if port > 65535:
        return None
    if host.startswith("["):
        try:
            host = str(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            return None
    return host or None, port if found[2] else None

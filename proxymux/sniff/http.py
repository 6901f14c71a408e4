"""HTTP/1: request line and Host (RFC 9112, RFC 9110)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NEED_DATA, NeedData

#: Bytes of a request's head beyond which it is not looked at; HAProxy's and nginx's limits are about as high.
LIMIT: Final = 32768
#: Bytes of a method; the longest that is registered has 17.
_METHOD_LIMIT: Final = 32
_EMPTY_LINES_LIMIT: Final = 4

_TOKEN: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_VERSION: Final = re.compile(rb"HTTP/1\.[0-9]\Z")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::([0-9]{0,5}))?\Z")
_SCHEME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
_END: Final = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The head of a request, as far as routing goes.

    :param method: as sent; methods are case-sensitive.
    :param path: the request target as sent: ``/path?query``, a whole URL, ``host:port`` of a CONNECT, or ``*``.
    :param version: ``HTTP/1.1`` and the like.  The preface of HTTP/2 without TLS is the method PRI of ``HTTP/2.0``.
    :param host: in lower case and without its port, from a whole URL if that is the target, else from Host; or None.
    :param port: the port with the host, or None.
    """

    method: str
    path: str
    version: str
    host: str | None = None
    port: int | None = None


def http_request(data: bytes) -> HttpRequest | NeedData | None:
    """The request that ``data`` begins with, once its head is whole.

    What could be read in two ways is None: two Host lines, a folded line, white space before a colon, a control byte.
    """
    start = len(data) - len(data[:_EMPTY_LINES_LIMIT].lstrip(b"\r\n")) - len(data[_EMPTY_LINES_LIMIT:])
    if data[start : start + 1] in (b"\r", b"\n"):
        return None
    if not _may_be_method(data[start : start + _METHOD_LIMIT + 1]):
        return None
    line_end = data.find(b"\n", start, LIMIT)
    if line_end < 0:
        return NEED_DATA if len(data) < LIMIT else None
    first = _request_line(data[start:line_end].removesuffix(b"\r"))
    if first is None:
        return None
    end = _END.search(data, line_end - 1 if data[line_end - 1 : line_end] == b"\r" else line_end, LIMIT)
    if end is None:
        return NEED_DATA if len(data) < LIMIT else None
    return _with_host(first, data[line_end + 1 : end.start()])


def _may_be_method(begin: bytes) -> bool:
    for place, byte in enumerate(begin):
        if byte == 0x20:
            return place > 0
        if byte not in _TOKEN:
            return False
    return len(begin) <= _METHOD_LIMIT


def _request_line(line: bytes) -> HttpRequest | None:
    parts = line.split(b" ")
    if len(parts) != 3 or not parts[1] or any(byte <= 0x20 or byte >= 0x7F for byte in parts[1]):
        return None
    method, path, version = parts
    if not _VERSION.match(version) and line != b"PRI * HTTP/2.0":
        return None
    return HttpRequest(method.decode("ascii"), path.decode("ascii"), version.decode("ascii"))


def _with_host(first: HttpRequest, head: bytes) -> HttpRequest | None:
    values: list[bytes] = []
    for line in head.split(b"\n") if head else ():
        name, colon, value = line.removesuffix(b"\r").partition(b":")
        if not colon or not name or not _TOKEN.issuperset(name):
            return None
        if any(byte < 0x20 and byte != 0x09 for byte in value):
            return None
        if name.lower() == b"host":
            values.append(value.strip(b" \t"))
    if len(values) > 1:
        return None
    whole = _SCHEME.match(first.path.encode("ascii"))
    if whole is not None:
        text = whole.group(1).rpartition(b"@")[2]
    elif first.method == "CONNECT":
        text = first.path.encode("ascii")
    else:
        text = values[0] if values else b""
    found = _HOST.match(text.decode("latin-1"))
    if found is None:
        return None
    host, port = found.group(1).strip("[]").lower() or None, found.group(2)
    return HttpRequest(first.method, first.path, first.version, host, int(port) if port else None)

"""Finds the requests in what an HTTP/1 client sends."""

from __future__ import annotations

import re
from typing import Any, Final

from proxymux.core.codecs import Kind, Request
from proxymux.core.codecs.http.answers import CONTINUE, bad
from proxymux.core.codecs.http.body import Body, Chunked, Counted
from proxymux.core.codecs.http.head import Head, PartialHead, read_request
from proxymux.core.codecs.http.hint import Hint, HttpClient
from proxymux.core.codecs.limits import Limits
from proxymux.errors import BadMessage

_EMPTY_LINES: Final = re.compile(rb"(?:\r\n)+")
_CR: Final = 13
_LF: Final = 10
# Named here because an Enum's member takes as long to look up as a call, and these are wanted for every request.
_PLAIN: Final = Kind.PLAIN
_LAST: Final = Kind.LAST
#: Protocols that clients offer to change to, but do not depend on (RFC 9110 section 7.8: a server may ignore them).
_OPTIONAL: Final = re.compile(rb"(?:h2c|http|tls)(?:/.*)?", re.DOTALL)


class HttpRequests:
    """Finds the requests of one client.

    A client whose connection is to be authenticated, be it that it says so or that a reply did, gets an upstream of its
    own: on a shared one others would be served under its name.

    :param limits: of heads and bodies.
    """

    def __init__(self, limits: Limits) -> None:
        self.interim = b""
        self._limits = limits
        self._head = PartialHead(limits.head)
        self._client = HttpClient()
        #: The hint of most requests.
        self._plain = Hint(self._client)
        self._body: Body | None = None
        self._kind = _PLAIN
        self._hint = self._plain
        # True from a head with "Expect: 100-continue" until 100 Continue is set as interim reply or the body ends.
        self._is_continue_due = False
        # True if the last byte was a CR between messages, which may begin an empty line.
        self._has_cr = False
        # True after a request that is the last the scanner finds.
        self._is_over = False

    @property
    def is_pinned(self) -> bool:
        """True once the client needs an upstream of its own for all further requests."""
        return self._client.is_challenged

    def pack(self) -> dict[str, Any] | None:
        return None if self.is_pinned else {}

    def unpack(self, packed: dict[str, Any]) -> None:
        """There is nothing to go on with: a client that was challenged stays where it is."""

    @property
    def is_between(self) -> bool:
        return self._is_over or (self._body is None and self._head.is_empty and not self._has_cr)

    def feed(self, data: bytes) -> list[Request]:
        requests: list[Request] = []
        try:
            self._scan(data, requests)
        except BadMessage as problem:
            problem.finished = requests
            raise
        return requests

    def _scan(self, data: bytes, requests: list[Request]) -> None:
        at, size = 0, len(data)
        while at < size and not self._is_over:
            if self._body is None:
                if self._has_cr or (data[at] == _CR and self._head.is_empty):
                    at = self._skip_empty_lines(data, at, requests)
                    if at >= size:
                        break
                found = self._head.take(data, at)
                if found is None:
                    break
                raw, at = found
                self._read_head(raw)
            if self._body is not None:
                at = self._body.skip(data, at)
                if not self._body.is_whole:
                    break
            self._end(at, requests)
        if self._is_continue_due:
            self.interim = CONTINUE
            self._is_continue_due = False

    def _skip_empty_lines(self, data: bytes, at: int, requests: list[Request]) -> int:
        """Return the offset behind empty lines before a request line, which no upstream gets (section 2.2)."""
        start = at
        if self._has_cr:
            self._has_cr = False
            if data[at] != _LF:
                raise bad("a CR alone")
            at += 1
        empty = _EMPTY_LINES.match(data, at)
        at = at if empty is None else empty.end()
        if at > start:
            requests.append(Request(at, Kind.REFUSED))
        if at == len(data) - 1 and data[at] == _CR:
            self._has_cr = True
            at += 1
        return at

    def _read_head(self, raw: bytes) -> None:
        """Read a complete head: kind and hint of the request, and the body that follows."""
        method, head = read_request(raw)
        is_head, is_last = method == b"HEAD", head.is_last
        self._kind = _LAST if is_last else _PLAIN
        if method == b"CONNECT" or head.authenticates_connection or _depends_on_upgrade(head):
            self._kind = Kind.OWN
        self._hint = Hint(self._client, is_head=is_head, is_last=is_last) if is_head or is_last else self._plain
        self._body = self._body_of(method, head)
        self._is_continue_due = head.expects_continue

    def _body_of(self, method: bytes, head: Head) -> Body | None:
        """Return the body that follows a head (section 6.3); None if there is none."""
        if method == b"CONNECT" and (head.is_chunked or head.length):
            raise bad("CONNECT with a body")
        if head.is_chunked:
            return Chunked(self._limits)
        if not head.length:
            return None
        if head.length > self._limits.value:
            raise bad(f"a body of more than {self._limits.value} bytes", 413)
        return Counted(head.length)

    def _end(self, at: int, requests: list[Request]) -> None:
        """Append the request that ends at ``at``."""
        if self._client.is_challenged:
            self._kind = Kind.OWN
        requests.append(Request(at, self._kind, self._hint))
        self._body = None
        self._is_continue_due = False
        self._is_over = self._kind is not _PLAIN


def _depends_on_upgrade(head: Head) -> bool:
    """True if a request asks for another protocol that the client cannot do without, such as WebSocket."""
    return b"upgrade" in head.options and not all(map(_OPTIONAL.fullmatch, head.upgrades))

"""Finds the replies in what an HTTP/1 upstream sends."""

from __future__ import annotations

from collections import deque

from proxymux.core.codecs.http.answers import bad
from proxymux.core.codecs.http.body import Body, Chunked, Counted, Endless
from proxymux.core.codecs.http.head import Head, PartialHead, read_reply
from proxymux.core.codecs.http.hint import Hint
from proxymux.core.codecs.limits import Limits
from proxymux.core.codecs.pieces import Due, unsolicited
from proxymux.errors import BadMessage


class HttpReplies(Due):
    """Finds the replies of one upstream.

    Interim replies (1xx) count as a part of the reply that follows them.  If :attr:`must_close` is True after a reply,
    the client's connection has to end with that reply, too: the reply says so, or its body has no other end.

    :param limits: of heads and bodies; a body that ends with the connection has no limit.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.must_close = False
        self._limits = limits
        self._hints: deque[Hint | None] = deque()
        self._head = PartialHead(limits.head)
        self._body: Body | None = None
        self._is_last = False
        # True between an interim reply and the final one.
        self._had_interim = False

    @property
    def is_between(self) -> bool:
        return self._body is None and self._head.is_empty and not self._had_interim

    def expect(self, hint: Hint | None, count: int = 1) -> None:
        if count == 1:
            self._hints.append(hint)
        else:
            self._hints.extend([hint] * count)

    def feed(self, data: bytes) -> list[int]:
        ends: list[int] = []
        try:
            self._scan(data, ends)
        except BadMessage as problem:
            problem.finished = ends
            raise
        return ends

    def finish(self) -> bool:
        if not isinstance(self._body, Endless):
            return False
        self._end()
        return True

    def remaining(self) -> int | None:
        return 0 if self._body is None else self._body.remaining

    def _scan(self, data: bytes, ends: list[int]) -> None:
        at, size = 0, len(data)
        while at < size:
            if not self._hints or self.must_close:
                raise unsolicited(ends)
            if self._body is None:
                found = self._head.take(data, at)
                if found is None:
                    return
                raw, at = found
                status, head = read_reply(raw)
                self._had_interim = status < 200
                if status < 200:
                    if status == 101:
                        raise bad("101 Switching Protocols on a connection that clients share")
                    continue
                self._begin_body(status, head)
            assert self._body is not None
            at = self._body.skip(data, at)
            if self._body.is_whole:
                ends.append(at)
                self._end()

    def _begin_body(self, status: int, head: Head) -> None:
        """Determine the body that follows a head (section 6.3)."""
        hint = self._hints[0]
        is_head = False
        self._is_last = head.is_last
        if hint is not None:
            is_head = hint.is_head
            self._is_last = self._is_last or hint.is_last
            if head.authenticates_connection:
                hint.client.is_challenged = True
        if is_head or status in (204, 304):
            self._body = Counted(0)
        elif head.is_chunked:
            self._body = Chunked(self._limits)
        elif head.length is None:
            self._is_last = True
            self._body = Endless()
        elif head.length > self._limits.value:
            raise bad(f"a body of more than {self._limits.value} bytes", 413)
        else:
            self._body = Counted(head.length)

    def _end(self) -> None:
        self._hints.popleft()
        self._body = None
        self.must_close = self._is_last

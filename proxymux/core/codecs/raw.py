"""No protocol: what is read at once is a request, and its reply is what comes until the upstream is silent.

This promises little.  A request that comes in two reads is two requests, two that come in one read are one, and a reply
is cut where the upstream pauses.  It is right for a client that waits for each reply and whose requests are small.
"""

from __future__ import annotations

from proxymux.core.codecs import CodecBase, Request
from proxymux.core.codecs.pieces import Due, unsolicited


class RawCodec(CodecBase):
    """A request is a chunk; silence ends a reply."""

    name = "raw"
    gap = True
    silent_first = True

    def requests(self) -> RawRequests:
        return RawRequests()

    def replies(self) -> RawReplies:
        return RawReplies()

    def failure(self, problem: str) -> bytes:
        return b""


class RawRequests:
    """Each chunk is a request."""

    interim = b""
    is_between = True

    def feed(self, data: bytes) -> list[Request]:
        return [Request(len(data))] if data else []


class RawReplies(Due):
    """A reply begins with the first chunk and ends with :meth:`silence`, or with the connection."""

    def __init__(self) -> None:
        super().__init__()
        self.is_between = True

    def feed(self, data: bytes) -> list[int]:
        if data:
            if not self._due:
                raise unsolicited([])
            self.is_between = False
        return []

    def finish(self) -> bool:
        if self.is_between:
            return False
        self.silence()
        return True

    def silence(self) -> None:
        if not self.is_between:
            self._due -= 1
            self.is_between = True

"""The codec for unknown protocols: each read from a client is a request, and silence of the upstream ends its reply.

The result is a guess.  A request that comes in two reads counts as two, two requests in one read count as one, and a
reply is cut where the upstream pauses.  It is correct for clients that send small requests and wait for each reply.
"""

from __future__ import annotations

from proxymux.core.codecs import CodecBase, Request
from proxymux.core.codecs.limits import DEFAULT_LIMITS, Limits
from proxymux.core.codecs.pieces import Due, Stateless, unsolicited


class RawCodec(CodecBase):
    """The codec ``raw``.

    :param limits: not needed, as a chunk is a request.
    """

    name = "raw"
    gap = True
    silent_first = True

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__()

    def requests(self) -> RawRequests:
        return RawRequests()

    def replies(self) -> RawReplies:
        return RawReplies()


class RawRequests(Stateless):
    """Each chunk of a client is a request."""

    interim = b""
    is_between = True

    def feed(self, data: bytes) -> list[Request]:
        return [Request(len(data))] if data else []


class RawReplies(Due):
    """A reply begins with a chunk, and ends at :meth:`silence` or at the upstream's FIN."""

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

"""Memcached's text protocol (https://github.com/memcached/memcached/blob/master/doc/protocol.txt).

A line that memcached would answer with an error is refused here: after some of them it takes the value that follows for
commands, and whoever chose the value would speak for whoever shares the upstream.

Where memcached answers a request that said ``noreply`` after all ("SERVER_ERROR object too large for cache"), its
answer is one too many: the upstream is found out at the next reply that does not fit, not before.
"""

from __future__ import annotations

from proxymux.core.codecs import BODY_LIMIT, CodecBase
from proxymux.core.codecs.memcache.replies import MemcacheReplies
from proxymux.core.codecs.memcache.requests import MemcacheRequests
from proxymux.core.codecs.pieces import one_line


class MemcacheCodec(CodecBase):
    """Memcached.

    :param value_limit: bytes that a value may have, either way.
    """

    name = "memcache"
    pipelines = True

    def __init__(self, value_limit: int = BODY_LIMIT) -> None:
        self._value_limit = value_limit

    def requests(self) -> MemcacheRequests:
        return MemcacheRequests(self._value_limit)

    def replies(self) -> MemcacheReplies:
        return MemcacheReplies(self._value_limit)

    def failure(self, problem: str) -> bytes:
        return f"SERVER_ERROR {one_line(problem)}\r\n".encode("ascii")

"""Memcached's text protocol (https://github.com/memcached/memcached/blob/master/doc/protocol.txt).

Lines that memcached would answer with an error are refused here.  After some of them memcached reads the value that
follows as commands, so a client could inject commands through a value that it stores.

Memcached may answer a request with ``noreply`` all the same ("SERVER_ERROR object too large for cache").  This extra
reply cannot be told from an expected one: the upstream is closed at the first later reply that does not fit its
request, not before.
"""

from __future__ import annotations

from proxymux.core.codecs import BODY_LIMIT, CodecBase
from proxymux.core.codecs.memcache.reads import is_repeatable
from proxymux.core.codecs.memcache.replies import MemcacheReplies
from proxymux.core.codecs.memcache.requests import MemcacheRequests
from proxymux.core.codecs.pieces import one_line


class MemcacheCodec(CodecBase):
    """The codec ``memcache``.

    :param value_limit: the most bytes of a value, in requests and replies.
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

    def repeatable(self, data: bytes) -> bool:
        return is_repeatable(data)

"""Memcached's text protocol (https://github.com/memcached/memcached/blob/master/doc/protocol.txt).

Lines that memcached would answer with an error are answered here.  After some of them memcached reads the value that
follows as commands, so a client could inject commands through a value that it stores; such a client is closed.

Memcached may answer a request with ``noreply`` all the same ("SERVER_ERROR object too large for cache").  This extra
reply cannot be told from an expected one: the upstream is closed at the first later reply that does not fit its
request, not before.
"""

from __future__ import annotations

from proxymux.core.codecs import CodecBase
from proxymux.core.codecs.limits import DEFAULT_LIMITS, Limits
from proxymux.core.codecs.memcache.reads import is_repeatable
from proxymux.core.codecs.memcache.replies import MemcacheReplies
from proxymux.core.codecs.memcache.requests import MemcacheRequests
from proxymux.core.codecs.memcache.view import MemcacheView, key_of
from proxymux.core.codecs.pieces import one_line


class MemcacheCodec(CodecBase):
    """The codec ``memcache``.

    :param limits: of values, in requests and replies, and of lines with many keys.
    :param asks_for_login: memcached runs with ``-Y``, so that a connection has to log in before it is of use.
    """

    name = "memcache"
    pipelines = True
    fence = b"version\r\n"
    key_of = staticmethod(key_of)  # a function, not a method: it is called for every request

    def __init__(self, limits: Limits = DEFAULT_LIMITS, asks_for_login: bool = False) -> None:
        self._limits = limits
        self._asks_for_login = asks_for_login

    def requests(self) -> MemcacheRequests:
        return MemcacheRequests(self._limits, self._asks_for_login)

    def replies(self) -> MemcacheReplies:
        return MemcacheReplies(self._limits)

    def failure(self, problem: str) -> bytes:
        return f"SERVER_ERROR {one_line(problem)}\r\n".encode("ascii")

    def repeatable(self, data: bytes) -> bool:
        return is_repeatable(data)

    def view(self, data: bytes) -> MemcacheView:
        return MemcacheView(data)

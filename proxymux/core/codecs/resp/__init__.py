"""RESP, the Redis serialization protocol, versions 2 and 3 (https://redis.io/docs/latest/develop/reference/protocol-spec/).

The scanners are stricter than Redis where two readers could frame a message differently: a length has no plus sign and
no leading zeroes, and CRLF is required after a bulk string, where Redis does not check it.
"""

from __future__ import annotations

from collections.abc import Callable

from proxymux.core.codecs import CodecBase
from proxymux.core.codecs.limits import DEFAULT_LIMITS, Limits
from proxymux.core.codecs.pieces import one_line
from proxymux.core.codecs.resp.client import RespClient
from proxymux.core.codecs.resp.one_key import cut_run, key_of
from proxymux.core.codecs.resp.reads import is_repeatable
from proxymux.core.codecs.resp.replies import RespReplies
from proxymux.core.codecs.resp.requests import RespRequests
from proxymux.core.codecs.resp.setups import RespSetups
from proxymux.core.codecs.resp.view import RespView


class RespCodec(CodecBase):
    """The codec ``resp``.

    :param limits: ``limits.value`` is the most bytes of a bulk string (``proto-max-bulk-len`` of Redis).
    """

    name = "resp"
    pipelines = True
    # Functions, not methods: they are called for every request.
    key_of = staticmethod(key_of)
    cut_run = staticmethod(cut_run)

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        #: The pool sets the database and the credentials here.
        self.setups: RespSetups = RespSetups()

    def requests(self) -> RespRequests:
        return self.requests_for(lambda: True)

    def requests_for(self, may_have_own: Callable[[], bool]) -> RespRequests:
        return RespRequests(self._limits.value, RespClient(self.setups, may_have_own))

    def replies(self) -> RespReplies:
        return RespReplies(self._limits.value, max(self._limits.line, self._limits.head))

    def failure(self, problem: str) -> bytes:
        return f"-ERR {one_line(problem)}\r\n".encode("ascii")

    def repeatable(self, data: bytes) -> bool:
        return is_repeatable(data)

    def view(self, data: bytes) -> RespView:
        return RespView(data)

"""RESP, the Redis serialization protocol, versions 2 and 3 (https://redis.io/docs/latest/develop/reference/protocol-spec/).

The scanners are stricter than Redis where two readers could frame a message differently: a length has no plus sign and
no leading zeroes, and CRLF is required after a bulk string, where Redis does not check it.
"""

from __future__ import annotations

from collections.abc import Callable

from proxymux.core.codecs import BODY_LIMIT, CodecBase
from proxymux.core.codecs.pieces import one_line
from proxymux.core.codecs.resp.client import RespClient
from proxymux.core.codecs.resp.replies import RespReplies
from proxymux.core.codecs.resp.requests import RespRequests
from proxymux.core.codecs.resp.setups import RespSetups


class RespCodec(CodecBase):
    """The codec ``resp``.

    :param bulk_limit: the most bytes of a bulk string, in requests and replies (``proto-max-bulk-len`` of Redis).
    """

    name = "resp"
    pipelines = True

    def __init__(self, bulk_limit: int = BODY_LIMIT) -> None:
        self._bulk_limit = bulk_limit
        #: The pool sets the database and the credentials here.
        self.setups: RespSetups = RespSetups()

    def requests(self) -> RespRequests:
        return self.requests_for(lambda: True)

    def requests_for(self, may_have_own: Callable[[], bool]) -> RespRequests:
        return RespRequests(self._bulk_limit, RespClient(self.setups, may_have_own))

    def replies(self) -> RespReplies:
        return RespReplies(self._bulk_limit)

    def failure(self, problem: str) -> bytes:
        return f"-ERR {one_line(problem)}\r\n".encode("ascii")

"""HTTP/1.0 and HTTP/1.1 (RFC 9112).

A pool is where request smuggling pays: two clients share an upstream, and what one of them hides behind its request is
answered to the other.  So what two readers could frame in two ways is refused, even where RFC 9112 would let us repair
it: a length next to a transfer coding, two lengths, a coding other than chunked, a CR or LF alone, a folded line.
"""

from __future__ import annotations

from proxymux.core.codecs import BODY_LIMIT, CodecBase
from proxymux.core.codecs.http.answers import error
from proxymux.core.codecs.http.replies import HttpReplies
from proxymux.core.codecs.http.requests import HttpRequests


class HttpCodec(CodecBase):
    """HTTP/1.

    :param body_limit: bytes that a body may have, either way, as far as its length is known or it is chunked.
    """

    name = "http"
    ends_at_own = True

    def __init__(self, body_limit: int = BODY_LIMIT) -> None:
        self._body_limit = body_limit

    def requests(self) -> HttpRequests:
        return HttpRequests(self._body_limit)

    def replies(self) -> HttpReplies:
        return HttpReplies(self._body_limit)

    def failure(self, problem: str) -> bytes:
        return error(503, problem)

"""HTTP/1.0 and HTTP/1.1 (RFC 9112).

Request smuggling is a real danger in a pool: clients share an upstream, and the reply to a request that one client
hides in another would go to the next client.  So every message that two readers could frame differently is refused,
even where RFC 9112 allows to repair it: Content-Length beside Transfer-Encoding, two lengths, a transfer coding other
than chunked, CR or LF alone, folded lines.
"""

from __future__ import annotations

from proxymux.core.codecs import BODY_LIMIT, CodecBase
from proxymux.core.codecs.http.answers import error
from proxymux.core.codecs.http.methods import is_repeatable
from proxymux.core.codecs.http.replies import HttpReplies
from proxymux.core.codecs.http.requests import HttpRequests


class HttpCodec(CodecBase):
    """The codec ``http``.

    :param body_limit: the most bytes of a body, of requests and replies; not applied to a reply that ends with its
        connection.
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

    def repeatable(self, data: bytes) -> bool:
        return is_repeatable(data, self.requests())

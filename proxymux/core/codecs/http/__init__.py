"""HTTP/1.0 and HTTP/1.1 (RFC 9112).

Request smuggling is a real danger in a pool: clients share an upstream, and the reply to a request that one client
hides in another would go to the next client.  So every message that two readers could frame differently is refused,
even where RFC 9112 allows to repair it: Content-Length beside Transfer-Encoding, two lengths, a transfer coding other
than chunked, CR or LF alone, folded lines.
"""

from __future__ import annotations

from proxymux.core.codecs import CodecBase
from proxymux.core.codecs.http.answers import error
from proxymux.core.codecs.http.methods import is_repeatable
from proxymux.core.codecs.http.replies import HttpReplies
from proxymux.core.codecs.http.requests import HttpRequests
from proxymux.core.codecs.http.view import HttpView
from proxymux.core.codecs.limits import DEFAULT_LIMITS, Limits


class HttpCodec(CodecBase):
    """The codec ``http``.

    :param limits: of bodies and heads, in requests and replies; a body that ends with its connection has no limit.
    """

    name = "http"
    ends_at_own = True

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits

    def requests(self) -> HttpRequests:
        return HttpRequests(self._limits)

    def replies(self) -> HttpReplies:
        return HttpReplies(self._limits)

    def failure(self, problem: str) -> bytes:
        return error(503, problem)

    def failure_for(self, request: bytes, problem: str) -> bytes:
        """As :meth:`failure`; the reply to a HEAD has no body (RFC 9110 section 9.3.2)."""
        reply = self.failure(problem)
        return reply[: reply.index(b"\r\n\r\n") + 4] if request.startswith(b"HEAD ") else reply

    def repeatable(self, data: bytes) -> bool:
        return is_repeatable(data, self.requests())

    def view(self, data: bytes) -> HttpView:
        return HttpView(data)

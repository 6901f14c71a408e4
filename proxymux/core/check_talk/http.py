"""Checks by a request of HTTP/1.1."""

from __future__ import annotations

from typing import Final

import h11

from proxymux.core.check_talk.talk import MOST, PASSED, WAIT, Step
from proxymux.core.check_talk.text import NOT_FOUND, Search
from proxymux.core.decision import NEED_DATA
from proxymux.core.target import Address, InetTarget
from proxymux.core.upstream_tls import UpstreamTls
from proxymux.version import __version__

_START: Final = b"HTTP/"
#: The port that a URL leaves out: with TLS, and without.
_DEFAULT_PORTS: Final = {True: 443, False: 80}


def host_field(target: Address, tls: UpstreamTls | None) -> str:
    """The value of the field Host: the name by which TLS knows the member, or what is connected to."""
    if not isinstance(target, InetTarget):
        return (tls.name if tls is not None else None) or "localhost"
    host = (tls.name if tls is not None else None) or target.host.partition("%")[0]
    host = f"[{host}]" if ":" in host else host
    return host if target.port == _DEFAULT_PORTS[tls is not None] else f"{host}:{target.port}"


class HttpTalk:
    """A GET whose status, and perhaps body, must be good.

    The body is searched as the application has sent it, without the framing of chunks, as far as it comes within the
    first :data:`~proxymux.core.check_talk.talk.MOST` bytes.  Interim replies are passed over, unless their status is
    asked for.

    :param host: the value of the field Host.
    :param statuses: the lowest and the highest that is good.
    :param expect: what the body must have in it; may be empty.
    """

    def __init__(self, path: str, host: str, statuses: tuple[int, int], expect: bytes) -> None:
        self._statuses = statuses
        self._search = Search(expect) if expect else None
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST)
        self._request = h11.Request(
            method="GET",
            target=path,
            headers=[("Host", host), ("User-Agent", f"proxymux/{__version__}"), ("Connection", "close")],
        )
        self._first = b""
        self._left = MOST

    def begin(self) -> Step:
        head, end = self._connection.send(self._request), self._connection.send(h11.EndOfMessage())
        return Step(NEED_DATA, (head or b"") + (end or b""))

    def received(self, data: bytes) -> Step:
        if len(self._first) < len(_START):
            self._first = (self._first + data[: len(_START)])[: len(_START)]
            if not _START.startswith(self._first):
                return Step("the answer is not HTTP")
        data = data[: self._left]
        self._left -= len(data)
        step = self._look(data) if data else WAIT
        if step is WAIT and not self._left:
            return Step("the answer is too long" if self._is_head() else NOT_FOUND)
        return step

    def ended(self) -> str:
        return "ended before the answer was whole" if self._is_head() else NOT_FOUND

    def _is_head(self) -> bool:
        return self._connection.their_state is h11.SEND_RESPONSE

    def _look(self, data: bytes) -> Step:
        """Take ``data``, of which none is the end."""
        try:
            self._connection.receive_data(data)
            while True:
                event = self._connection.next_event()
                if event is h11.NEED_DATA:
                    return WAIT
                step = self._judge(event)
                if step is not WAIT:
                    return step
        except h11.RemoteProtocolError as problem:
            # Only up to the colon: behind it h11 quotes the message.
            return Step(f"the answer is not HTTP/1.1: {str(problem).partition(':')[0]}")

    def _judge(self, event: object) -> Step:
        if isinstance(event, (h11.InformationalResponse, h11.Response)):
            status = event.status_code
            low, high = self._statuses
            if low <= status <= high:
                return PASSED if self._search is None else WAIT
            is_interim = isinstance(event, h11.InformationalResponse) and status != 101
            return WAIT if is_interim else Step(f"answered with the status {status}")
        if isinstance(event, h11.Data):
            return PASSED if self._search is not None and self._search.feed(bytes(event.data)) else WAIT
        return Step(NOT_FOUND)  # the end of the message, or of the connection

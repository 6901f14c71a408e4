"""The observed relay of Proxy mode: pipes bytes, and reports requests and replies to the listeners of ``request``.

No codec finds the ends of messages here.  The bytes of a client up to the upstream's first answer count as one request;
the bytes of the upstream until a gap of silence, or until the client sends again, count as the reply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from proxymux.core.events import Events
from proxymux.core.outcome import Outcome
from proxymux.net.connection import Connection
from proxymux.net.exchange import Exchange, JoinOptions
from proxymux.net.pacing import PacedFlow
from proxymux.net.reactor.relay import join_flows
from proxymux.net.timers import Timers
from proxymux.pool.response import Response

#: Bytes of one reply from which on no further chunks are kept for the listeners.
KEPT: Final = 16 << 20


class ObservedRelay:
    """Joins connections and reports the bytes that pass to the listeners of ``request``.

    :param clock: times the gap; ``timers`` are too coarse for that.
    :param gap: seconds of silence that end a reply (``--raw-gap``).
    """

    def __init__(self, clock: IReactorTime, timers: Timers, gap: float, events: Events, log: Logger) -> None:
        self._clock = clock
        self._timers = timers
        self._gap = gap
        self._events = events
        self._log = log

    def join(self, client: Connection, upstream: Connection, options: JoinOptions) -> Exchange:
        observer = _Observer(self._clock, self._gap, self._events, self._log)
        if options.data:
            observer.request(options.data)
        from_client = _ObservedFlow(client, upstream, self._timers, options.rate, False)
        from_upstream = _ObservedFlow(upstream, client, self._timers, options.rate, True)
        from_client.observe(observer, observer.request)
        from_upstream.observe(observer, observer.reply)
        return join_flows(self._timers, from_client, from_upstream, options)


class _Observer:
    """Divides the bytes of one exchange into requests and replies, and reports them."""

    def __init__(self, clock: IReactorTime, gap: float, events: Events, log: Logger) -> None:
        self._clock = clock
        self._gap = gap
        self._events = events
        self._log = log
        self._response: Response | None = None
        self._gap_call: IDelayedCall | None = None

    def request(self, data: bytes) -> None:
        """Take note of bytes from the client: they end the reply before, and begin a request or continue one."""
        self._end_reply()
        if self._response is not None:
            return  # a further part of a request whose reply has not begun; listeners see its first part only
        self._response = Response(self._log)
        self._response.tell(self._events, data)

    def reply(self, data: bytes) -> None:
        """Take note of bytes from the upstream: a part of the reply, unless no request is outstanding."""
        response = self._response
        if response is None:
            return
        if response.size < KEPT:
            response.parts.append(data)
            response.size += len(data)
        if self._gap_call is None:
            self._gap_call = self._clock.callLater(self._gap, self._gap_passed)
        else:
            self._gap_call.reset(self._gap)

    def over(self) -> None:
        """Take note that the exchange is over: a reply that has begun is complete, a missing one has failed."""
        self._end_reply()
        response, self._response = self._response, None
        if response is not None:
            response.fail(Outcome.UPSTREAM_ABORTED, "it ended before a reply")

    def _gap_passed(self) -> None:
        self._gap_call = None
        self._end_reply()

    def _end_reply(self) -> None:
        """Report the reply as complete, if any of it has come."""
        if self._gap_call is not None:
            self._gap_call.cancel()
            self._gap_call = None
        if self._response is not None and self._response.parts:
            response, self._response = self._response, None
            response.succeed()


class _ObservedFlow(PacedFlow):
    """A flow whose bytes are reported."""

    __slots__ = ("_observer", "_report")

    def observe(self, observer: _Observer, report: Callable[[bytes], None]) -> None:
        """Report from now on.

        :param observer: told when the exchange is over; by both flows, which is as once.
        :param report: called with each chunk that has come.
        """
        self._observer = observer
        self._report = report

    def received(self, data: bytes) -> None:
        super().received(data)
        self._report(data)

    def leave(self) -> None:
        self._observer.over()
        super().leave()

"""The observed relay: pipes bytes, and tells listeners of what looks like a request and its reply.

Nothing says where a message ends: what comes from the client until the upstream answers is a request, and what comes
from the upstream until it is silent, or until the client goes on, is the reply.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from proxymux.core.events import Events
from proxymux.core.outcome import Outcome
from proxymux.net.connection import Connection
from proxymux.net.exchange import Exchange, Flow, JoinOptions
from proxymux.net.reactor.relay import join_flows
from proxymux.net.timers import Timers
from proxymux.pool.response import Response

#: Bytes of one reply that are kept for the listeners.
KEPT: Final = 16 << 20


class ObservedRelay:
    """Joins connections and lets listeners of ``request`` see what passes.

    :param clock: for the silence that ends a reply.
    :param gap: how long it lasts, in seconds.
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
        return join_flows(
            self._timers, _ClientFlow(client, upstream, observer), _UpstreamFlow(upstream, client, observer), options
        )


class _Observer:
    """The requests and replies of one client."""

    def __init__(self, clock: IReactorTime, gap: float, events: Events, log: Logger) -> None:
        self._clock = clock
        self._gap = gap
        self._events = events
        self._log = log
        self._response: Response | None = None
        self._silence: IDelayedCall | None = None

    def request(self, data: bytes) -> None:
        """The client has said something."""
        self._answered()
        if self._response is not None:
            return  # more of a request that has no reply yet
        self._response = Response(self._log)
        self._response.tell(self._events, data)

    def reply(self, data: bytes) -> None:
        """The upstream has said something."""
        response = self._response
        if response is None:
            return
        if response.size < KEPT:
            response.parts.append(data)
            response.size += len(data)
        if self._silence is None:
            self._silence = self._clock.callLater(self._gap, self._silent)
        else:
            self._silence.reset(self._gap)

    def over(self) -> None:
        """There will be no more."""
        self._answered()
        response, self._response = self._response, None
        if response is not None:
            response.fail(Outcome.UPSTREAM_ABORTED, "it ended before a reply")

    def _silent(self) -> None:
        self._silence = None
        self._answered()

    def _answered(self) -> None:
        """What has come of a reply is the whole of it."""
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if self._response is not None and self._response.parts:
            response, self._response = self._response, None
            response.succeed()


class _ClientFlow(Flow):
    """The client's flow."""

    __slots__ = ("_observer",)

    def __init__(self, connection: Connection, sink: Connection, observer: _Observer) -> None:
        super().__init__(connection, sink)
        self._observer = observer

    def received(self, data: bytes) -> None:
        super().received(data)
        self._observer.request(data)

    def leave(self) -> None:
        self._observer.over()
        super().leave()


class _UpstreamFlow(Flow):
    """The upstream's flow."""

    __slots__ = ("_observer",)

    def __init__(self, connection: Connection, sink: Connection, observer: _Observer) -> None:
        super().__init__(connection, sink)
        self._observer = observer

    def received(self, data: bytes) -> None:
        super().received(data)
        self._observer.reply(data)

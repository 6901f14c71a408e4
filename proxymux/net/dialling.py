"""Dialling: one attempt to connect to a target, through every address that its name has.

Twisted's HostnameEndpoint does not say that a name's last address has failed before another 0.3 seconds have passed;
with ten retries that is seconds in which a client could have been told.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IResolutionReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.target import Target, UnixTarget
from proxymux.net.leg import EARLY, Leg
from proxymux.net.tls import OneProtocol

#: Seconds that one address of a name has before the next is tried beside it (RFC 8305 section 5).
HEAD_START = 0.25

_Attempt = Callable[[], Deferred[Leg]]


async def dial(reactor: Any, target: Target, bind: str | None) -> Leg:
    """A leg that is connected to ``target`` and read by nobody yet.

    :param bind: the local IP address, or None.
    """
    # The attempt's own limit is the only one: Twisted's, of 30 seconds, might come before it.
    unlimited: Any = None
    local = (bind, 0) if bind is not None else None

    def connect(endpoint: Any) -> Deferred[Leg]:
        connecting: Deferred[Leg] = endpoint.connect(OneProtocol(Leg(reactor, EARLY)))
        return connecting

    def connect_inet(port: int, host: str) -> Deferred[Leg]:
        kind = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        return connect(kind(reactor, host, port, timeout=unlimited, bindAddress=local))

    if isinstance(target, UnixTarget):
        leg = await connect(UNIXClientEndpoint(reactor, target.path, timeout=unlimited))
    elif target.is_address:
        leg = await connect_inet(target.port, target.host)
    else:
        hosts = await resolve(reactor, target.host)
        leg = await Race(reactor, [functools.partial(connect_inet, target.port, host) for host in hosts]).result
    leg.pause()
    # The endpoint has put a wrapper around the leg that claims only the last of the leg's interfaces: it would be told
    # of the peer's FIN as of a loss.
    leg.transport.protocol = leg
    return leg


def resolve(reactor: Any, name: str) -> Deferred[list[str]]:
    """The IP addresses that ``name`` has, in the resolver's order.  Fails with DNSLookupError if there are none."""
    receiver = _Receiver(name)
    reactor.nameResolver.resolveHostName(receiver, name)
    return receiver.result


@implementer(IResolutionReceiver)
class _Receiver:
    def __init__(self, name: str) -> None:
        self.result: Deferred[list[str]] = Deferred()
        self._name = name
        self._hosts: list[str] = []

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        """The resolver has begun."""

    def addressResolved(self, address: Any) -> None:
        scope = f"%{address.scopeID}" if isinstance(address, IPv6Address) and address.scopeID else ""
        self._hosts.append(address.host + scope)

    def resolutionComplete(self) -> None:
        if self.result.called:
            return  # cancelled meanwhile; the resolver's threads know no cancelling
        if self._hosts:
            self.result.callback(self._hosts)
        else:
            self.result.errback(DNSLookupError(f"{self._name} does not resolve"))


class Race:
    """Attempts that begin one after another, until one of them succeeds (RFC 8305, "Happy Eyeballs").

    The next begins when one has failed, or after :data:`HEAD_START`.  The others are cancelled when one succeeds.

    :param clock: for the head start.
    """

    def __init__(self, clock: IReactorTime, attempts: Sequence[_Attempt]) -> None:
        #: The first leg, or the last failure.  May be cancelled.
        self.result: Deferred[Leg] = Deferred(self._cancel)
        self._clock = clock
        self._attempts = list(attempts)
        self._running: list[Deferred[Leg]] = []
        self._timer: IDelayedCall | None = None
        self._is_over = False
        self._next()

    def _next(self) -> None:
        attempt = self._attempts.pop(0)
        self._timer = self._clock.callLater(HEAD_START, self._waited) if self._attempts else None
        running = attempt()
        self._running.append(running)
        running.addCallbacks(self._won, self._lost, callbackArgs=(running,), errbackArgs=(running,))

    def _waited(self) -> None:
        self._timer = None
        self._next()

    def _won(self, leg: Leg, running: Deferred[Leg]) -> None:
        self._running.remove(running)
        if self._is_over:
            leg.abort()
            return
        self._end()
        self.result.callback(leg)

    def _lost(self, failure: Failure, running: Deferred[Leg]) -> None:
        self._running.remove(running)
        if self._is_over:
            return
        if self._attempts:
            self._stop_timer()
            self._next()
        elif not self._running:
            self._end()
            self.result.errback(failure)

    def _cancel(self, _: Deferred[Leg]) -> None:
        self._end()

    def _end(self) -> None:
        self._is_over = True
        self._stop_timer()
        for running in tuple(self._running):
            running.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

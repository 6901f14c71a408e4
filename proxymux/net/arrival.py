"""Arrivals: accepted connections on their way to becoming sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from zope.interface import implementer

from proxymux.core.admission import Networks, parse_address
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.proxy_protocol import parse
from proxymux.errors import BadHeader
from proxymux.interfaces import ILegOwner
from proxymux.net.leg import UNOWNED, Leg
from proxymux.net.live import LiveSession
from proxymux.net.timers import Timers
from proxymux.net.tls import hand_to
from proxymux.net.transport_leg import TransportLeg


@implementer(IAddress)
class Introduced:
    """Stands for the address of a client whose session has begun with a PROXY header."""

    def __init__(self, live: LiveSession) -> None:
        self.live = live


class ArrivalFactory(Factory):
    """Makes a session of every connection.

    :param timers: for the legs.
    :param begin: makes the session.
    """

    noisy = False

    def __init__(self, timers: Timers, begin: Callable[[], LiveSession]) -> None:
        self._timers = timers
        self._begin = begin

    def buildProtocol(self, addr: Any) -> TransportLeg:
        leg = TransportLeg(self._timers, UNOWNED)
        leg.owner = _Arrival(self, leg, addr.live if isinstance(addr, Introduced) else None)
        return leg

    def welcome(self, leg: Leg, live: LiveSession | None = None) -> None:
        """Make a session of a leg, or give it to the one that its PROXY header has begun."""
        if live is None:
            live = self._begin()
            if not live.opening(leg):
                return
        live.attach(leg)


class HeaderFactory(Factory):
    """Reads a PROXY header from every connection before ``inner`` has it.

    :param trusted: networks whose clients may send one; every other connection is refused.
    """

    noisy = False

    def __init__(self, timers: Timers, begin: Callable[[], LiveSession], inner: Any, trusted: Networks) -> None:
        self._timers = timers
        self._begin = begin
        self.inner = inner
        self._trusted = trusted

    def buildProtocol(self, addr: Any) -> TransportLeg:
        leg = TransportLeg(self._timers, UNOWNED)
        leg.owner = _Arrival(self, leg, None)
        return leg

    def welcome(self, leg: Leg, live: LiveSession | None = None) -> None:
        """Make a session of a leg, once its header has come."""
        live = self._begin()
        if live.opening(leg):
            if self._is_trusted(leg):
                leg.owner = _HeaderReader(leg, live, self.inner)
                leg.resume()
            else:
                live.bar(Ending(Outcome.REFUSED, "may not send a PROXY header (--trust-proxy)"))

    def _is_trusted(self, leg: Leg) -> bool:
        host, _ = leg.peer
        if host.startswith("unix:"):
            return True  # the socket's permissions say who may connect
        address = parse_address(host)
        return address is not None and address in self._trusted


@implementer(ILegOwner)
class _Arrival:
    """Owns the leg of a transport until that is connected."""

    def __init__(self, factory: ArrivalFactory | HeaderFactory, leg: Leg, live: LiveSession | None) -> None:
        self._factory = factory
        self._leg = leg
        self._live = live

    def made(self) -> None:
        self._factory.welcome(self._leg, self._live)

    def secured(self) -> None: ...
    def received(self, data: bytes) -> None: ...
    def finished(self) -> None: ...
    def flushed(self) -> None: ...
    def lost(self, reason: Exception | None) -> None: ...


@implementer(ILegOwner)
class _HeaderReader:
    """Owns a leg until its PROXY header is whole."""

    def __init__(self, leg: Leg, live: LiveSession, inner: Any) -> None:
        self._leg = leg
        self._live = live
        self._inner = inner
        self._buffer = b""

    def made(self) -> None:
        """It was made before."""

    def secured(self) -> None:
        """The header comes before TLS."""

    def received(self, data: bytes) -> None:
        self._buffer += data
        try:
            parsed = parse(self._buffer)
        except BadHeader as error:
            self._live.bar(Ending(Outcome.PROTOCOL_ERROR, f"PROXY header: {error}"))
            return
        if parsed is not None:
            header, length = parsed
            self._live.introduced(header)
            self._hand_over(self._buffer[length:])

    def _hand_over(self, received: bytes) -> None:
        if isinstance(self._inner, ArrivalFactory):
            self._inner.welcome(self._leg, self._live)
            if received and self._leg.owner is self._live:
                self._live.received(received)
            return
        assert isinstance(self._leg, TransportLeg)
        try:
            inner = self._inner.buildProtocol(Introduced(self._live))
            hand_to(self._leg.transport, inner, received)
        except Exception as error:  # of an endpoint's TLS, before it has a connection: nobody else would end this one
            self._leg.transport.protocol = self._leg
            self._live.bar(Ending(Outcome.BAD_HANDSHAKE, f"TLS: {type(error).__name__}: {error}"))

    def finished(self) -> None:
        self._live.bar(Ending(Outcome.UNDECIDED, "client finished before its PROXY header was whole"))

    def flushed(self) -> None:
        """Nobody has sent FIN."""

    def lost(self, reason: Exception | None) -> None:
        self._live.lost(reason)

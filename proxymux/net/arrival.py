"""Arrivals: accepted connections on their way to becoming sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.admission import Networks, parse_address
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.proxy_protocol import parse
from proxymux.errors import BadHeader
from proxymux.interfaces import ILegOwner
from proxymux.net.leg import UNOWNED, Leg
from proxymux.net.live import LiveSession
from proxymux.net.tls import hand_to


@implementer(IAddress)
class Introduced:
    """Stands for the address of a client whose session has begun with a PROXY header."""

    def __init__(self, live: LiveSession) -> None:
        self.live = live


class ArrivalFactory(Factory):
    """Makes a session of every connection.

    :param clock: for the legs.
    :param begin: makes the session.
    """

    noisy = False

    def __init__(self, clock: IReactorTime, begin: Callable[[], LiveSession]) -> None:
        self._clock = clock
        self._begin = begin

    def buildProtocol(self, addr: Any) -> Leg:
        leg = Leg(self._clock, UNOWNED)
        leg.owner = _Arrival(leg, addr.live if isinstance(addr, Introduced) else None, self._begin)
        return leg


class HeaderFactory(Factory):
    """Reads a PROXY header from every connection before ``inner`` has it.

    :param trusted: networks whose clients may send one; every other connection is refused.
    """

    noisy = False

    def __init__(self, clock: IReactorTime, begin: Callable[[], LiveSession], inner: Any, trusted: Networks) -> None:
        self._clock = clock
        self._begin = begin
        self._inner = inner
        self._trusted = trusted

    def buildProtocol(self, addr: Any) -> Leg:
        leg = Leg(self._clock, UNOWNED)
        leg.owner = _HeaderReader(leg, self._begin, self._inner, self._is_trusted(addr))
        return leg

    def _is_trusted(self, addr: Any) -> bool:
        host = getattr(addr, "host", None)
        if host is None:
            return True  # a Unix socket: its permissions say who may connect
        address = parse_address(host)
        return address is not None and address in self._trusted


@implementer(ILegOwner)
class _Arrival:
    """Owns a leg until it is connected."""

    def __init__(self, leg: Leg, live: LiveSession | None, begin: Callable[[], LiveSession]) -> None:
        self._leg = leg
        self._live = live
        self._begin = begin

    def made(self) -> None:
        live = self._live
        if live is None:
            live = self._begin()
            if not live.opening(self._leg):
                return
        live.attach(self._leg)

    def secured(self) -> None: ...
    def received(self, data: bytes) -> None: ...
    def finished(self) -> None: ...
    def flushed(self) -> None: ...
    def lost(self, reason: Failure) -> None: ...


@implementer(ILegOwner)
class _HeaderReader:
    """Owns a leg until its PROXY header is whole."""

    _live: LiveSession

    def __init__(self, leg: Leg, begin: Callable[[], LiveSession], inner: Any, is_trusted: bool) -> None:
        self._leg = leg
        self._begin = begin
        self._inner = inner
        self._is_trusted = is_trusted
        self._buffer = b""

    def made(self) -> None:
        self._live = self._begin()
        if not self._live.opening(self._leg):
            return
        if not self._is_trusted:
            self._live.bar(Ending(Outcome.REFUSED, "may not send a PROXY header (--trust-proxy)"))
            return
        self._leg.owner = self

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

    def lost(self, reason: Failure) -> None:
        self._live.lost(reason)

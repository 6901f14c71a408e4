"""The transport relay: bytes are read on one leg and sent on the other, whatever kinds of legs they are."""

from __future__ import annotations

from zope.interface import implementer

from proxymux.interfaces import IRelay
from proxymux.net.leg import Leg
from proxymux.net.relay import Opening
from proxymux.net.relay.exchange import Exchange, Side
from proxymux.net.timers import Timers


@implementer(IRelay)
class TransportRelay:
    """Joins legs of any kind.

    :param timers: for the first-byte and the idle timeout.
    """

    def __init__(self, timers: Timers) -> None:
        self._timers = timers

    def join(self, client: Leg, upstream: Leg, opening: Opening) -> Exchange:
        return self.join_sides(Side(client), Side(upstream), opening)

    def join_sides(self, client_side: Side, upstream_side: Side, opening: Opening) -> Exchange:
        """Join what has been made sides of already."""
        client, upstream = client_side.leg, upstream_side.leg
        exchange = Exchange(self._timers, client_side, upstream_side, opening)
        for leg, other in ((client, upstream), (upstream, client)):
            leg.unguard()
            leg.guard(_Pausing(other))
        return exchange.begin()


class _Pausing:
    """Pauses a leg while the other one does not take what it reads."""

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    def pauseProducing(self) -> None:
        self._leg.pause()

    def resumeProducing(self) -> None:
        self._leg.resume()

    def stopProducing(self) -> None:
        """The other leg is lost: the exchange is told so."""

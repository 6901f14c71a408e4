"""The modes of the pool, as choices for a path: in the places of a connector and of a relay."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from proxymux.core.client import Client
from proxymux.core.decision import Forward
from proxymux.core.events import Events
from proxymux.interfaces import IRelay
from proxymux.net.connector import Customer
from proxymux.net.leg import Leg
from proxymux.net.pool.detached import DetachedExchange
from proxymux.net.pool.observed import ObservedRelay
from proxymux.net.pool.pool import Pool
from proxymux.net.relay import Opening


class _NoUpstream:
    """Stands for the upstream of a client that shares those of all."""

    def abort(self) -> None:
        """There is nothing to abort."""


class Sharing:
    """Takes a connector's place where clients share their upstreams: there is nothing to wait for."""

    def connect(self, forward: Forward, client: Client, customer: Customer) -> Shared:
        """What ``customer`` gets is no upstream yet: its requests will."""
        return Shared(forward, customer)


class Shared:
    """A client on its way to the pool."""

    def __init__(self, forward: Forward, customer: Customer) -> None:
        self._forward = forward
        self._customer: Any = customer

    def start(self) -> None:
        """There it is."""
        if len(set(self._forward.targets)) == 1:
            self._customer.trying(self._forward.targets[0])
        self._customer.connected(_NoUpstream())

    def cancel(self) -> None:
        """It was there at once."""


@implementer(IRelay)
class DetachedRelay:
    """Has clients share the upstreams of a pool.

    :param relay: joins a client to an upstream that it has for itself.
    :param pipelined: whether an upstream may have requests of several clients outstanding.
    :param batches: whether requests of one client that came together are sent together.
    :param may_have_own: whether a client can have an upstream for itself.
    """

    def __init__(self, pool: Pool, relay: Any, pipelined: bool, batches: bool, may_have_own: bool) -> None:
        self._pool = pool
        self._relay = relay
        self._pipelined = pipelined
        self._batches = batches
        self._may_have_own = may_have_own

    def join(self, client: Leg, upstream: Any, opening: Opening) -> DetachedExchange:
        exchange = DetachedExchange(
            self._pool, client, opening, self._relay.join, self._pipelined, self._batches, self._may_have_own
        )
        return exchange.begin()


@implementer(IRelay)
class PipedRelay:
    """Joins a client to its upstream; where somebody listens to requests, so that they can be told of.

    :param relay: joins where nobody listens.
    :param observed: joins where somebody does.
    """

    def __init__(self, relay: Any, observed: ObservedRelay, events: Events) -> None:
        self._relay = relay
        self._observed = observed
        self._events = events

    def join(self, client: Leg, upstream: Leg, opening: Opening) -> Any:
        relay = self._observed if self._events.heard("request") else self._relay
        return relay.join(client, upstream, opening)

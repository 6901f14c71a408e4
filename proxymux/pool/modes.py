"""The modes of the pool: how its clients are joined, to the pool or to an upstream."""

from __future__ import annotations

from proxymux.core.events import Events
from proxymux.net.connection import Connection
from proxymux.net.exchange import JoinOptions
from proxymux.pool.exchange import DetachedExchange
from proxymux.pool.pool import Pool
from proxymux.session.context import ClientExchange, Join


class DetachedRelay:
    """Has clients share the upstreams of a pool.

    :param join: joins a client to an upstream that it has for itself.
    :param pipelined: whether an upstream may have requests of several clients outstanding.
    :param batches: whether requests of one client that came together are sent together.
    :param may_have_own: whether a client can have an upstream for itself.
    """

    def __init__(self, pool: Pool, join: Join, pipelined: bool, batches: bool, may_have_own: bool) -> None:
        self._pool = pool
        self._join = join
        self._pipelined = pipelined
        self._batches = batches
        self._may_have_own = may_have_own

    def join(self, client: Connection, options: JoinOptions) -> DetachedExchange:
        exchange = DetachedExchange(
            self._pool, client, options, self._join, self._pipelined, self._batches, self._may_have_own
        )
        return exchange.begin()


class PipedRelay:
    """Joins a client to its upstream; where somebody listens to requests, so that they can be told of.

    :param join: joins where nobody listens.
    :param observed: joins where somebody does.
    """

    def __init__(self, join: Join, observed: Join, events: Events) -> None:
        self._join = join
        self._observed = observed
        self._events = events

    def join(self, client: Connection, upstream: Connection, options: JoinOptions) -> ClientExchange:
        join = self._observed if self._events.heard("request") else self._join
        return join(client, upstream, options)

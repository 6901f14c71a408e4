"""The modes of the pool, as choices for a path: in the places of a connector and of a relay."""

from __future__ import annotations

from typing import Any

from proxymux.core.decision import Forward
from proxymux.core.events import Events
from proxymux.core.identity import Client
from proxymux.core.pipeline import Pipeline
from proxymux.core.pipeline_orders import PipelineRules
from proxymux.net.connection import Connection
from proxymux.net.connector import ConnectListener
from proxymux.net.exchange import JoinOptions
from proxymux.pool.exchange import DetachedExchange
from proxymux.pool.pool import Pool
from proxymux.session.context import ClientExchange, Join


class _NoUpstream:
    """Stands for the upstream of a client that shares those of all."""

    def abort(self) -> None:
        """There is nothing to abort."""


class Sharing:
    """Takes a connector's place where clients share their upstreams: there is nothing to wait for."""

    def connect(self, forward: Forward, client: Client, listener: ConnectListener) -> Shared:
        """What ``listener`` gets is no upstream yet: its requests will."""
        return Shared(forward, listener)


class Shared:
    """A client on its way to the pool."""

    def __init__(self, forward: Forward, listener: ConnectListener) -> None:
        self._forward = forward
        self._listener: Any = listener

    def start(self) -> None:
        """There it is."""
        if len(set(self._forward.targets)) == 1:
            self._listener.trying(self._forward.targets[0])
        self._listener.connected(_NoUpstream())

    def cancel(self) -> None:
        """It was there at once."""


class DetachedRelay:
    """Has clients share the upstreams of a pool.

    :param join: joins a client to an upstream that it has for itself.
    :param pipelined: whether an upstream may have requests of several clients outstanding.
    :param batches: whether requests of one client that came together are sent together.
    """

    def __init__(self, pool: Pool, join: Join, pipelined: bool, batches: bool) -> None:
        self._pool = pool
        self._join = join
        self._rules = PipelineRules(pool.codec, pipelined, batches, pool.is_ordered, pool.leasing.spare_alone)

    def join(self, client: Connection, upstream: Any, options: JoinOptions) -> DetachedExchange:
        return DetachedExchange(self._pool, client, options, self._join, Pipeline(self._rules)).begin()


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

"""The transport relay: bytes are read on one connection and sent on the other, of whatever kinds they are."""

from __future__ import annotations

from proxymux.net.connection import Connection
from proxymux.net.exchange import Exchange, Flow, JoinOptions
from proxymux.net.timers import Timers


def join_connections(timers: Timers, client: Connection, upstream: Connection, options: JoinOptions) -> Exchange:
    """Join two connections of any kind."""
    return join_flows(timers, Flow(client), Flow(upstream), options)


def join_flows(timers: Timers, client_flow: Flow, upstream_flow: Flow, options: JoinOptions) -> Exchange:
    """Join two connections whose flows have been made already."""
    client, upstream = client_flow.connection, upstream_flow.connection
    exchange = Exchange(timers, client_flow, upstream_flow, options)
    for connection, other in ((client, upstream), (upstream, client)):
        connection.unregister_producer()
        connection.register_producer(_Pausing(other))
    return exchange.begin()


class _Pausing:
    """Pauses a connection while the other one does not take what it reads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def pauseProducing(self) -> None:
        self._connection.pause()

    def resumeProducing(self) -> None:
        self._connection.resume()

    def stopProducing(self) -> None:
        """The other connection is lost: the exchange is told so."""

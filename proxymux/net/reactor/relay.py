"""The transport relay: bytes are read on one connection and sent on the other, of whatever kinds the two are."""

from __future__ import annotations

from proxymux.net.connection import Connection
from proxymux.net.exchange import Exchange, Flow, JoinOptions
from proxymux.net.timers import Timers


def join_connections(timers: Timers, client: Connection, upstream: Connection, options: JoinOptions) -> Exchange:
    """Join two connections of any kind."""
    return join_flows(timers, Flow(client, upstream), Flow(upstream, client), options)


def join_flows(timers: Timers, client_flow: Flow, upstream_flow: Flow, options: JoinOptions) -> Exchange:
    """Join two connections whose flows the caller has made, of a class of its own perhaps."""
    client, upstream = client_flow.connection, upstream_flow.connection
    exchange = Exchange(timers, client_flow, upstream_flow, options)
    for connection, other in ((client, upstream), (upstream, client)):
        connection.unregister_producer()
        connection.register_producer(_ReadingProducer(other))
    return exchange.begin()


class _ReadingProducer:
    """Pauses reading on one connection while the other has too much to send.

    :param connection: the one that is read.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def pauseProducing(self) -> None:
        self._connection.pause()

    def resumeProducing(self) -> None:
        self._connection.resume()

    def stopProducing(self) -> None:
        """Ignore the loss of the sending connection: its owner, a flow, is told of it too."""

"""The transport relay: bytes are read on one connection and sent on the other, of whatever kinds the two are."""

from __future__ import annotations

from proxymux.net.connection import Connection
from proxymux.net.exchange import Exchange, Flow, JoinOptions
from proxymux.net.pacing import PacedFlow
from proxymux.net.timers import Timers


def join_connections(timers: Timers, client: Connection, upstream: Connection, options: JoinOptions) -> Exchange:
    """Join two connections of any kind, at a limited rate if the options have one."""
    rate = options.rate
    if rate is None:
        return join_flows(timers, Flow(client, upstream), Flow(upstream, client), options)
    from_client = PacedFlow(client, upstream, timers, rate, is_patient=False)
    return join_flows(timers, from_client, PacedFlow(upstream, client, timers, rate, is_patient=True), options)


def join_flows(timers: Timers, client_flow: Flow, upstream_flow: Flow, options: JoinOptions) -> Exchange:
    """Join two connections whose flows the caller has made, of a class of its own perhaps."""
    exchange = Exchange(timers, client_flow, upstream_flow, options)
    for flow in (client_flow, upstream_flow):
        flow.sink.unregister_producer()
    for flow in (upstream_flow, client_flow):
        flow.sink.register_producer(flow)
    return exchange.begin()

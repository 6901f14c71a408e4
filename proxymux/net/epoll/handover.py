"""The handover of plain connections to another process: they are frozen here, and go on there.

A frozen connection belongs to nobody: nothing is read from it, sent on it or asked of it until the other process has
taken it, or it is thawed here.  Once it is taken this process only closes its descriptors: ``shutdown()`` would act for
both.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from proxymux.net.connection import UNOWNED
from proxymux.net.epoll.connection import EpollConnection
from proxymux.net.epoll.hub import Hub, Watcher
from proxymux.net.epoll.pipes import Pipes
from proxymux.net.epoll.relay import EpollFlow
from proxymux.net.epoll.send_buffer import SendBuffer
from proxymux.net.exchange import Exchange, JoinOptions
from proxymux.net.moving import Packed


class EpollMover:
    """Freezes the plain connections of a hub, and takes those that another process had frozen.

    :param pipes: for bulk.
    """

    def __init__(self, hub: Hub, pipes: Pipes) -> None:
        self._hub = hub
        self._pipes = pipes

    def freeze(self, what: object) -> FrozenConnection | FrozenExchange | None:
        if isinstance(what, EpollConnection):
            return FrozenConnection(self._hub, what, what) if what.can_move else None
        if isinstance(what, Exchange) and _can_move(what):
            return FrozenExchange(self._hub, what)
        return None

    def take_connection(self, sock: socket.SocketType, state: Packed, backlog: bytes) -> EpollConnection:
        sock.setblocking(False)
        peer, local = state["peer"], state["local"]
        connection = EpollConnection(self._hub, sock, UNOWNED, tuple(peer), tuple(local), state["is_patient"])
        connection.is_finished = state["is_finished"]
        connection.is_unread = True
        if backlog:
            connection.send_buffer = SendBuffer(sock, None, backlog)
        return connection

    def take_exchange(
        self, socks: Sequence[socket.SocketType], state: Packed, backlog: bytes, options: JoinOptions
    ) -> Exchange:
        sides = state["sides"]
        for_client = sides[0]["backlog"]
        client = self.take_connection(socks[0], sides[0], backlog[:for_client])
        try:
            upstream = self.take_connection(socks[1], sides[1], backlog[for_client:])
        except OSError:
            client.abort()
            raise
        flows = EpollFlow(client, upstream, self._hub, self._pipes), EpollFlow(upstream, client, self._hub, self._pipes)
        upstream.register_producer(flows[0])
        client.register_producer(flows[1])
        for flow, side in zip(flows, sides, strict=True):
            flow.count, flow.first_at, flow.last_at = side["count"], side["first_at"], side["last_at"]
            flow.is_flushed = side["is_flushed"]
        exchange = Exchange(self._hub.timers, *flows, options, state["joined_at"])
        for flow in flows:
            flow.go()
        _pass_on_ends(exchange)
        return exchange


class FrozenConnection:
    """A connection that is frozen.

    :param watcher: the hub tells it of the connection's events, if the connection goes on here.
    """

    def __init__(self, hub: Hub, connection: EpollConnection, watcher: Watcher) -> None:
        self._hub = hub
        self._connection = connection
        self._watcher = watcher
        self._local = connection.local  # asked for now, not when the socket belongs to another process
        hub.unwatch(connection.fd)
        send_buffer, connection.send_buffer = connection.send_buffer, None
        self.backlog = b"" if send_buffer is None else send_buffer.take()

    @property
    def descriptors(self) -> list[int]:
        return [self._connection.fd]

    @property
    def state(self) -> Packed:
        return {
            "peer": self._connection.peer,
            "local": self._local,
            "is_finished": self._connection.is_finished,
            "is_patient": self._connection.is_patient,
            "backlog": len(self.backlog),
        }

    def thaw(self) -> None:
        connection = self._connection
        if self.backlog:
            assert isinstance(connection.sock, socket.SocketType)
            connection.send_buffer = SendBuffer(connection.sock, None, self.backlog)
        self._hub.watch(connection.fd, self._watcher)

    def release(self) -> None:
        self._connection.let_go()


class FrozenExchange:
    """An exchange of two plain connections that is frozen."""

    def __init__(self, hub: Hub, exchange: Exchange) -> None:
        self._exchange = exchange
        self._flows = exchange.flows
        self._connections = [FrozenConnection(hub, flow.plain, flow) for flow in _epoll_flows(exchange)]

    @property
    def descriptors(self) -> list[int]:
        return [fd for connection in self._connections for fd in connection.descriptors]

    @property
    def backlog(self) -> bytes:
        return b"".join(connection.backlog for connection in self._connections)

    @property
    def state(self) -> Packed:
        sides = [
            {
                **connection.state,
                "count": flow.count,
                "first_at": flow.first_at,
                "last_at": flow.last_at,
                "is_flushed": flow.is_flushed,
            }
            for connection, flow in zip(self._connections, self._flows, strict=True)
        ]
        return {"sides": sides, **self._exchange.limits}

    def thaw(self) -> None:
        for connection in self._connections:
            connection.thaw()
        _pass_on_ends(self._exchange)

    def release(self) -> None:
        for connection, flow in zip(self._connections, self._flows, strict=True):
            flow.exchange = None
            connection.release()


def _can_move(exchange: Exchange) -> bool:
    """Whether an exchange can be handed over: one of two plain sockets, carried by the plain relay."""
    flows = exchange.flows
    return not exchange.is_over and all(type(flow) is EpollFlow and flow.plain.can_move for flow in flows)


def _epoll_flows(exchange: Exchange) -> list[EpollFlow]:
    return [flow for flow in exchange.flows if isinstance(flow, EpollFlow)]


def _pass_on_ends(exchange: Exchange) -> None:
    """Pass on a FIN that was to be sent after the backlog."""
    client, upstream = exchange.flows
    for flow, other in ((client, upstream), (upstream, client)):
        if flow.connection.is_finished and not other.is_flushed and not exchange.is_over:
            exchange.flow_finished(flow)

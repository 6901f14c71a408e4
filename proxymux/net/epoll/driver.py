"""The driver whose connections are plain sockets, watched by one hub."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger

from proxymux.core.target import Address
from proxymux.net.connection import Connection
from proxymux.net.epoll.accepting import EpollAccepting
from proxymux.net.epoll.connection import EpollConnection
from proxymux.net.epoll.dialling import SocketAttempt
from proxymux.net.epoll.handover import EpollMover
from proxymux.net.epoll.hub import Hub
from proxymux.net.epoll.pipes import Pipes
from proxymux.net.epoll.relay import join_sockets
from proxymux.net.epoll.send_buffer import SendBuffer
from proxymux.net.exchange import Exchange, JoinOptions
from proxymux.net.happy_eyeballs import Attempt, DialListener
from proxymux.net.reactor.connection import TransportConnection
from proxymux.net.reactor.driver import ReactorDriver
from proxymux.net.reactor.takeover import take_socket
from proxymux.net.socket_options import SocketOptions


class EpollDriver:
    """A :class:`~proxymux.net.driver.Driver` whose connections are plain sockets wherever possible.

    :param transports: the driver of the others: those of plug-ins' ports that accept in their own way.
    :param log: where errors in a connection's code are reported.
    :param socket_options: of every TCP connection.
    :param buffer_size: bytes of one read.
    """

    def __init__(self, transports: ReactorDriver, log: Logger, socket_options: SocketOptions, buffer_size: int) -> None:
        self.reactor = transports.reactor
        self.clock = transports.clock
        self.timers = transports.timers
        self.lingering = transports.lingering
        self.gate = transports.gate
        self.client_tls = transports.client_tls
        self._transports = transports
        self._socket_options = socket_options
        self._hub = Hub(self.reactor, self.timers, log, buffer_size)
        self._pipes = Pipes()
        self.call_soon = self._hub.call_soon
        self.mover = EpollMover(self._hub, self._pipes)

    def accept(
        self, port: IListeningPort, factory: IProtocolFactory, accepted: Callable[[Connection], None] | None
    ) -> None:
        if accepted is None:
            self._transports.accept(port, factory, None)
            return
        own = self._transports.prepare(port)
        if own is not None:
            EpollAccepting(self._hub, own, self.gate, accepted)

    def dial(self, target: Address, bind: str | None, listener: DialListener) -> Attempt:
        return SocketAttempt(self._hub, self._socket_options, target, bind, listener)

    def join(self, client: Connection, upstream: Connection, options: JoinOptions) -> Exchange:
        if options.rate is None and isinstance(upstream, EpollConnection):
            plain = client if isinstance(client, EpollConnection) else self._take_over(client)
            if plain is not None:
                return join_sockets(self.timers, self._hub, self._pipes, plain, upstream, options)
        return self._transports.join(client, upstream, options)

    def start(self) -> None:
        self._hub.start()

    def stop(self) -> None:
        self.gate.close()
        self._pipes.close()
        self._hub.stop()
        self.timers.stop()

    def _take_over(self, connection: Connection) -> EpollConnection | None:
        """A connection on the socket of ``connection``, with its owner and its unsent bytes; the old one is then lost.

        :returns: None, with nothing changed, if the socket cannot be taken out of its transport.
        """
        taken = take_socket(connection) if isinstance(connection, TransportConnection) else None
        if taken is None:
            return None
        plain = EpollConnection(self._hub, taken.sock, taken.owner, taken.peer, taken.local)
        plain.is_finished = taken.is_finished
        plain.is_unread = True
        if taken.unsent:
            plain.send_buffer = SendBuffer(taken.sock)
            plain.send_buffer.add(taken.unsent)
        return plain

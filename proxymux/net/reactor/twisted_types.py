"""Twisted's reactor, transports and listening ports, as types: what proxymux uses of each.

They are zope interfaces composed of Twisted's own, because Twisted declares its arguments and attributes with those, to
which a typing Protocol is not assignable.  No object declares that it provides one of these: they are for mypy.
"""

from __future__ import annotations

from collections.abc import Callable
from socket import SocketType
from typing import Protocol, cast

from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IListeningPort,
    INegotiated,
    IProtocol,
    IPushProducer,
    IReactorCore,
    IReactorFDSet,
    IReactorPluggableNameResolver,
    IReactorSocket,
    IReactorTCP,
    IReactorThreads,
    IReactorUNIX,
    IReadWriteDescriptor,
)
from zope.interface import Attribute

from proxymux.net.socket_address import RawAddress


class ListeningSocket(Protocol):
    """A ``socket.socket`` with the private method by which CPython's ``accept()`` gets its descriptor."""

    @property
    def family(self) -> int: ...
    def _accept(self) -> tuple[int, RawAddress]: ...
    def getsockname(self) -> RawAddress: ...
    def setsockopt(self, level: int, optname: int, value: int, /) -> None: ...


class Reactor(
    IReactorCore,
    IReactorThreads,
    IReactorFDSet,
    IReactorTCP,
    IReactorUNIX,
    IReactorSocket,
    IReactorPluggableNameResolver,
):
    """The reactor of the process, without its time: that is the time of day; see :mod:`proxymux.net.clock`."""


class Transport(INegotiated, IConsumer, IPushProducer, IReadWriteDescriptor):
    """A transport of a TCP, Unix or TLS connection.

    ``fileno``, ``startWriting`` and the names below exist on all of them, but are in no interface of Twisted's; tried
    with Twisted 24.11 and 26.10.
    """

    #: The protocol that is told what the transport reads.  Assigning another passes the transport on.
    protocol: IProtocol = Attribute("IProtocol")
    #: True from the call of loseConnection().
    disconnecting: bool = Attribute("bool")
    #: True when the connection is gone.
    disconnected: bool = Attribute("bool")
    #: What TLS is spoken over; only a TLS transport has it.
    transport: Transport = Attribute("Transport")
    #: pyOpenSSL's connection; only a TLS transport has it.
    getHandle: Callable[[], SSL.Connection] = Attribute("callable")
    getPeerCertificate: Callable[[], X509 | None] = Attribute("callable")
    #: Bytes that may wait to be sent before the producer is paused.
    bufferSize: int = Attribute("int")
    #: What waits to be sent: the bytes from ``offset`` on, and then others of this number.
    dataBuffer: bytes = Attribute("bytes")
    offset: int = Attribute("int")
    _tempDataLen: int = Attribute("int")
    #: Ask the reactor to tell when the socket is writable.
    startWriting: Callable[[], None] = Attribute("callable")


class ListeningPort(IListeningPort):
    """A listening port of Twisted's own: ``tcp.Port`` or ``unix.Port``.

    None of these names is in an interface of Twisted's; tried with Twisted 24.11 and 26.10.
    """

    socket: ListeningSocket = Attribute("the listening socket")
    connected: bool = Attribute("True while it listens")
    reactor: Reactor = Attribute("Reactor")
    #: Called by the reactor when the socket is readable.
    doRead: Callable[[], None] = Attribute("callable")
    startReading: Callable[[], None] = Attribute("callable")
    stopReading: Callable[[], None] = Attribute("callable")
    #: The class of the transports: (socket, protocol, address, port, number, reactor).
    transport: Callable[[SocketType, IProtocol, RawAddress, ListeningPort, int, Reactor], Transport] = Attribute("type")
    _buildAddr: Callable[[RawAddress], IAddress] = Attribute("callable")


def installed_reactor() -> Reactor:
    """The reactor of this process.  The first call installs Twisted's default one if none was installed before."""
    from twisted.internet import reactor  # an import that installs it, so that it must not come too early

    return cast("Reactor", reactor)

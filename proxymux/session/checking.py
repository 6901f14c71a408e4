"""The start-up check of endpoints: whether they could listen, without listening.

An endpoint is given a reactor whose methods that listen only check that they could.
"""

from __future__ import annotations

import errno
import os
import socket

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory

from proxymux.net.reactor.twisted_types import Reactor
from proxymux.session.inherited import check_listening
from proxymux.session.kept import KeptSockets, unix_title
from proxymux.session.unix_path import UnixPath


class NotAdopted(Exception):
    """Keeps an endpoint from closing a descriptor that was checked and not adopted: the start has to adopt it."""


class CheckingReactor:
    """The reactor, but its methods that listen only check that they could: TCP binds the address and releases it.

    Where systemd has kept a socket of the same address there is nothing to try.

    Endpoints call them with the arguments of Twisted's own methods; all raise :class:`CannotListenError`, and
    ``adoptStreamPort`` raises :class:`NotAdopted` where it could.

    :param reuse: whether others may listen on the same port.
    """

    def __init__(self, reactor: Reactor, reuse: bool, kept: KeptSockets) -> None:
        self._reactor = reactor
        self._reuse = reuse
        self._kept = kept

    def __getattr__(self, name: str) -> object:
        return getattr(self._reactor, name)

    def listenTCP(self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = "") -> None:
        if self._kept.is_on_port(port):  # it is taken as the service starts, or makes way then
            return
        bound_socket(interface, port, self._reuse).close()

    def listenSSL(
        self, port: int, factory: IProtocolFactory, contextFactory: object, backlog: int = 50, interface: str = ""
    ) -> None:
        if hasattr(contextFactory, "getContext"):  # Twisted's own factories have it, those of a plug-in may not
            contextFactory.getContext()  # raises here, not at the first client, if the key does not fit the certificate
        self.listenTCP(port, factory, backlog, interface)

    def listenUNIX(
        self, address: str, factory: IProtocolFactory, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> None:
        path = os.fsdecode(address)
        if self._kept.has(unix_title(path)):
            return
        try:
            UnixPath(path, wantPID).check()
        except OSError as error:
            raise CannotListenError(address, None, error) from error

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: IProtocolFactory) -> None:
        try:
            check_listening(fileDescriptor, addressFamily)
        except OSError as error:
            raise CannotListenError(f"descriptor {fileDescriptor}", None, error) from error
        raise NotAdopted


def bound_socket(interface: str, port: int, reuse: bool, ipv6_only: bool = False) -> socket.socket:
    """Return a TCP socket that is bound to an address and does not listen yet.

    :param interface: an IP address; an empty text stands for every IPv4 address.
    :param port: 0 takes any free port.
    :param reuse: set SO_REUSEPORT.
    :param ipv6_only: set IPV6_V6ONLY, on an IPv6 address.
    :raises CannotListenError: if the address is in use, not ours, or not permitted.
    """
    family = socket.AF_INET6 if ":" in interface else socket.AF_INET
    try:
        if not 0 <= port <= 65535:  # bind() would take the port modulo 65536
            raise OSError(errno.EINVAL, "a port is a number from 0 to 65535")
        address = socket.getaddrinfo(interface or "0.0.0.0", port, family, socket.SOCK_STREAM)[0][4]
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if ipv6_only and family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if reuse:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(address)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise CannotListenError(interface, port, error) from error
    return sock

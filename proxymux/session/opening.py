"""Opening the listening sockets of an endpoint: anew, or those that systemd has kept during a restart."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from twisted.internet.error import CannotListenError

from proxymux.session.checking import bound_socket
from proxymux.session.kept import KeptSockets, tcp_title, unix_title
from proxymux.session.unix_path import UnixPath


def open_tcp(
    kept: KeptSockets,
    interface: str,
    port: int,
    count: int,
    *,
    reuse: bool,
    exclusive: bool,
    ipv6_only: bool,
    backlog: int,
) -> list[socket.socket]:
    """Open so many sockets on one address, which listen.

    :param reuse: let others listen on the same address (SO_REUSEPORT); needed for more than one.
    :param exclusive: refuse an address that others listen on already, even if they would share it.
    :raises CannotListenError: if the address is in use, not ours, or not permitted.
    """
    title = tcp_title(interface, port, ipv6_only)
    sockets = kept.take(title, count)
    new: list[socket.socket] = []
    try:
        for sock in sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(reuse))
        if exclusive and not sockets:
            # Without SO_REUSEPORT first: with it another program's port, or that of another start, would be shared.
            _bound(kept, interface, port, False, ipv6_only).close()
        while len(sockets) + len(new) < count:
            port = next((sock.getsockname()[1] for sock in (*sockets, *new)), port)
            new.append(_bound(kept, interface, port, reuse, ipv6_only))
        for sock in (*sockets, *new):
            _listen(sock, backlog, interface, port)
    except CannotListenError:
        for sock in (*sockets, *new):
            sock.close()
        raise
    for sock in new:
        kept.keep(title, sock)
    return [*sockets, *new]


def open_unix(
    kept: KeptSockets, path: UnixPath, name: str, mode: int, backlog: int
) -> tuple[socket.socket, Callable[[], None]]:
    """Open a Unix socket, which listens.

    :param name: the path as text.
    :param mode: who may connect, as the permissions of the socket.
    :returns: the socket, and what gives up its path: as long as systemd keeps the socket it stays there.
    :raises CannotListenError: if somebody listens there, something else is there, or it is not permitted.
    """
    title = unix_title(name)
    taken = kept.take(title, 1, lambda mark: mark.isdecimal() and path.adopt(int(mark)))
    try:
        if taken:
            sock = taken[0]
            if path.file_number is not None:
                os.chmod(name, mode)
            sock.listen(backlog)
        else:
            sock = path.listen(mode, backlog)
            kept.keep(title, sock, path.file_number)
    except OSError as error:
        for each in taken:
            each.close()
        path.leave()
        raise CannotListenError(name, None, error) from error
    return sock, path.leave if kept.is_on else path.release


def _bound(kept: KeptSockets, interface: str, port: int, reuse: bool, ipv6_only: bool) -> socket.socket:
    try:
        return bound_socket(interface, port, reuse, ipv6_only)
    except CannotListenError:
        if not kept.make_way(port):
            raise
        return bound_socket(interface, port, reuse, ipv6_only)


def _listen(sock: socket.socket, backlog: int, interface: str, port: int) -> None:
    try:
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as error:  # another socket has begun to listen meanwhile
        raise CannotListenError(interface, port, error) from error

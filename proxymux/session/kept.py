"""Listening sockets that systemd keeps for this service while it is restarted (FDSTORE=1, FileDescriptorStoreMax=).

Each has a name that says what was asked for: ``proxymux/tcp/127.0.0.1/8000/1``.  The next start is passed all of them,
takes those that its listeners ask for in the same words, and has systemd forget the rest.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import quote

from proxymux.session.inherited import KEPT, InheritedSockets
from proxymux.systemd import NotifySocket

#: Characters of the longest name that is kept readable; systemd takes 255.
_READABLE: Final = 200
#: Seconds that systemd is given to close what it is told to forget, where an address is in the way of a start.
_PATIENCE: Final = 2.0


class KeptSockets:
    """The sockets that systemd has passed back, and those that it is given to keep.

    :param notify: the way to systemd.
    :param passed: the names and descriptors of sockets that it has kept; they belong to this object.
    """

    def __init__(self, notify: NotifySocket, passed: Sequence[tuple[str, int]]) -> None:
        self._notify = notify
        self._waiting = {name: sock for name, descriptor in passed if (sock := _listening(descriptor)) is not None}
        #: The names of those that systemd has from this process.
        self._given: set[str] = set()
        for name, _ in passed:
            if name not in self._waiting:
                self._forget(name)

    @classmethod
    def of_process(cls) -> KeptSockets:
        """Those of this process."""
        return _of_process()

    @property
    def is_on(self) -> bool:
        """True if systemd may keep sockets."""
        return self._notify.stores_descriptors

    # At the start

    def has(self, title: str) -> bool:
        """True if there is a socket of that title; see :func:`tcp_title` and :func:`unix_title`."""
        return any(_title(name) == title for name in self._waiting)

    def is_on_port(self, port: int) -> bool:
        """True if there is one on that TCP port."""
        return any(_port(sock) == port for sock in self._waiting.values())

    def take(self, title: str, most: int, fits: Callable[[str], bool] = lambda mark: True) -> list[socket.socket]:
        """Take the sockets of a title and of one address.  Those that are too many, or do not fit, are forgotten.

        :param most: how many are wanted.
        :param fits: called with the last part of a name.
        :returns: the sockets, which belong to the caller.
        """
        found = [name for name in self._waiting if _title(name) == title]
        address = self._waiting[found[0]].getsockname() if found else None
        same = [name for name in found if self._waiting[name].getsockname() == address]
        taken = [name for name in same if fits(name.rpartition("/")[2])][:most]
        self._given.update(taken)
        sockets = [self._waiting.pop(name) for name in taken]
        self._drop(name for name in same if name not in taken)
        return sockets

    def make_way(self, port: int) -> bool:
        """Forget the sockets on a TCP port that somebody else asks for in other words.

        :returns: False if there are none.
        """
        names = [name for name, sock in self._waiting.items() if _port(sock) == port]
        if names:
            self._drop(names)
            self._notify.wait_until_read(_PATIENCE)
        return bool(names)

    def keep(self, title: str, sock: socket.socket, mark: int | None = None) -> None:
        """Have systemd keep a socket that was opened here.

        :param mark: the last part of its name; None takes the first number that is free.
        """
        if not self.is_on:
            return
        number = 1 if mark is None else mark
        while f"{title}/{number}" in self._given or f"{title}/{number}" in self._waiting:
            number += 1
        name = f"{title}/{number}"
        self._given.add(name)
        self._notify.send("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", descriptors=[sock.fileno()])

    def drop_rest(self) -> None:
        """Forget the sockets that no listener has asked for; called when all listen."""
        self._drop(tuple(self._waiting))

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            self._waiting.pop(name).close()
            self._forget(name)

    def _forget(self, name: str) -> None:
        self._notify.send("FDSTOREREMOVE=1", f"FDNAME={name}")


def tcp_title(interface: str, port: int, ipv6_only: bool = False) -> str:
    """The title of a TCP listener's sockets: what stands before the mark in their names."""
    return _named("tcp6only" if ipv6_only and ":" in interface else "tcp", interface or "0.0.0.0", str(port))


def unix_title(path: str) -> str:
    """The title of a Unix listener's socket, whose mark is the number of its file (inode)."""
    return _named("unix", path if path.startswith("\0") else os.path.abspath(path))


def _named(*parts: str) -> str:
    title = KEPT + "/".join(quote(os.fsencode(part), safe="/.") for part in parts)
    if len(title) <= _READABLE:
        return title
    return f"{KEPT}{parts[0]}/{hashlib.sha256(title.encode()).hexdigest()}"


def _title(name: str) -> str:
    return name.rpartition("/")[0]


def _port(sock: socket.socket) -> int | None:
    """The port of a TCP socket; None for another."""
    return None if sock.family == socket.AF_UNIX else int(sock.getsockname()[1])


def _listening(descriptor: int) -> socket.socket | None:
    """The socket of a descriptor, if it listens; otherwise the descriptor is closed."""
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        return None
    if sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.setblocking(False)
        return sock
    sock.close()
    return None


@functools.cache
def _of_process() -> KeptSockets:
    return KeptSockets(NotifySocket.of_process(), InheritedSockets.of_process().kept)

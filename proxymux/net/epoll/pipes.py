"""Pipes for ``splice()``, from a bounded stock, because each takes kernel memory."""

from __future__ import annotations

import fcntl
import os
import socket
from typing import Final

#: Bytes that a pipe can hold, where the system allows as many.
PIPE_SIZE: Final = 1 << 20
#: The most pipes at once; further bulk flows are copied.  A user without privileges gets 64 pipes of this size at most
#: (pipe-user-pages-soft in proc(5)).
MOST_PIPES: Final = 48
#: The most empty pipes that are kept for later.
_SPARE: Final = 16
#: fcntl() command of Linux; the number is for a Python whose fcntl module lacks the name.
_F_SETPIPE_SZ: Final = getattr(fcntl, "F_SETPIPE_SZ", 1031)
#: SPLICE_F_MOVE and SPLICE_F_NONBLOCK.  Not SPLICE_F_MORE, which holds small messages back for 200 ms.
FLAGS: Final = 0x01 | 0x02


class Pipe:
    """A pipe through which one flow is spliced.

    The flow that fills the pipe uses it, and so does the send buffer of a socket that does not take what is in it.  It
    returns to the stock when both have released it.
    """

    __slots__ = ("_stock", "_users", "held", "reader", "size", "writer")

    def __init__(self, stock: Pipes) -> None:
        self._stock = stock
        self._users = 0
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            self.size = fcntl.fcntl(self.writer, _F_SETPIPE_SZ, PIPE_SIZE)
        except OSError:
            self.size = 1 << 16
        #: Bytes in the pipe.
        self.held = 0

    def fill(self, source: int) -> int:
        """Move what a socket has received into the pipe, as far as there is room.

        :param source: the socket's descriptor.
        :returns: the number of bytes; 0 at the peer's FIN.
        :raises BlockingIOError: if the socket has nothing, or the pipe is full.
        :raises OSError: if the connection has failed.
        """
        count = os.splice(source, self.writer, self.size, flags=FLAGS)
        self.held += count
        return count

    def drain(self, sink: int) -> None:
        """Move all that is in the pipe to a socket.

        :param sink: the socket's descriptor.
        :raises BlockingIOError: if the socket takes no more for now.
        :raises OSError: if the connection has failed.
        """
        while self.held:
            self.held -= os.splice(self.reader, sink, self.held, flags=FLAGS)

    def empty(self) -> bytes:
        """Remove and return all that is in the pipe."""
        data = b""
        while self.held:
            read = os.read(self.reader, self.held)
            self.held -= len(read)
            data += read
        return data

    def acquire(self) -> Pipe:
        """Count one more user of the pipe."""
        self._users += 1
        return self

    def release(self) -> None:
        """Count one user less; the last one returns the pipe to the stock."""
        self._users -= 1
        if not self._users:
            self._stock.take_back(self)

    def close(self) -> None:
        """Close both descriptors."""
        os.close(self.reader)
        os.close(self.writer)


class Pipes:
    """The stock of pipes of one driver."""

    def __init__(self) -> None:
        self._spare: list[Pipe] = []
        self._lent = 0
        self._keeps = _SPARE
        #: The system allows ``splice()``; some containers do not.
        self.are_usable = _can_splice()

    def lend(self) -> Pipe | None:
        """An empty pipe, acquired once; None if :data:`MOST_PIPES` are in use or the system gives none."""
        if self._spare:
            self._lent += 1
            return self._spare.pop().acquire()
        if self._lent >= MOST_PIPES:
            return None
        try:
            pipe = Pipe(self)
        except OSError:
            return None
        self._lent += 1
        return pipe.acquire()

    def take_back(self, pipe: Pipe) -> None:
        """Keep a pipe that has no user for the next flow; one that holds bytes cannot serve another, and is closed."""
        self._lent -= 1
        if not pipe.held and len(self._spare) < self._keeps:
            self._spare.append(pipe)
        else:
            pipe.close()

    def close(self) -> None:
        """Close the spare pipes, and from now on each pipe at its release."""
        self._keeps = 0
        spare, self._spare = self._spare, []
        for pipe in spare:
            pipe.close()


def _can_splice() -> bool:
    """Whether ``splice()`` works here, by trying it on a socket pair."""
    if not hasattr(os, "splice"):
        return False
    try:
        ours, theirs = socket.socketpair()
        reader, writer = os.pipe()
    except OSError:
        return False
    try:
        theirs.send(b"?")
        return os.splice(ours.fileno(), writer, 1, flags=FLAGS) == 1
    except OSError:
        return False
    finally:
        ours.close()
        theirs.close()
        os.close(reader)
        os.close(writer)

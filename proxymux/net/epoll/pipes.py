"""Pipes to splice through: a bounded stock of them, because each holds memory of the system's."""

from __future__ import annotations

import fcntl
import os
import socket
from typing import Final

#: Bytes that a pipe is made to hold, if the system allows it.
PIPE_SIZE: Final = 1 << 20
#: Pipes at once; flows beyond these are copied.  More of this size than 64 a process of a user without privileges would
#: not be given (pipe-user-pages-soft in proc(5)).
MOST_PIPES: Final = 48
#: Pipes kept for the next flow.
_SPARE: Final = 16
#: Linux; Python 3.10 has no name for it.
_F_SETPIPE_SZ: Final = getattr(fcntl, "F_SETPIPE_SZ", 1031)
#: SPLICE_F_MOVE and SPLICE_F_NONBLOCK.  Not SPLICE_F_MORE, which holds small messages back for 200 ms.
FLAGS: Final = 0x01 | 0x02


class Pipe:
    """A pipe for one direction of one exchange.

    The flow that fills it has it, and so has the send buffer of the socket that does not take what is in it: it goes
    back to the stock when both have let go of it.
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
        #: Bytes in it.
        self.held = 0

    def fill(self, source: int) -> int:
        """Move what a socket has into the pipe, as far as there is room; the number of bytes, 0 at its FIN.

        :raises BlockingIOError: if it has nothing, or there is no room.
        :raises OSError: if the socket has failed.
        """
        count = os.splice(source, self.writer, self.size, flags=FLAGS)
        self.held += count
        return count

    def drain(self, sink: int) -> None:
        """Move all that is in the pipe to a socket.

        :raises BlockingIOError: if it takes no more for now.
        :raises OSError: if it has failed.
        """
        while self.held:
            self.held -= os.splice(self.reader, sink, self.held, flags=FLAGS)

    def have(self) -> Pipe:
        """Another has it now."""
        self._users += 1
        return self

    def let_go(self) -> None:
        """Undo :meth:`have`."""
        self._users -= 1
        if not self._users:
            self._stock.take_back(self)

    def close(self) -> None:
        """Give it back to the system."""
        os.close(self.reader)
        os.close(self.writer)


class Pipes:
    """The stock."""

    def __init__(self) -> None:
        self._spare: list[Pipe] = []
        self._lent = 0
        self._keeps = _SPARE
        #: The system lets us splice; some containers do not.
        self.are_usable = _splices()

    def lend(self) -> Pipe | None:
        """A pipe with nothing in it, or None if there are too many or the system gives none."""
        if self._spare:
            self._lent += 1
            return self._spare.pop().have()
        if self._lent >= MOST_PIPES:
            return None
        try:
            pipe = Pipe(self)
        except OSError:
            return None
        self._lent += 1
        return pipe.have()

    def take_back(self, pipe: Pipe) -> None:
        """Nobody has it any more.  With bytes in it that will not be sent, it cannot serve another flow."""
        self._lent -= 1
        if not pipe.held and len(self._spare) < self._keeps:
            self._spare.append(pipe)
        else:
            pipe.close()

    def close(self) -> None:
        """Give the spare ones back to the system, and keep none from now on."""
        self._keeps = 0
        spare, self._spare = self._spare, []
        for pipe in spare:
            pipe.close()


def _splices() -> bool:
    """Try it."""
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

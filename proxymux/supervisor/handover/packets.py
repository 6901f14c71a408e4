"""The packets of a handover: a kind, bytes, and descriptors, over a socket that keeps packets apart."""

from __future__ import annotations

import array
import enum
import json
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.net.reactor.twisted_types import Reactor

#: The version of what the packets say.
FORMAT: Final = 1
#: The most bytes of a packet.
MAX_PACKET: Final = 60_000
#: Bytes of memory of the socket that packets of no more than their kind may take beyond what all others may.
_RESERVE: Final = 1 << 16
#: The most descriptors of a packet (SCM_MAX_FD of Linux).
MAX_DESCRIPTORS: Final = 253
_ITEM: Final = array.array("i").itemsize
_ANCILLARY: Final = socket.CMSG_SPACE(MAX_DESCRIPTORS * _ITEM)


class Kind(enum.IntEnum):
    """The kinds of packets; the package says what they are for."""

    HELLO = 1
    DATA = 2
    BATCH = 3
    ACK = 4
    NACK = 5
    COMMIT = 6
    ABORT = 7
    END = 8


_KINDS: Final = frozenset(Kind)


class PacketOwner:
    """Is told what comes; both sides of a handover are one."""

    def packet(self, kind: Kind, payload: bytes, descriptors: list[int], is_whole: bool) -> None:
        """A packet has come.

        :param descriptors: belong to the called one.
        :param is_whole: False if the system has not delivered all of it, for want of descriptors.
        """
        raise NotImplementedError

    def unsent(self, error: OSError) -> None:
        """The system has not taken a packet, nor those after it.  Reading meets the end of the other side by itself."""

    def ended(self) -> None:
        """The other side is gone, and all that it had sent was read."""
        raise NotImplementedError


@implementer(IReadWriteDescriptor)
class PacketSocket:
    """One end of the socket of a handover.

    :param sock: of the kind SOCK_SEQPACKET, which is closed with this.
    :param owner: is told what comes.
    """

    def __init__(self, reactor: Reactor, sock: socket.socket, owner: PacketOwner) -> None:
        sock.setblocking(False)
        self._reactor = reactor
        self._socket: socket.socket | None = sock
        self._owner = owner
        self._waiting: deque[tuple[bytes, Sequence[int]]] = deque()

    @property
    def is_open(self) -> bool:
        """True until it is closed."""
        return self._socket is not None

    def start(self) -> None:
        """Begin to read."""
        self._reactor.addReader(self)

    def send(self, kind: Kind, payload: bytes = b"", descriptors: Sequence[int] = ()) -> None:
        """Send a packet, after those that wait.

        :param descriptors: must stay open until the other side has answered.
        """
        if self._socket is None:
            return
        self._waiting.append((bytes([kind]) + payload, descriptors))
        if len(self._waiting) == 1:
            self._reactor.addWriter(self)

    def send_now(self, kind: Kind) -> bool:
        """Send a packet of no more than its kind.

        There is room for it, even if the other side reads nothing: an ``ABORT`` that did not fit would give it the
        sessions that this side goes on with.

        :returns: whether the system has taken it.
        """
        if self._socket is None:
            return False
        room = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2  # the system doubles what it is told
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room + _RESERVE)
            return self._socket.send(bytes([kind])) == 1
        except OSError:
            return False
        finally:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)

    def close(self) -> None:
        """Close this end."""
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
            sock, self._socket = self._socket, None
            sock.close()

    # Called by the reactor

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        return "handover"

    def connectionLost(self, reason: Failure) -> None:
        """Ignore the end of the reactor, which says this to every reader when it stops."""

    def doWrite(self) -> None:
        while self._waiting and self._socket is not None:
            payload, descriptors = self._waiting[0]
            try:
                socket.send_fds(self._socket, [payload], list(descriptors))
            except BlockingIOError:
                return
            except OSError as error:
                self._waiting.clear()
                self._owner.unsent(error)
                break
            self._waiting.popleft()
        self._reactor.removeWriter(self)

    def doRead(self) -> None:
        while self._socket is not None:
            try:
                data, ancillary, flags, _ = self._socket.recvmsg(MAX_PACKET + 1, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # the other side has closed with packets unread; what it had sent is still to come
            except OSError:
                data, ancillary, flags = b"", [], 0
            if not data:
                self.close()
                self._owner.ended()
                return
            cut = flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC)
            descriptors = _descriptors(ancillary)
            if data[0] in _KINDS:
                self._owner.packet(Kind(data[0]), data[1:], descriptors, not cut)
            else:
                close_all(descriptors)  # of a later version


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % _ITEM])
    return found.tolist()


def close_all(descriptors: Sequence[int]) -> None:
    """Close descriptors that came for nothing."""
    for descriptor in descriptors:
        os.close(descriptor)


def encode(value: Any) -> bytes:
    """A value as the payload of a packet."""
    return json.dumps(value, separators=(",", ":")).encode()


def decode(payload: bytes) -> Any:
    """The value of a payload.

    :raises ValueError: if it is none.
    """
    return json.loads(payload)


def in_pieces(data: bytes, send: Callable[[bytes], None]) -> None:
    """Call ``send`` with pieces of ``data`` that fit into a packet."""
    for start in range(0, len(data), MAX_PACKET - 1):
        send(data[start : start + MAX_PACKET - 1])

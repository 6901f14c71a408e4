"""The channel between the supervisor and a worker: messages, which are JSON objects, and descriptors, both ways.

Each message has four bytes of length before it, so that either side may be as long as a list of all sessions.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from twisted.internet.interfaces import IAddress, IFileDescriptorReceiver, ITCPTransport, IUNIXTransport
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.net.reactor.twisted_types import Reactor

Message = dict[str, Any]
_LOG: Final = Logger("proxymux")
#: Bytes of the longest message.  A session takes about 300 of them in a list.
_LONGEST: Final = 64 << 20
#: The most descriptors that may have come without the message they belong to.
_MOST_DESCRIPTORS: Final = 64


@implementer(IFileDescriptorReceiver)
class Channel(Int32StringReceiver):
    """One end of the channel.

    :param received: called with each message and the descriptors that belong to it, which are then the called one's.
    :param lost: called once, when the other end is gone.
    """

    MAX_LENGTH = _LONGEST

    def __init__(self, received: Callable[[Message, list[int]], None], lost: Callable[[], None]) -> None:
        self._received = received
        self._lost = lost
        self._descriptors: deque[int] = deque()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send a message.  Does nothing if the other end is gone.

        :param descriptors: go with it; they must stay open until the other end has answered.
        """
        if not self.connected or self.transport is None:
            return
        for descriptor in descriptors:
            cast("IUNIXTransport", self.transport).sendFileDescriptor(descriptor)
        self.sendString(_encode(message, len(descriptors)))

    def close(self) -> None:
        """Close this end."""
        if self.transport is not None:
            self.transport.loseConnection()

    def abort(self) -> None:
        """Close this end now, whatever is unsent."""
        if self.transport is not None:
            cast("ITCPTransport", self.transport).abortConnection()

    # Called by the transport

    def fileDescriptorReceived(self, descriptor: int) -> None:
        if len(self._descriptors) >= _MOST_DESCRIPTORS:
            os.close(descriptor)
        else:
            self._descriptors.append(descriptor)

    def stringReceived(self, string: bytes) -> None:
        message = json.loads(string)
        count = min(message.pop("descriptors", 0), len(self._descriptors))
        descriptors = [self._descriptors.popleft() for _ in range(count)]
        try:
            self._received(message, descriptors)
        except Exception:  # would end the channel, and with it a worker that serves
            _LOG.failure("a message of the other process could not be understood")

    def connectionLost(self, reason: Failure | None = None) -> None:
        while self._descriptors:
            os.close(self._descriptors.popleft())
        self._lost()


def open_channel(reactor: Reactor, sock: socket.socket, channel: Channel) -> None:
    """Have the reactor carry a channel over a socket of a pair, which is closed here: the reactor has a copy."""
    with sock:
        sock.setblocking(False)
        reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, _Given(channel))


class _Given(ServerFactory):
    """Gives a channel that is there already to its transport."""

    noisy = False

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def buildProtocol(self, addr: IAddress | None) -> Channel:
        return self._channel


def receive_first(sock: socket.socket) -> Message:
    """Wait for the first message of a socket, before there is a reactor.

    :raises EOFError: if the other end is gone before the message is whole.
    """
    length = struct.unpack("!I", _exactly(sock, 4))[0]
    message: Message = json.loads(_exactly(sock, length))
    message.pop("descriptors", None)
    return message


def send_now(sock: socket.socket, message: Message) -> None:
    """Send a message and wait until the kernel has it, where there is no reactor.

    :raises OSError: if the other end is gone.
    """
    data = _encode(message, 0)
    sock.sendall(struct.pack("!I", len(data)) + data)


def _encode(message: Message, descriptors: int) -> bytes:
    return json.dumps({**message, "descriptors": descriptors} if descriptors else message).encode()


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise EOFError("the channel was closed")
        data += more
    return data

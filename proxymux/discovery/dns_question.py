"""One question for SRV records to one name server: over UDP, and over TCP where the answer does not fit.

The messages are Twisted's (:mod:`twisted.names.dns`), the asking is not: its ``Resolver`` leaves delayed calls and
connections when it is stopped, asks another server over TCP than over UDP, believes an answer to another question, and
writes two lines to the log for each of its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from typing import Final, NamedTuple, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IReadDescriptor, ITCPTransport
from twisted.names import dns
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.net.reactor.twisted_types import Reactor

#: Seconds after which a datagram is sent again: it, or the answer, may be lost.
RESEND: Final = 1.0
#: Seconds that a server has for the answer, over UDP and then again over TCP.
PATIENCE: Final = 3.5
#: The largest message, in bytes.
_MAX_SIZE: Final = 65535
#: Compression pointers that are followed in a message: two for each of the 3,276 records that fit into the largest.
_MAX_POINTERS: Final = 8192
#: Where the header has the number of the answers.
_COUNT: Final = slice(6, 8)


class NameServer(NamedTuple):
    """Where a name server listens."""

    address: str
    port: int = dns.PORT

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Question:
    """What is asked, as a message with a number of its own."""

    def __init__(self, name: str) -> None:
        self._id = secrets.randbelow(1 << 16)
        self._queries = [dns.Query(name, dns.SRV, dns.IN)]
        message = dns.Message(self._id, recDes=1)
        message.queries = self._queries
        #: The message.
        self.data: bytes = message.toStr()

    def read(self, data: bytes) -> dns.Message | None:
        """The answer in ``data``; None if it is none to this question, or is not whole and does not say so."""
        message = dns.Message()
        message.maxCompressionPointers = _MAX_POINTERS
        try:
            message.fromStr(data)
        except Exception:  # whatever a stranger's bytes make Twisted's code raise
            return None
        # A server that cannot read the question answers without it.
        is_ours = message.queries == self._queries or (message.rCode != dns.OK and not message.queries)
        is_whole = message.trunc or len(message.answers) == int.from_bytes(data[_COUNT], "big")
        return message if message.answer and message.id == self._id and is_ours and is_whole else None


async def ask(reactor: Reactor, clock: IReactorTime, server: NameServer, name: str) -> dns.Message:
    """Ask ``server`` for the SRV records of ``name``.

    :param clock: measures the time and makes the delayed calls.
    :raises OSError: if there is no way to the server.
    :raises ConnectError: if there is none over TCP.
    :raises TimeoutError: Twisted's, if it does not answer.
    """
    question = Question(name)
    datagrams = _Datagrams(reactor, clock, server, question)
    try:
        answer = await datagrams.answered.addTimeout(PATIENCE, clock)
    finally:
        datagrams.close()
    if answer.trunc:
        answer = await Deferred.fromCoroutine(_ask_over_tcp(reactor, server, question)).addTimeout(PATIENCE, clock)
    return answer


async def _ask_over_tcp(reactor: Reactor, server: NameServer, question: Question) -> dns.Message:
    endpoint = (TCP6ClientEndpoint if ":" in server.address else TCP4ClientEndpoint)(reactor, *server)
    stream = _Stream(question)
    try:
        await connectProtocol(endpoint, stream)
    except ConnectingCancelledError:
        raise CancelledError from None
    try:
        return await stream.answered
    finally:
        cast("ITCPTransport", stream.transport).abortConnection()


@implementer(IReadDescriptor)
class _Datagrams:
    """A connected UDP socket, on which a question is sent again and again until it is closed.

    Its system takes datagrams of the server only, and says so if nobody listens there.
    """

    def __init__(self, reactor: Reactor, clock: IReactorTime, server: NameServer, question: Question) -> None:
        self._reactor = reactor
        self._clock = clock
        self._question = question
        self._call: IDelayedCall | None = None
        #: Fires with the answer, or fails with what the system says of the server.
        self.answered: Deferred[dns.Message] = Deferred()
        family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.connect(server)
            self._send()
        except OSError:
            self._socket.close()
            raise
        reactor.addReader(self)

    def close(self) -> None:
        """Send and read nothing more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()

    def _send(self) -> None:
        with contextlib.suppress(BlockingIOError):  # one that does not go is like one that is lost
            self._socket.send(self._question.data)
        self._call = self._clock.callLater(RESEND, self._send_again)

    def _send_again(self) -> None:
        self._call = None
        try:
            self._send()
        except OSError as error:
            self._end(error)

    def _end(self, result: dns.Message | OSError) -> None:
        self.close()
        if isinstance(result, OSError):
            self.answered.errback(result)
        else:
            self.answered.callback(result)

    # Called by the reactor

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "DNS"

    def doRead(self) -> None:
        try:
            answer = self._question.read(self._socket.recv(_MAX_SIZE))
        except BlockingIOError:
            return  # the system has dropped a damaged one
        except OSError as error:
            self._end(error)
            return
        if answer is not None:
            self._end(answer)

    def connectionLost(self, reason: Failure) -> None:
        """Take note of an error of the socket: nobody listens there.  Without one it is the reactor that ends."""
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._end(OSError(number, os.strerror(number)))
        else:
            self.close()


class _Stream(Int16StringReceiver):
    """A TCP connection on which a question is asked once."""

    def __init__(self, question: Question) -> None:
        self._question = question
        #: Fires with the answer, or fails with why there is none.
        self.answered: Deferred[dns.Message] = Deferred()

    def connectionMade(self) -> None:
        self.sendString(self._question.data)

    def stringReceived(self, string: bytes) -> None:
        answer = self._question.read(string)
        if not self.answered.called:
            if answer is None or answer.trunc:
                self.answered.errback(OSError("its answer over TCP is not one to the question"))
            else:
                self.answered.callback(answer)

    def connectionLost(self, reason: Failure | None = None) -> None:
        if not self.answered.called:
            self.answered.errback(reason or OSError("it closed the connection"))

"""One connection to the admin endpoint: HTTP/1 by Twisted, with limits that hold whatever the other end does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request

if TYPE_CHECKING:
    from proxymux.admin.site import Site

#: The most bytes of one request, with its head.
MAX_REQUEST: Final = 64 * 1024
#: Seconds in which a request has to be whole, and in which the one before it has to be taken.
REQUEST_TIME: Final = 10.0
#: Seconds in which a client that was refused has to read why.
_LAST_WORD_TIME: Final = 2.0
_REASONS: Final = {408: "Request Timeout", 413: "Content Too Large"}


class Channel(HTTPChannel):
    """Reads requests one after the other, each no larger than :data:`MAX_REQUEST` and within :data:`REQUEST_TIME`.

    A client over a limit is told so, and read no more.  The site, which is the factory, counts the connections.
    """

    factory: Site
    transport: Any  # the members of Twisted's interfaces do not suffice

    # Twisted's own limits are not to be met before ours, which answer by a status that says what is wrong.
    MAX_LENGTH = MAX_REQUEST
    totalHeadersSize = MAX_REQUEST

    #: Bytes of the request that is being read.
    _size = 0
    #: The client was told that it is read no more.
    _is_refused = False
    _deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        super().connectionMade()
        self.factory.entered(self)
        self._set_deadline(REQUEST_TIME)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._set_deadline(None)
        self.factory.left(self)
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._size += len(data)
        if self._size > MAX_REQUEST:
            self._refuse(413)
        else:
            super().dataReceived(data)

    def allHeadersReceived(self) -> None:
        if self.length is not None and self.length > MAX_REQUEST:
            self._refuse(413)  # it says beforehand that it will be too large
        else:
            super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:
        if not self._is_refused:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        if not self._is_refused:
            self._set_deadline(None)
            super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        self._size = 0
        self._set_deadline(REQUEST_TIME)
        super().requestDone(request)

    def abort(self) -> None:
        """Reset the connection."""
        self.transport.abortConnection()

    def _refuse(self, status: int) -> None:
        """Say by ``status`` what is wrong, and close once the client has read it: a reset could destroy it."""
        if self._is_refused:
            return
        self._is_refused = True
        transport = self.transport
        if self._deadline is None:  # an answer is under way, which must not be broken into
            self.abort()
            return
        self._set_deadline(_LAST_WORD_TIME)
        reason = f"{status} {_REASONS[status]}"
        transport.write(
            f"HTTP/1.1 {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(reason) + 1}\r\n"
            f"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{reason}\n".encode()
        )
        transport.unregisterProducer()
        if hasattr(transport, "loseWriteConnection"):
            transport.loseWriteConnection()
        else:
            transport.loseConnection()

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.factory.clock.callLater(seconds, self._expired)

    def _expired(self) -> None:
        if self._size and not self._is_refused:
            self._refuse(408)
        else:
            self.abort()

"""Responses: each tells the listeners of ``request`` the reply to one request."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.core.events import Events
from proxymux.core.outcome import Outcome
from proxymux.errors import ProxymuxError
from proxymux.user_code import describe


class RequestFailed(ProxymuxError):
    """Fails a listener's Deferred: the request got no complete reply.

    :param outcome: why, in one word.
    :param reason: why, in one line.
    """

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(f"{outcome}: {reason}")
        self.outcome = outcome


class Response:
    """The reply to one request.

    Each listener has a Deferred of its own, so that no listener can change the result of another.
    """

    __slots__ = ("_deferreds", "_log", "parts", "size")

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._deferreds: list[Deferred[bytes]] = []
        #: The parts of the reply that have come.
        self.parts: list[bytes] = []
        #: Their bytes, for callers that limit what they add to ``parts``.
        self.size = 0

    def tell(self, events: Events, data: bytes) -> None:
        """Call the listeners of ``request`` with the bytes of the request and a Deferred of the reply."""
        events.emit_each("request", lambda: (self._log, data, self._new_deferred()))

    def _new_deferred(self) -> Deferred[bytes]:
        deferred: Deferred[bytes] = Deferred()
        self._deferreds.append(deferred)
        return deferred

    def add(self, data: bytes) -> None:
        """Keep a further part of the reply."""
        self.parts.append(data)

    def succeed(self) -> None:
        """Give the listeners the reply, which is complete."""
        parts, self.parts = self.parts, []
        self._fire(b"".join(parts))

    def fail(self, outcome: Outcome, reason: str) -> None:
        """Fail the listeners' Deferreds with :class:`RequestFailed`."""
        self.parts = []
        self._fire(Failure(RequestFailed(outcome, reason)))

    def _fire(self, result: bytes | Failure) -> None:
        deferreds, self._deferreds = self._deferreds, []
        for deferred in deferreds:
            if not deferred.called:
                deferred.callback(result)
            deferred.addErrback(self._report)

    def _report(self, failure: Failure) -> None:
        if failure.check(RequestFailed, CancelledError) is None and failure.value is not None:
            self._log.error("a listener of request raised {error}", error=describe(failure.value))

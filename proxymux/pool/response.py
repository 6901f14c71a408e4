"""Responses: what the listeners of ``request`` are told of a reply."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.core.events import Events
from proxymux.core.outcome import Outcome
from proxymux.errors import ProxymuxError


class RequestFailed(ProxymuxError):
    """A request has no whole reply.

    :param outcome: what became of it.
    """

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(f"{outcome}: {reason}")
        self.outcome = outcome


class Response:
    """The reply to one request, of which every listener has a Deferred of its own: none can spoil another's."""

    __slots__ = ("_log", "_promises", "parts", "size")

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._promises: list[Deferred[bytes]] = []
        #: What has come of it so far.
        self.parts: list[bytes] = []
        self.size = 0

    def tell(self, events: Events, data: bytes) -> None:
        """Tell the listeners of the request."""
        events.emit_each("request", lambda: (self._log, data, self._promise()))

    def _promise(self) -> Deferred[bytes]:
        promise: Deferred[bytes] = Deferred()
        self._promises.append(promise)
        return promise

    def add(self, data: bytes) -> None:
        """A part of the reply has come."""
        self.parts.append(data)

    def succeed(self) -> None:
        """The reply is whole."""
        parts, self.parts = self.parts, []
        self._fire(b"".join(parts))

    def fail(self, outcome: Outcome, reason: str) -> None:
        """There is none, or it will not become whole."""
        self.parts = []
        self._fire(Failure(RequestFailed(outcome, reason)))

    def _fire(self, result: bytes | Failure) -> None:
        promises, self._promises = self._promises, []
        for promise in promises:
            if not promise.called:
                promise.callback(result)
            promise.addErrback(self._report)

    def _report(self, failure: Failure) -> None:
        if failure.check(RequestFailed, CancelledError) is None:
            kind = type(failure.value).__name__
            self._log.error("a listener of request raised {kind}: {error}", kind=kind, error=failure.value)

"""The one thing that a session waits for: a decision, a connection or a user's answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


class Pending:
    """Waits for one Deferred at a time.  Once cancelled, whatever still comes of it is dropped."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: Deferred[Any] | None = None

    def wait(self, waiting: Deferred[Any], done: Callable[[Any], None], failed: Callable[[Failure], None]) -> None:
        """Call ``done`` with the result of ``waiting``, or ``failed`` with its failure."""

        def settle(result: Any) -> None:
            if self._waiting is not waiting:
                return
            self._waiting = None
            if isinstance(result, Failure):
                failed(result)
            else:
                done(result)

        self._waiting = waiting
        waiting.addBoth(settle)

    def cancel(self) -> None:
        """Wait no longer."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.cancel()

"""When something is tried again: soon, and ever later if it fails again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from proxymux.core.backoff import Backoff

#: Seconds to the second try, and the most to a later one; each takes twice as long as the one before.
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0


class Retrying:
    """The next try of one thing.

    :param jitter: returns a random factor from 0.5 to 1.5 of a pause, so that many instances do not try at once.
    """

    def __init__(self, clock: IReactorTime, jitter: Callable[[], float]) -> None:
        self._clock = clock
        self._jitter = jitter
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        self._tried_at = clock.seconds()
        self._call: IDelayedCall | None = None

    def later(self, try_again: Callable[[], None]) -> None:
        """Have it tried again after a pause, in the place of a try that is still to come.

        Where the last try was more than :data:`LONGEST_PAUSE` ago, it has been of use for that time, or has taken it:
        the pause is the shortest then.
        """
        self.cancel()
        if self._clock.seconds() - self._tried_at > LONGEST_PAUSE:
            self._backoff.succeeded()

        def due() -> None:
            self._call = None
            self._tried_at = self._clock.seconds()
            try_again()

        self._call = self._clock.callLater(self._backoff.failed(self._jitter()), due)

    def cancel(self) -> None:
        """Have it tried no more; nothing changes if no try was to come."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

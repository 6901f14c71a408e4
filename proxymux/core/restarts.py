"""When a worker that has ended is started again: at once, and ever later if it ends again and again."""

from __future__ import annotations

from typing import Final

#: Seconds that a worker must have served for its end to be taken for the first one.
STEADY: Final = 10.0
#: How often workers that served, if not for that long, are started again at once.  It takes a fault that kills each of
#: them to use this up, and until then nobody waits for a start.
AT_ONCE: Final = 20
#: Seconds to the second start of one that never served, and to the first after :data:`AT_ONCE`; each further one takes
#: twice as long.
_FIRST_DELAY: Final = 1.0
#: The longest delay, in seconds.
LONGEST_DELAY: Final = 30.0


class Restarts:
    """The starts of the workers of one place."""

    def __init__(self) -> None:
        self._left_at_once = AT_ONCE
        self._delay = 0.0

    def delay(self, served: float) -> float:
        """The seconds until the next start.

        :param served: how long the worker that has ended had been ready, in seconds; 0 if it never was.
        """
        if served >= STEADY:
            self._left_at_once, self._delay = AT_ONCE, 0.0
        elif served > 0 and self._left_at_once:
            self._left_at_once -= 1
            self._delay = 0.0
            return 0.0
        delay, self._delay = self._delay, min(max(_FIRST_DELAY, 2 * self._delay), LONGEST_DELAY)
        return delay

"""Pacing: how many bytes of a flow may pass now, so that it keeps to a rate.

A token bucket.  In any time of T seconds no more than ``rate * (T + BURST)`` bytes pass; and of a flow that always has
bytes, no less than ``rate * (T - BURST)``, if it is asked again after each :attr:`Pacer.pause`.
"""

from __future__ import annotations

from typing import Final

#: Seconds of the rate that may pass at once, if nothing has passed before for as long.
BURST: Final = 0.25
#: Seconds of the rate that may pass at once at the beginning.
FIRST: Final = 0.05
#: Seconds between two passes: the longest for slow flows, of which there may be very many; the shortest for fast ones.
LONGEST_PAUSE: Final = 0.1
SHORTEST_PAUSE: Final = 0.01
#: Bytes of one pass, at rates between these two.
_PASS: Final = 1 << 16


class Pacer:
    """The bucket of one flow.

    :param rate: bytes a second; None lets everything pass.
    :param now: the time in the clock's seconds, as of :meth:`take`.
    """

    __slots__ = ("_at", "_depth", "_level", "_rate", "pause")

    def __init__(self, rate: int | None, now: float) -> None:
        self._rate = rate
        #: Seconds to wait when no more may pass.
        self.pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, _PASS / rate)) if rate else 0.0
        # At least one byte may always pass in the end, and at the beginning: the first of a flow is waited for.
        self._depth = max(1.0, rate * BURST) if rate else 0.0
        self._level = max(1.0, rate * FIRST) if rate else 0.0
        self._at = now

    def take(self, wanted: int, now: float) -> int:
        """Let as many of ``wanted`` bytes pass as may pass now.

        :returns: their number.
        """
        if self._rate is None:
            return wanted
        self._level = min(self._depth, self._level + (now - self._at) * self._rate)
        self._at = now
        taken = min(wanted, int(self._level))
        self._level -= taken
        return taken

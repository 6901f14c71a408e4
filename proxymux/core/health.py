"""Health: whether a member of a cluster is up, by how connects, requests and checks end.

A member that is up goes down after ``fall`` failures in a row, of whichever kind.  What follows is an ejection: for the
length of its backoff, which doubles at each further one, nothing brings the member back.  Then it needs ``rise`` checks
in a row that pass; or without checks it is simply tried again, and its next failure is the next ejection.

Each ``now`` is the current time in the clock's seconds.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from proxymux.core.wheel import ROUNDING

#: The longest backoff, in multiples of the interval.
LONGEST_BACKOFF: Final = 10
#: The part of the interval by which a check may come early or late.
JITTER: Final = 0.1


class HealthRules(NamedTuple):
    """When a member goes down, and when it is up again.

    :param rise: checks that must pass in a row.
    :param fall: failures in a row.
    :param interval: seconds between two checks, and of the first backoff.
    :param is_checked: checks decide whether it comes back; else it is tried again when the backoff is over.
    """

    rise: int = 2
    fall: int = 3
    interval: float = 2.0
    is_checked: bool = True


class Health:
    """The health of one member, which is up at first."""

    __slots__ = (
        "_ejections",
        "_failures",
        "_passes",
        "_rules",
        "_up_since",
        "down_since",
        "is_refuted",
        "is_up",
        "reason",
        "retry_at",
    )

    def __init__(self, rules: HealthRules) -> None:
        self._rules = rules
        self.is_up = True
        #: A check has failed since it went down, or has made it go down: that it is down is no mere suspicion.
        self.is_refuted = False
        #: Why it is down, in one line; empty while it is up.
        self.reason = ""
        #: When it went down; meaningless while it is up.
        self.down_since = 0.0
        #: When it may come back, and is to be checked next while it is down.
        self.retry_at = 0.0
        self._failures = 0
        self._passes = 0
        #: The ejections that came one soon after another.
        self._ejections = 0
        self._up_since = -math.inf

    def succeeded(self) -> None:
        """Take note that a connect, or a pooled request, has succeeded."""
        if self.is_up:
            self._failures = 0

    def failed(self, reason: str, now: float) -> bool:
        """Take note that a connect, or a pooled request, has failed.

        :param reason: why, in one line.
        :returns: True if the member has just gone down.
        """
        return self._fail(reason, now)

    def check_passed(self, now: float) -> bool:
        """Take note that a check has passed.

        :returns: True if the member has just come up.
        """
        self._failures = 0
        if self.is_up:
            return False
        self._passes += 1
        self.retry_at = max(self.retry_at, now + self._rules.interval)
        early = JITTER * self._rules.interval + ROUNDING  # else it would take one check more than ``rise``
        if self._passes < self._rules.rise or now + early < self.down_since + self._backoff:
            return False
        self._come_up(now)
        return True

    def check_failed(self, reason: str, now: float) -> bool:
        """Take note that a check has failed.

        :param reason: why, in one line.
        :returns: True if the member has just gone down.
        """
        self._passes = 0
        if not self.is_up:
            self.is_refuted, self.reason = True, reason
            pause = min(max(self._rules.interval, now - self.down_since), self._longest)
            self.retry_at = max(self.retry_at, now + pause)
            return False
        went_down = self._fail(reason, now)
        self.is_refuted = went_down
        return went_down

    def look(self, now: float) -> bool:
        """Bring the member back if it is not checked and its backoff is over.

        :returns: True if it has just come up.
        """
        if self.is_up or self._rules.is_checked or now + ROUNDING < self.retry_at:
            return False
        self._come_up(now)
        self._failures = self._rules.fall - 1
        return True

    @property
    def _longest(self) -> float:
        return LONGEST_BACKOFF * self._rules.interval

    @property
    def _backoff(self) -> float:
        """Seconds of the present ejection."""
        return min(self._longest, self._rules.interval * 2.0 ** min(self._ejections - 1, 10))

    def _fail(self, reason: str, now: float) -> bool:
        self._passes = 0
        self._failures += 1
        if not self.is_up or self._failures < self._rules.fall:
            return False
        self.is_up, self.reason, self.down_since = False, reason, now
        self._ejections = 1 if now > self._up_since + self._longest else self._ejections + 1
        self.retry_at = now + self._backoff
        return True

    def _come_up(self, now: float) -> None:
        self._up_since = now
        self.is_up, self.is_refuted, self.reason = True, False, ""
        self._failures = self._passes = 0

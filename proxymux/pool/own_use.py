"""Tells the operator which requests take upstreams for one client alone, and which were refused one."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from proxymux.core.command_statistics import CommandStatistics
from proxymux.core.slots import Slot


class OwnUseLog:
    """Counts such requests by name, and warns of each name at most once a minute.

    :param now: returns the clock's seconds.
    """

    def __init__(self, now: Callable[[], float], log: Logger) -> None:
        self._now = now
        self._log = log
        self.pinned = CommandStatistics()
        self.refused = CommandStatistics()

    def note_pin(self, name: str, slot: Slot) -> None:
        """Take note that a client has ``slot`` alone from a request of this name on."""
        count = self.pinned.note(name, self._now())
        if count:
            self._log.warn(
                "{name}: a client has upstream {number} alone until it leaves ({count} so far)",
                name=name,
                number=slot.number,
                count=count,
            )

    def note_refusal(self, name: str, problem: str) -> None:
        """Take note that a request of this name was refused for want of an upstream."""
        count = self.refused.note(name, self._now())
        if count:
            self._log.warn(
                "{name} was refused ({count} so far): {problem}; each --target more is one more",
                name=name,
                count=count,
                problem=problem,
            )

    def lines(self) -> list[str]:
        """The counts in log lines; none if there is nothing to tell."""
        both = (("upstreams taken alone", self.pinned), ("refused an upstream", self.refused))
        return [f"{what}: {counts}" for what, counts in both if counts.counts]

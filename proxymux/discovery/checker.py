"""When the members of a cluster are checked."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from proxymux.core.health import JITTER
from proxymux.core.member import Member
from proxymux.core.target import Address
from proxymux.core.wheel import TICK, Timer
from proxymux.discovery.check import CheckListener
from proxymux.net.timers import Timers

#: The most checks of a cluster that are under way at once; others wait for their turn.
MOST_CHECKS: Final = 64


class RunningCheck(Protocol):
    """One check, as :class:`~proxymux.discovery.check.Check`."""

    def start(self) -> None:
        """Begin; the listener may be told before this returns."""

    def cancel(self) -> None:
        """End without a call of the listener."""


#: Makes a check.
MakeCheck = Callable[[Address, CheckListener], RunningCheck]


class CheckerListener(Protocol):
    """Is told of every check.  It may call the checker back."""

    def checked(self, member: Member, problem: str | None) -> None:
        """A check of ``member`` has ended, and its health is to take note of it.

        :param problem: why it has failed, in one line; None if it has passed.
        """


class Checker:
    """Checks the members of one cluster, from the first call of :meth:`members_changed` on.

    Each is checked once an interval, a little more or less at random, the first time at some point of the first
    interval.  Where only those that are down are checked, each is when its health says so.  The times are those of
    coarse timers.

    :param make_check: as :meth:`proxymux.discovery.check.Checks.make`.
    :param interval: seconds from the start of one check of a member to that of the next.
    :param only_down: check only members that are down.
    :param chance: a random number from 0 to 1 at each call.
    """

    def __init__(
        self,
        make_check: MakeCheck,
        timers: Timers,
        interval: float,
        only_down: bool,
        listener: CheckerListener,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._make_check = make_check
        self._timers = timers
        self._interval = interval
        self._only_down = only_down
        self._listener = listener
        self._chance = chance
        self._turns: dict[Member, _Turn] = {}
        #: The turns that are due, the one first that has waited longest.
        self._due: dict[_Turn, None] = {}
        self._under_way = 0
        self._is_beginning = False

    def members_changed(self, members: Iterable[Member]) -> None:
        """Check these members from now on, and no others."""
        now = dict.fromkeys(members)
        for member in [member for member in self._turns if member not in now]:
            self._forget(self._turns.pop(member))
        added = [member for member in now if member not in self._turns]
        for place, member in enumerate(added):
            turn = self._turns[member] = _Turn(self, member)
            if not self._only_down:
                self._set(turn, self._interval * (place + self._chance()) / len(added))
            elif not member.health.is_up:
                self._set_retry(turn)
        self._begin_due()

    def went_down(self, member: Member) -> None:
        """Take note that a member is down for another reason than a check."""
        turn = self._turns.get(member)
        if turn is not None and self._only_down and turn.is_idle and turn not in self._due:
            self._set_retry(turn)

    def stop(self) -> None:
        """Check no more, and leave no connection and no timer; but for connections that linger."""
        self.members_changed(())

    @property
    def under_way(self) -> int:
        """How many checks are."""
        return self._under_way

    # Called by a turn

    def is_due(self, turn: _Turn) -> None:
        """Check the member of ``turn`` now, or as soon as fewer checks are under way."""
        if not (self._only_down and turn.member.health.is_up):
            self._due[turn] = None
            self._begin_due()

    def ended(self, turn: _Turn, problem: str | None) -> None:
        """Tell the listener of a check that has ended, and set the time of the next."""
        self._under_way -= 1
        member = turn.member
        self._listener.checked(member, problem)
        if self._turns.get(member) is turn and turn.is_idle:
            if not self._only_down:
                pause = self._interval * (1 + JITTER * (2 * self._chance() - 1))
                self._set(turn, turn.began_at + pause - self._timers.seconds())
            elif not member.health.is_up:
                self._set_retry(turn)
        self._begin_due()

    def _set(self, turn: _Turn, seconds: float) -> None:
        # A time that has passed is made good, but never at once: that might go in a circle without an end.
        turn.timer = self._timers.after(max(TICK, seconds), turn.time_passed)

    def _set_retry(self, turn: _Turn) -> None:
        self._set(turn, turn.member.health.retry_at - self._timers.seconds())

    def _begin_due(self) -> None:
        """Begin checks while there is room; in a loop, as one that fails at once ends within it."""
        if self._is_beginning:
            return
        self._is_beginning = True
        try:
            while self._due and self._under_way < MOST_CHECKS:
                turn = next(iter(self._due))
                del self._due[turn]
                self._under_way += 1
                turn.begin(self._make_check(turn.member.address, turn), self._timers.seconds())
        finally:
            self._is_beginning = False

    def _forget(self, turn: _Turn) -> None:
        self._due.pop(turn, None)
        if turn.stop():
            self._under_way -= 1


class _Turn:
    """One member: when it is checked next, or the check that is under way.  Listens to its check."""

    __slots__ = ("_check", "_checker", "began_at", "member", "timer")

    def __init__(self, checker: Checker, member: Member) -> None:
        self._checker = checker
        self.member = member
        self.timer: Timer | None = None
        self._check: RunningCheck | None = None
        #: When the last check began, in the clock's seconds.
        self.began_at = 0.0

    @property
    def is_idle(self) -> bool:
        """No time is set and no check under way."""
        return self.timer is None and self._check is None

    def time_passed(self) -> None:
        """Take note that it is time for a check."""
        self.timer = None
        self._checker.is_due(self)

    def begin(self, check: RunningCheck, now: float) -> None:
        """Begin a check."""
        self._check = check
        self.began_at = now
        check.start()

    def stop(self) -> bool:
        """Cancel what is set or under way.

        :returns: True if a check was.
        """
        timer, self.timer = self.timer, None
        check, self._check = self._check, None
        if timer is not None:
            timer.cancel()
        if check is not None:
            check.cancel()
        return check is not None

    # Called by the check

    def passed(self) -> None:
        self._check = None
        self._checker.ended(self, None)

    def failed(self, reason: str) -> None:
        self._check = None
        self._checker.ended(self, reason)

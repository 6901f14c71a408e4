"""Names: looking one up, and connecting to the first of its addresses that answers.

Twisted's HostnameEndpoint does not say that a name's last address has failed before another 0.3 seconds have passed;
with ten retries that is seconds in which a client could have been told.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.address import IPv6Address
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IResolutionReceiver
from zope.interface import implementer

from proxymux.core.target import InetTarget
from proxymux.core.wheel import Timer
from proxymux.net.leg import Leg
from proxymux.net.timers import Timers

#: Seconds that one address of a name has before the next is tried beside it (RFC 8305 section 5).
HEAD_START: Final = 0.25


class Waiting(Protocol):
    """Waits for a leg: exactly one of these is called, and neither after the attempt was cancelled.

    It may be called before the call that begins the attempt has returned.
    """

    def connected(self, leg: Leg) -> None:
        """The leg, which nobody reads yet."""

    def failed(self, problem: Exception) -> None:
        """There will be none."""


class Attempt(Protocol):
    """Something that will come to a leg, or to none."""

    def cancel(self) -> None:
        """It is not to."""


class Denied(Exception):
    """A target is none to connect to."""


#: Says why an address is none to connect to; None if it is one.
Guard = Callable[[InetTarget], str | None]
#: Begins an attempt at one address.
Dial = Callable[[InetTarget, Waiting], Attempt]


@implementer(IResolutionReceiver)
class Named:
    """An attempt at a name.

    :param reactor: whose resolver looks the name up.
    :param timers: for the head starts.
    :param dial: begins an attempt at one of its addresses.
    :param guard: looks at each of them first.
    """

    def __init__(
        self, reactor: Any, timers: Timers, target: InetTarget, waiting: Waiting, dial: Dial, guard: Guard | None = None
    ) -> None:
        self._timers = timers
        self._guard = guard
        self._target = target
        self._waiting: Waiting | None = waiting
        self._dial = dial
        self._addresses: list[InetTarget] = []
        self._race: Race | None = None
        reactor.nameResolver.resolveHostName(self, target.host)

    def resolutionBegan(self, resolutionInProgress: Any) -> None:
        """The resolver has begun."""

    def addressResolved(self, address: Any) -> None:
        scope = f"%{address.scopeID}" if isinstance(address, IPv6Address) and address.scopeID else ""
        self._addresses.append(InetTarget(address.host + scope, self._target.port, True))

    def resolutionComplete(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return  # cancelled meanwhile; the resolver's threads know no cancelling
        if not self._addresses:
            waiting.failed(DNSLookupError(f"{self._target.host} does not resolve"))
            return
        problems = [self._guard(address) if self._guard is not None else None for address in self._addresses]
        good = [address for address, problem in zip(self._addresses, problems, strict=True) if problem is None]
        if good:
            self._race = Race(self._timers, good, waiting, self._dial)
            self._race.start()
        else:
            waiting.failed(Denied(f"{self._addresses[0]} {problems[0]}"))

    def cancel(self) -> None:
        self._waiting = None
        if self._race is not None:
            self._race.cancel()


class Race:
    """Attempts that begin one after another, until one of them succeeds (RFC 8305, "Happy Eyeballs").

    The next begins when one has failed, or after :data:`HEAD_START`.  The others are cancelled when one succeeds.
    """

    def __init__(self, timers: Timers, addresses: list[InetTarget], waiting: Waiting, dial: Dial) -> None:
        self._timers = timers
        self._addresses = list(addresses)
        self._waiting: Waiting | None = waiting
        self._dial = dial
        self._runners: set[_Runner] = set()
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin with the first address, and go on until an attempt is left to wait for."""
        while self._waiting is not None and self._addresses:
            runner = _Runner(self)
            self._runners.add(runner)
            runner.run(functools.partial(self._dial, self._addresses.pop(0)))
            if runner in self._runners:
                if self._addresses:
                    self._timer = self._timers.after(HEAD_START, self._waited)
                return

    def _waited(self) -> None:
        self._timer = None
        self.start()

    def won(self, runner: _Runner, leg: Leg) -> None:
        """An attempt has succeeded."""
        waiting = self._waiting
        self._runners.remove(runner)
        self.cancel()
        if waiting is not None:
            waiting.connected(leg)

    def lost(self, runner: _Runner, problem: Exception) -> None:
        """An attempt has failed."""
        self._runners.remove(runner)
        if self._addresses:
            self._stop_timer()
            if runner.attempt is not None:  # or else whoever has begun it goes on with the next
                self.start()
        elif not self._runners and self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.failed(problem)

    def cancel(self) -> None:
        self._waiting = None
        self._stop_timer()
        runners, self._runners = self._runners, set()
        for runner in runners:
            if runner.attempt is not None:
                runner.attempt.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Runner:
    """One attempt of a race."""

    def __init__(self, race: Race) -> None:
        self._race = race
        #: None until it has begun.
        self.attempt: Attempt | None = None

    def run(self, dial: Callable[[Waiting], Attempt]) -> None:
        self.attempt = dial(self)

    def connected(self, leg: Leg) -> None:
        self._race.won(self, leg)

    def failed(self, problem: Exception) -> None:
        self._race.lost(self, problem)

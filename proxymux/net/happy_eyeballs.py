"""Connecting to a target: its name is looked up, and the first of its addresses that answers wins (RFC 8305).

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

from proxymux.core.target import InetTarget, Target
from proxymux.core.wheel import Timer
from proxymux.net.connection import Connection
from proxymux.net.timers import Timers

#: Seconds that one address of a name has before the next is tried beside it (RFC 8305 section 5).
HEAD_START: Final = 0.25


class DialListener(Protocol):
    """Waits for a connection: exactly one method is called, and neither after the attempt was cancelled.

    It may be called before the call that begins the attempt has returned.
    """

    def connected(self, connection: Connection) -> None:
        """The connection, which nobody reads yet."""

    def failed(self, problem: Exception) -> None:
        """There will be none."""


class Attempt(Protocol):
    """One attempt to connect, which ends with a call of its :class:`DialListener`."""

    def cancel(self) -> None:
        """End the attempt; its listener is not called any more."""


class TargetDenied(Exception):
    """A target may not be connected to."""


class TlsFailed(Exception):
    """The TLS handshake with an upstream failed, and would fail again."""


#: Says why an IP address may not be connected to; None if it may.
TargetCheck = Callable[[InetTarget], str | None]
#: Begins an attempt at one IP address.
DialAddress = Callable[[InetTarget, DialListener], Attempt]


class Dialler:
    """Connects to targets, whether they are names, addresses or paths.

    :param reactor: whose resolver looks names up.
    :param timers: for the head starts.
    :param check: asked about every IP address before it is connected to, or None.
    """

    __slots__ = ("_check", "_reactor", "_timers")

    def __init__(self, reactor: Any, timers: Timers, check: TargetCheck | None = None) -> None:
        self._reactor = reactor
        self._timers = timers
        self._check = check

    def dial(
        self, target: Target, connect: Callable[[Target, DialListener], Attempt], listener: DialListener
    ) -> Attempt:
        """Connect to ``target``.

        :param connect: begins an attempt at a target that needs no look-up.
        """
        if isinstance(target, InetTarget):
            if not target.is_address:
                return NameAttempt(self._reactor, self._timers, target, listener, connect, self._check)
            problem = self._check(target) if self._check is not None else None
            if problem is not None:
                listener.failed(TargetDenied(problem))
                return NO_ATTEMPT
        return connect(target, listener)


class _NoAttempt:
    """An attempt that failed before it began."""

    def cancel(self) -> None: ...


NO_ATTEMPT: Final = _NoAttempt()


@implementer(IResolutionReceiver)
class NameAttempt:
    """An attempt at a name.

    :param reactor: whose resolver looks the name up.
    :param timers: for the head starts.
    :param dial: begins an attempt at one of its addresses.
    :param check: asked about each of them first.
    """

    def __init__(
        self,
        reactor: Any,
        timers: Timers,
        target: InetTarget,
        listener: DialListener,
        dial: DialAddress,
        check: TargetCheck | None = None,
    ) -> None:
        self._timers = timers
        self._check = check
        self._target = target
        self._listener: DialListener | None = listener
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
        listener, self._listener = self._listener, None
        if listener is None:
            return  # cancelled meanwhile; the resolver's threads know no cancelling
        if not self._addresses:
            listener.failed(DNSLookupError(f"{self._target.host} does not resolve"))
            return
        problems = [self._check(address) if self._check is not None else None for address in self._addresses]
        good = [address for address, problem in zip(self._addresses, problems, strict=True) if problem is None]
        if good:
            self._race = Race(self._timers, good, listener, self._dial)
            self._race.start()
        else:
            listener.failed(TargetDenied(f"{self._addresses[0]} {problems[0]}"))

    def cancel(self) -> None:
        self._listener = None
        if self._race is not None:
            self._race.cancel()


class Race:
    """Attempts that begin one after another, until one of them succeeds (RFC 8305, "Happy Eyeballs").

    The next begins when one has failed, or after :data:`HEAD_START`.  The others are cancelled when one succeeds.
    """

    def __init__(self, timers: Timers, addresses: list[InetTarget], listener: DialListener, dial: DialAddress) -> None:
        self._timers = timers
        self._addresses = list(addresses)
        self._listener: DialListener | None = listener
        self._dial = dial
        self._runners: set[_Runner] = set()
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin with the first address, and go on until an attempt is left to wait for."""
        while self._listener is not None and self._addresses:
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

    def won(self, runner: _Runner, connection: Connection) -> None:
        """An attempt has succeeded."""
        listener = self._listener
        self._runners.remove(runner)
        self.cancel()
        if listener is not None:
            listener.connected(connection)

    def lost(self, runner: _Runner, problem: Exception) -> None:
        """An attempt has failed."""
        self._runners.remove(runner)
        if self._addresses:
            self._stop_timer()
            if runner.attempt is not None:  # or else whoever has begun it goes on with the next
                self.start()
        elif not self._runners and self._listener is not None:
            listener, self._listener = self._listener, None
            listener.failed(problem)

    def cancel(self) -> None:
        self._listener = None
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

    def run(self, dial: Callable[[DialListener], Attempt]) -> None:
        self.attempt = dial(self)

    def connected(self, connection: Connection) -> None:
        self._race.won(self, connection)

    def failed(self, problem: Exception) -> None:
        self._race.lost(self, problem)

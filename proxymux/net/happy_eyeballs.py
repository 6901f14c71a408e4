"""Dialling a target: its name is looked up, and the first of its addresses that accepts is used (RFC 8305).

Twisted's HostnameEndpoint reports the failure of a name's last address 0.3 seconds late; with ten retries a client
would wait seconds longer for its error reply.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from zope.interface import implementer

from proxymux.core.target import Address, InetTarget
from proxymux.core.wheel import Timer
from proxymux.net.connect_fault import TargetDenied
from proxymux.net.connection import Connection
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.timers import Timers

#: Seconds after which the next address of a name is tried beside the one before (RFC 8305 section 5).
HEAD_START: Final = 0.25


class DialListener(Protocol):
    """Is told how an attempt to connect ends.

    Exactly one method is called, once, and none after the attempt was cancelled.  The call may come before the function
    that begins the attempt has returned.
    """

    def connected(self, connection: Connection) -> None:
        """The attempt has succeeded.

        :param connection: paused; its owner is :data:`~proxymux.net.connection.EARLY`.
        """

    def failed(self, problem: Exception) -> None:
        """The attempt has failed with ``problem``."""


class Attempt(Protocol):
    """One attempt to connect, which ends with a call of its :class:`DialListener` or with its cancellation."""

    def cancel(self) -> None:
        """End the attempt without a call of its listener.  Without effect after its end."""


#: Called with an IP address and a port; returns why connecting there is forbidden, or None if it is allowed.
TargetCheck = Callable[[InetTarget], str | None]
#: Begins an attempt to connect to one IP address.
DialAddress = Callable[[InetTarget, DialListener], Attempt]
#: A driver's way to begin an attempt at a target that needs no look-up.
Connect = Callable[[Address, "str | None", DialListener], Attempt]


class Dialler:
    """Begins attempts to connect to targets: names, addresses or paths.

    :param reactor: its resolver looks names up.
    :param timers: for the head starts.
    :param connect: begins an attempt to connect to a path or to one IP address, as a driver's ``dial`` does.
    :param check: called with every IP address before it is tried; None allows all.
    """

    __slots__ = ("_check", "_connect", "_reactor", "_timers")

    def __init__(self, reactor: Reactor, timers: Timers, connect: Connect, check: TargetCheck | None = None) -> None:
        self._reactor = reactor
        self._timers = timers
        self._connect = connect
        self._check = check

    def dial(self, target: Address, bind: str | None, listener: DialListener) -> Attempt:
        """Begin to connect to ``target``; the other arguments are those of :meth:`~proxymux.net.driver.Driver.dial`."""
        if isinstance(target, InetTarget):
            if not target.is_address:
                return self._dial_name(target, bind, listener)
            problem = self._check(target) if self._check is not None else None
            if problem is not None:
                listener.failed(TargetDenied(problem))
                return NO_ATTEMPT
        return self._connect(target, bind, listener)

    def _dial_name(self, target: InetTarget, bind: str | None, listener: DialListener) -> Attempt:
        def dial(address: InetTarget, racing: DialListener) -> Attempt:
            return self._connect(address, bind, racing)

        return NameAttempt(self._reactor, self._timers, target, listener, dial, self._check)


class _NoAttempt:
    """An attempt that has failed before any connect: its address is forbidden."""

    def cancel(self) -> None: ...


NO_ATTEMPT: Final = _NoAttempt()


@implementer(IResolutionReceiver)
class NameAttempt:
    """An :class:`Attempt` to connect to a name: a look-up, then a race of its addresses.

    :param reactor: its resolver looks the name up.
    :param timers: for the head starts.
    :param dial: begins an attempt to connect to one of the addresses.
    :param check: called with each address first; None allows all.
    """

    def __init__(
        self,
        reactor: Reactor,
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

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Ignore the start of the look-up."""

    def addressResolved(self, address: IAddress) -> None:
        assert isinstance(address, (IPv4Address, IPv6Address))
        scope = f"%{address.scopeID}" if isinstance(address, IPv6Address) and address.scopeID else ""
        self._addresses.append(InetTarget(address.host + scope, self._target.port, True))

    def resolutionComplete(self) -> None:
        listener, self._listener = self._listener, None
        if listener is None:
            return  # the attempt was cancelled, which the resolver's threads cannot be
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
    """Attempts at several addresses, of which the first to succeed is used (RFC 8305, "Happy Eyeballs").

    They begin in order: the next when one has failed, or after :data:`HEAD_START`.  When one succeeds, the others are
    cancelled.
    """

    def __init__(self, timers: Timers, addresses: list[InetTarget], listener: DialListener, dial: DialAddress) -> None:
        self._timers = timers
        self._addresses = list(addresses)
        self._listener: DialListener | None = listener
        self._dial = dial
        self._entries: set[_Entry] = set()
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin attempts at the next addresses, until one does not fail at once."""
        while self._listener is not None and self._addresses:
            entry = _Entry(self)
            self._entries.add(entry)
            entry.begin(functools.partial(self._dial, self._addresses.pop(0)))
            if entry in self._entries:
                if self._addresses:
                    self._timer = self._timers.after(HEAD_START, self._waited)
                return

    def _waited(self) -> None:
        self._timer = None
        self.start()

    def entry_connected(self, entry: _Entry, connection: Connection) -> None:
        """End the race, as one attempt has succeeded."""
        listener = self._listener
        self._entries.remove(entry)
        self.cancel()
        if listener is not None:
            listener.connected(connection)

    def entry_failed(self, entry: _Entry, problem: Exception) -> None:
        """Go on to the next address, as one attempt has failed; without one left, fail with its problem."""
        self._entries.remove(entry)
        if self._addresses:
            self._stop_timer()
            if entry.attempt is not None:  # otherwise start() is still running, and goes on itself
                self.start()
        elif not self._entries and self._listener is not None:
            listener, self._listener = self._listener, None
            listener.failed(problem)

    def cancel(self) -> None:
        self._listener = None
        self._stop_timer()
        entries, self._entries = self._entries, set()
        for entry in entries:
            if entry.attempt is not None:
                entry.attempt.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Entry:
    """One attempt of a race; tells the race how it ends."""

    def __init__(self, race: Race) -> None:
        self._race = race
        #: None until the attempt has begun.
        self.attempt: Attempt | None = None

    def begin(self, dial: Callable[[DialListener], Attempt]) -> None:
        self.attempt = dial(self)

    def connected(self, connection: Connection) -> None:
        self._race.entry_connected(self, connection)

    def failed(self, problem: Exception) -> None:
        self._race.entry_failed(self, problem)

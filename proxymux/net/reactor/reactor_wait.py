"""Waiting in the place of Twisted's epoll reactor: for its descriptors, and for those of an epoll of ours, at once.

An epoll descriptor is readable while it has events.  So the reactor's own is one descriptor in ours, which waits for
both, and the reactor goes on only when there is something for it to do: its turn costs more than most events.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from twisted.internet.epollreactor import EPollReactor
from twisted.python.log import callWithContext

from proxymux.net.reactor.twisted_types import Reactor

#: The most events of one poll.
BATCH: Final = 256
#: What is used of the reactor, beside the two that are replaced; tried with Twisted 24.11 and 26.10.
_NAMES: Final = ("_poller", "_newTimedCalls", "_justStopped", "running", "timeout", "runUntilCurrent", "doPoll")
#: What the reactor's main loop calls in each turn, and what others call for one turn.  Ours take their places.
_REPLACED: Final = ("doIteration", "iterate")

#: The name of what :func:`kept_with` keeps, among a reactor's attributes.
KEPT: Final = "_proxymux"

_Events = list[tuple[int, int]]
_Kept = TypeVar("_Kept")


class Served(Protocol):
    """Takes the events of an epoll."""

    @property
    def again(self) -> list[int]:
        """Not empty if there is something to do without an event."""

    def logPrefix(self) -> str:
        """Who has logged what is logged meanwhile."""

    def serve(self, events_of: _Events) -> bool:
        """Take the events of one poll.

        :param events_of: pairs of a descriptor and a set of epoll's flags.
        :returns: True if the reactor is to go on: one was of its descriptor, or there is nothing to wait for any more.
        """


class ReactorWait:
    """Waits in the place of a reactor until that has something to do.

    :param reactor: one of those that :func:`wait_in_place_of` accepts.
    :param epoll: waits for the reactor's descriptor, too, until :meth:`restore`.
    :param served: is given what ``epoll`` has found.
    :raises OSError: if an epoll cannot watch the reactor's.
    """

    def __init__(self, reactor: Reactor, epoll: select.epoll, served: Served) -> None:
        self._reactor: Any = reactor  # not its interfaces, which have no private names
        self._poll: Callable[[float, int], _Events] = epoll.poll
        self._served = served
        self._context = {"system": served.logPrefix()}
        self._is_in_place = True
        #: The descriptor of the reactor's own epoll.
        self.fd: int = vars(reactor)["_poller"].fileno()
        epoll.register(self.fd, select.EPOLLIN)
        # Bound methods are made anew each time that they are asked for: kept, they can be told from others later.
        self._own = {"doIteration": self._iterate, "iterate": self._turn}
        vars(reactor).update(self._own)

    def restore(self) -> None:
        """Give the reactor its methods back.  The epoll is to be closed then.

        Who has put others in the place of ours meanwhile, which call ours, gets what the reactor's own would do.
        """
        self._is_in_place = False
        attributes = vars(self._reactor)
        for name, method in self._own.items():
            if attributes.get(name) is method:
                del attributes[name]
        self._own.clear()

    def _iterate(self, delay: float | None) -> None:
        """Wait for so many seconds, or None for ever, until the reactor has something to do; serve all that comes."""
        if not self._is_in_place:
            self._reactor.doPoll(delay)
        elif callWithContext(self._context, self._wait, -1.0 if delay is None else float(delay)):
            self._reactor.doPoll(0)

    def _wait(self, seconds: float) -> bool:
        """Serve what comes, and return True if the reactor has events, too.

        :param seconds: until the reactor's next delayed call; -1 if there is none.
        """
        reactor, served, poll = self._reactor, self._served, self._poll
        while not served.serve(poll(0.0 if served.again else seconds, BATCH)):
            # A function of ours may have asked the reactor for something.  Calls from threads wake it by a descriptor.
            if reactor._newTimedCalls or reactor._justStopped or not reactor.running:
                return False
            if seconds >= 0.0:
                left = reactor.timeout()  # asked anew: calls may be cancelled, or moved
                if left is None:
                    seconds = -1.0
                elif left > 0.0:
                    seconds = left
                else:
                    return False
        return True

    def _turn(self, delay: float = 0.0) -> None:
        """One turn of the reactor, which ends with the first event, whosever that is."""
        self._reactor.runUntilCurrent()
        if not self._is_in_place:
            self._reactor.doPoll(delay)
        elif callWithContext(self._context, self._serve_once, delay):
            self._reactor.doPoll(0)

    def _serve_once(self, seconds: float) -> bool:
        return self._served.serve(self._poll(0.0 if self._served.again else seconds, BATCH))


def wait_in_place_of(reactor: Reactor, epoll: select.epoll, served: Served) -> ReactorWait | None:
    """Have ``epoll`` wait in the place of the reactor.

    :returns: None if the reactor is not Twisted's epoll reactor, as it is in the versions that are known: then nothing
        is changed.
    """
    kind: type[object] = type(reactor)  # a subclass may go about it in another way
    if kind is not EPollReactor or any(name in vars(reactor) for name in _REPLACED):
        return None
    if not all(hasattr(reactor, name) for name in (*_NAMES, *_REPLACED)):
        return None
    try:
        return ReactorWait(reactor, epoll, served)
    except OSError:
        return None


def kept_with(reactor: Reactor, make: Callable[[Reactor], _Kept]) -> _Kept:
    """What ``make`` makes for the reactor: the same each time, for as long as the reactor is there."""
    kept: dict[object, _Kept] = vars(reactor).setdefault(KEPT, {})
    if make not in kept:
        kept[make] = make(reactor)
    return kept[make]

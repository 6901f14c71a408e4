"""The process: what exists once, however many services run in it: signals, process title, limit of descriptors."""

from __future__ import annotations

import functools
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import ClassVar, Final, Protocol

import setproctitle
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.logfile import LogFile

from proxymux.net.reactor.twistd import twistd_log_file
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.user_modules import reloading_together
from proxymux.version import __version__

_DESCRIPTORS: Final = "/proc/self/fd"
#: Seconds after which a change appears in the process title.
_SHOW_AFTER: Final = 0.2


class RunningService(Protocol):
    """A running service, as the process uses it."""

    def summary(self) -> str:
        """The service's part of the process title."""

    def drain(self, limit: float | None) -> Deferred[None]:
        """Stop accepting; fires when the last session has ended.

        :param limit: seconds after which the sessions that are left are ended; None waits for ever.
        """

    def abort(self) -> None:
        """End every session now."""

    def reload(self) -> None:
        """Read the router file, keys and deny files again."""

    def reopen(self) -> None:
        """Open log files again, after a rotation."""


class Process:
    """Passes signals on to the services of this process, and shows them in the process title.

    :param reactor: the process runs it.
    :param clock: measures how long the title may be out of date.
    """

    _of_reactor: ClassVar[dict[Reactor, Process]] = {}

    def __init__(self, reactor: Reactor, clock: IReactorTime) -> None:
        self._reactor = reactor
        self._clock = clock
        self._services: list[RunningService] = []
        self._is_stopping = False
        self._is_installed = False
        self._log_file: LogFile | None = None
        self._showing: IDelayedCall | None = None

    @classmethod
    def of(cls, reactor: Reactor, clock: IReactorTime) -> Process:
        """The process of ``reactor``, made at the first call: services that run in one reactor share it."""
        if reactor not in cls._of_reactor:
            cls._of_reactor[reactor] = cls(reactor, clock)
        return cls._of_reactor[reactor]

    def add(self, service: RunningService) -> None:
        """Pass signals on to ``service`` and show it.  The first call installs the signal handlers."""
        self._services.append(service)
        self._show()
        if not self._is_installed:
            self._is_installed = True
            self._log_file = twistd_log_file()
            _raise_descriptor_limit()
            self._install()
            self._reactor.callWhenRunning(self._install)  # over the reactor's own, which it installs as it starts

    def remove(self, service: RunningService) -> None:
        """Undo :meth:`add`."""
        if service in self._services:
            self._services.remove(service)
        if not self._services and self._showing is not None:
            self._showing.cancel()
            self._showing = None

    def show(self) -> None:
        """Update the process title in :data:`_SHOW_AFTER` seconds: one for each connection would cost too much."""
        if self._showing is None:
            self._showing = self._clock.callLater(_SHOW_AFTER, self._show)

    def _show(self) -> None:
        self._showing = None
        parts = ", ".join(service.summary() for service in self._services)
        setproctitle.setproctitle(f"proxymux {__version__} - {parts}")

    def _install(self) -> None:
        actions: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: self._terminate,
            signal.SIGINT: self._terminate,
            signal.SIGQUIT: self._quit,
            signal.SIGHUP: self._reload,
            signal.SIGUSR1: self._reopen,
        }
        for number, action in actions.items():
            signal.signal(number, functools.partial(self._received, action))

    def _received(self, action: Callable[[], None], _number: int, _frame: object) -> None:
        self._reactor.callFromThread(action)

    def _terminate(self) -> None:
        if self._is_stopping:
            for service in tuple(self._services):
                service.abort()
            return
        self._is_stopping = True
        self._reactor.stop()  # each service drains when it is stopped

    def _quit(self) -> None:
        drains = [service.drain(None) for service in self._services]
        DeferredList(drains).addCallback(lambda _: self._stop())

    def _stop(self) -> None:
        if not self._is_stopping:
            self._is_stopping = True
            self._reactor.stop()

    def _reload(self) -> None:
        with reloading_together():
            for service in self._services:
                service.reload()

    def _reopen(self) -> None:
        if self._log_file is not None:
            self._log_file.reopen()
        for service in self._services:
            service.reopen()


def room_for_sessions() -> int:
    """How many sessions, of two descriptors each, fit in the limit of descriptors beside what is open now.

    An eighth of the limit, but at most 64 descriptors, is left for everything else.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    used = len(os.listdir(_DESCRIPTORS)) if os.path.isdir(_DESCRIPTORS) else 32
    return max(1, (limit - used - min(64, limit // 8)) // 2)


def _raise_descriptor_limit() -> None:
    """Raise the limit of descriptors to the hard limit, because each session takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

"""The process: what there is once however many services run in it — signals, title, descriptors."""

from __future__ import annotations

import functools
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

import setproctitle
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.python.logfile import LogFile

from proxymux.version import __version__

_DESCRIPTORS: Final = "/proc/self/fd"
#: Seconds by which the process title may lag behind.
_SHOW_AFTER: Final = 0.2


class Running(Protocol):
    """What the process asks of a service."""

    def summary(self) -> str:
        """Its part of the process title."""

    def drain(self, limit: float | None) -> Deferred[None]:
        """Stop accepting; fires when the last session has ended, at the latest ``limit`` seconds from now."""

    def abort(self) -> None:
        """End every session now."""

    def reload(self) -> None:
        """Read the router file and the like again."""

    def reopen(self) -> None:
        """Open log files again."""


class Process:
    """Connects the services of a process to its signals and its title.

    :param reactor: the reactor that the process runs.
    """

    _of_reactor: ClassVar[dict[Any, Process]] = {}

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._services: list[Running] = []
        self._is_stopping = False
        self._is_installed = False
        self._log_file: LogFile | None = None
        self._showing: IDelayedCall | None = None

    @classmethod
    def of(cls, reactor: Any) -> Process:
        """The one for ``reactor``."""
        if reactor not in cls._of_reactor:
            cls._of_reactor[reactor] = cls(reactor)
        return cls._of_reactor[reactor]

    def add(self, service: Running) -> None:
        """Have ``service`` take part."""
        self._services.append(service)
        self._show()
        if not self._is_installed:
            self._is_installed = True
            self._log_file = _twistd_log_file()
            _raise_descriptor_limit()
            self._install()
            self._reactor.callWhenRunning(self._install)  # the reactor has put its own handlers there meanwhile

    def remove(self, service: Running) -> None:
        """Undo :meth:`add`."""
        if service in self._services:
            self._services.remove(service)
        if not self._services and self._showing is not None:
            self._showing.cancel()
            self._showing = None

    def show(self) -> None:
        """Bring the process title up to date, soon: with every connection it would cost more than some of them."""
        if self._showing is None:
            self._showing = self._reactor.callLater(_SHOW_AFTER, self._show)

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
        for service in self._services:
            service.reload()

    def _reopen(self) -> None:
        if self._log_file is not None:
            self._log_file.reopen()
        for service in self._services:
            service.reopen()


def room_for_sessions() -> int:
    """How many sessions, of two descriptors each, the limit of descriptors has room for besides what is open now.

    An eighth of the limit, and at most 64, is left for everything else.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    used = len(os.listdir(_DESCRIPTORS)) if os.path.isdir(_DESCRIPTORS) else 32
    return max(1, (limit - used - min(64, limit // 8)) // 2)


def _raise_descriptor_limit() -> None:
    """Allow as many descriptors as the system lets us: each session takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _twistd_log_file() -> LogFile | None:
    """The file that twistd logs to, if it does.

    twistd answers USR1 by rotating that file itself, which does nothing after logrotate has moved it away; the
    handler that it has installed is the only place where the file can be found.
    """
    handler = signal.getsignal(signal.SIGUSR1)
    for cell in getattr(handler, "__closure__", None) or ():
        if isinstance(cell.cell_contents, LogFile):
            return cell.cell_contents
    return None

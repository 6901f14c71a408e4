"""The process: what exists once, however many services run in it: signals, process title, limit of descriptors."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, TypeVar, cast

import setproctitle
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from proxymux.admin.text_log import TextLog
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.notifier import Notifier
from proxymux.orphans import FIRST, Orphans
from proxymux.session.kept import KeptSockets
from proxymux.systemd import NotifySocket
from proxymux.user_modules import reloading_together
from proxymux.version import __version__

Thing = TypeVar("Thing")

if TYPE_CHECKING:
    from typing_extensions import Self

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

    def reload(self) -> list[str]:
        """Read the router file, keys and deny files again; what could not be read, in one line each."""

    def reopen(self) -> None:
        """Open log files again, after a rotation."""

    def reloaded(self) -> Deferred[object]:
        """What :meth:`reload` began last; fires when that is done."""

    def rollover(self) -> None:
        """Replace the service's workers; say so if it has none."""

    @property
    def is_serving(self) -> bool:
        """True once clients are served."""

    @property
    def ended(self) -> int:
        """How many sessions have ended in this process."""

    def status(self) -> str:
        """How many connections there are and have been, and where."""


class Process:
    """Passes signals on to the services of this process, and shows them in the process title and to systemd.

    :param reactor: the process runs it.
    :param clock: measures how long the title may be out of date.
    """

    #: Connections had to be cut at the end, so that the exit status is to be 1.
    has_cut: ClassVar[bool] = False
    _of_reactor: ClassVar[dict[Reactor, Process]] = {}

    def __init__(self, reactor: Reactor, clock: IReactorTime) -> None:
        self._reactor = reactor
        self._clock = clock
        #: Those that run.
        self.services: list[RunningService] = []
        self._shared: dict[str, object] = {}
        #: It was told to end.
        self.is_stopping = False
        self._is_installed = False
        self._text_log: TextLog | None = None
        self._showing: IDelayedCall | None = None
        self._is_running = False
        self._notifier = Notifier(NotifySocket.of_process(), clock, self._status)
        self._orphans = Orphans(clock) if os.getpid() == FIRST else None

    @property
    def label(self) -> str:
        """Stands before the services in the process title."""
        return ""

    @classmethod
    def of(cls, reactor: Reactor, clock: IReactorTime) -> Self:
        """The process of ``reactor``, made at the first call: services that run in one reactor share it."""
        if reactor not in cls._of_reactor:
            cls._of_reactor[reactor] = cls(reactor, clock)
        return cast("Self", cls._of_reactor[reactor])  # which class that is, the first call has decided

    @classmethod
    def note_cut(cls) -> None:
        """Note that a drain had to cut connections: the process is to exit with status 1.

        twistd always exits with 0, so this is done as the interpreter ends, when twistd has removed its pid file.
        """
        if not cls.has_cut:
            cls.has_cut = True
            atexit.register(_exit_with_failure)

    def shared(self, key: str, make: Callable[[], Thing]) -> Thing:
        """What the services of this process have in common under ``key``: made for the first of them."""
        if key not in self._shared:
            self._shared[key] = make()
        return cast("Thing", self._shared[key])

    def add(self, service: RunningService) -> None:
        """Pass signals on to ``service`` and show it.  The first call installs the signal handlers."""
        self.services.append(service)
        self._show()
        if not self._is_installed:
            self._is_installed = True
            self._text_log = TextLog.current()
            _raise_descriptor_limit()
            self._install()
            self._reactor.callWhenRunning(self._install)  # over the reactor's own, which it installs as it starts
            if self._text_log is not None:
                self._reactor.callWhenRunning(self._text_log.begin)
                self._reactor.addSystemEventTrigger("after", "shutdown", self._text_log.end)
            if self._orphans is not None:
                self._orphans.start()
        self._reactor.callWhenRunning(self._runs)

    def _runs(self) -> None:
        self._is_running = True
        self.check_ready()

    def remove(self, service: RunningService) -> None:
        """Undo :meth:`add`."""
        if service in self.services:
            self.services.remove(service)
        if not self.services and self._showing is not None:
            self._showing.cancel()
            self._showing = None
        if not self.services:
            self._notifier.stopping()
            self._notifier.close()
            if self._orphans is not None:
                self._orphans.stop()

    def check_ready(self) -> None:
        """Tell systemd if all services serve by now; called when one has begun to."""
        if self._is_running and self.services and all(service.is_serving for service in self.services):
            KeptSockets.of_process().drop_rest()
            self._notifier.ready()

    def _status(self) -> str:
        return ", ".join(service.status() for service in self.services)

    def show(self) -> None:
        """Update the process title in :data:`_SHOW_AFTER` seconds: one for each connection would cost too much."""
        if self._showing is None:
            self._showing = self._clock.callLater(_SHOW_AFTER, self._show)

    def _show(self) -> None:
        self._showing = None
        parts = ", ".join(service.summary() for service in self.services)
        setproctitle.setproctitle(f"proxymux {__version__} - {self.label}{parts}")

    def actions(self) -> dict[signal.Signals, Callable[[], object]]:
        """What each signal does."""
        return {
            signal.SIGTERM: self._terminate,
            signal.SIGINT: self._terminate,
            signal.SIGQUIT: self._quit,
            signal.SIGHUP: self.reload,
            signal.SIGUSR1: self._reopen,
            signal.SIGUSR2: self._rollover,
        }

    def _install(self) -> None:
        for number, action in self.actions().items():
            signal.signal(number, functools.partial(self._received, action))

    def _received(self, action: Callable[[], object], _number: int, _frame: object) -> None:
        self._reactor.callFromThread(action)

    def _terminate(self) -> None:
        if self.is_stopping:
            for service in tuple(self.services):
                service.abort()
            return
        self.is_stopping = True
        self._notifier.stopping()
        self._reactor.stop()  # each service drains when it is stopped

    def _quit(self) -> None:
        drains = [service.drain(None) for service in self.services]
        DeferredList(drains).addCallback(lambda _: self.stop())

    def stop(self) -> None:
        """End the process, unless it ends already."""
        if not self.is_stopping:
            self.is_stopping = True
            self._notifier.stopping()
            self._reactor.stop()

    def reload(self) -> list[str]:
        """Have every service read its files again.

        :returns: what could not be read, in one line each.
        """
        done: Deferred[object] = Deferred()
        self._notifier.reloading(done)
        with reloading_together():
            problems = [problem for service in self.services for problem in service.reload()]
        DeferredList([service.reloaded() for service in self.services]).addCallback(done.callback)
        return problems

    def _rollover(self) -> None:
        for service in self.services:
            service.rollover()

    def _reopen(self) -> None:
        if self._text_log is not None:
            self._text_log.reopen()
        for service in self.services:
            service.reopen()


def _exit_with_failure() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(1)


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

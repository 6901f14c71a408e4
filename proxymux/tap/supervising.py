"""Whether a service runs in this process or, with ``--workers``, under a supervisor in others."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from twisted.application.service import loadApplication

from proxymux.errors import ConfigError
from proxymux.settings import Settings
from proxymux.supervisor.channel import receive_first, send_now
from proxymux.supervisor.launch import Launch, User
from proxymux.supervisor.seat import Seat
from proxymux.supervisor.worker import PROGRAM
from proxymux.systemd import NotifySocket

if TYPE_CHECKING:
    from proxymux.gateway.pid_file import PidFile
    from proxymux.net.reactor.twisted_types import Reactor
    from proxymux.service import ProxyService
    from proxymux.session.listening import Listener
    from proxymux.supervisor.supervisor import Supervisor
    from proxymux.supervisor.worker import SpawningReactor
    from proxymux.tap.options import SettingsOptions

S = TypeVar("S", bound=Settings)

#: The function of Twisted's that runs a .tac file; tried with Twisted 24.11 and 26.10.
_RUNS_FILE: Final = "loadValueFromFile"
#: The number of services with workers that the .tac file that is being run has made so far.
_with_workers = 0
#: That of them which this process, a worker, is.
_of_file: ProxyService | None = None


@dataclass(frozen=True, slots=True)
class Outside:
    """What of a service with workers is not theirs, but their supervisor's.

    :param listeners: whose sockets they share.
    :param pid_file: names the supervisor; None for no file.
    """

    listeners: Sequence[Listener]
    pid_file: PidFile | None = None


def make_of_command(
    plugin: str,
    options: SettingsOptions[S],
    reactor: Reactor,
    make: Callable[[], ProxyService],
    outside: Outside | None = None,
) -> ProxyService | Supervisor:
    """Make the service of a command line, or its supervisor.

    :param plugin: the name of the twistd plugin.
    :param options: its command line.
    :param make: makes the service.
    :param outside: what of the service is the supervisor's; None for what the settings of all services say.
    :raises ProxymuxError: if it cannot be made.
    """
    if options.settings.workers is None:
        return make()
    user = User.of(options.parent or {})
    launch = Launch.of_command(plugin, options.arguments, reactor)
    return _supervise(launch, options.settings, reactor, outside, user)


def make_of_file(
    settings: Settings, reactor: Reactor, make: Callable[[], ProxyService], outside: Outside | None = None
) -> ProxyService | Supervisor:
    """Make a service of the ``.tac`` file that is being run, or its supervisor, and check that it could start.

    :param make: makes the service.
    :param outside: what of the service is the supervisor's; None for what the settings of all services say.
    :raises ProxymuxError: if it could not.
    """
    global _with_workers
    ordinal = _with_workers
    if settings.workers is not None:
        _with_workers += 1
    if Seat.current is not None:
        return _make_in_worker(make, settings.workers is not None and Seat.current.launch.ordinal == ordinal)
    if settings.workers is None:
        service = make()
        service.check()
        return service
    supervisor = _supervise(Launch.of_file(_running_file(), ordinal, reactor), settings, reactor, outside, User())
    supervisor.check()
    return supervisor


def _make_in_worker(make: Callable[[], ProxyService], is_own: bool) -> ProxyService:
    """Make a service of the file: the one that this worker is, or another, of which nothing is started."""
    global _of_file
    if is_own:
        _of_file = make()
        return _of_file
    with Seat.left():
        return make()


def service_of_file(launch: Launch) -> ProxyService:
    """Run a ``.tac`` file, in a worker, and return the service that the worker is.

    :raises ConfigError: if the file has no such service any more.
    """
    loadApplication(launch.tac, "python")
    if _of_file is None:
        raise ConfigError("--workers", f"{launch.tac} has no such service with workers any more; start it anew")
    return _of_file


def _running_file() -> str:
    """The path of the ``.tac`` file that is being run.

    :raises ConfigError: if none is.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == _RUNS_FILE:
            return str(frame.f_locals["filename"])
        frame = frame.f_back
    raise ConfigError("workers", "only a .tac file that twistd runs can have workers: they run it, too")


def _supervise(launch: Launch, settings: Settings, reactor: Reactor, outside: Outside | None, user: User) -> Supervisor:
    """Make the supervisor of a service, after a trial.

    :raises ProxymuxError: if the service could not start.
    """
    from proxymux.net.clock import monotonic
    from proxymux.process import Process
    from proxymux.supervisor.instance import WorkersInstance
    from proxymux.supervisor.supervisor import Supervisor
    from proxymux.tap.sharing import make_membership
    from proxymux.tap.showing import make_admin
    from proxymux.tap.watching import make_watch
    from proxymux.tap.wiring import make_listeners, make_log

    assert settings.workers is not None
    NotifySocket.of_process()  # before there is a child that would have its variables
    outside = outside or Outside(make_listeners(settings))
    trial = try_out(launch, settings.workers, user)
    clock = monotonic(reactor)
    process, log = Process.of(reactor, clock), make_log(settings)
    supervisor = Supervisor(
        trial["title"],
        trial["service"],
        launch,
        settings,
        outside.listeners,
        process,
        cast("SpawningReactor", reactor),
        clock,
        time.time,
        log,
        warnings=trial["warnings"],
        pid_file=outside.pid_file,
    )
    instance, pprof = WorkersInstance(supervisor), getattr(settings, "pprof", None)
    fleet = make_membership(settings, reactor, clock, process, log)
    supervisor.admin = make_admin(reactor, clock, process, settings, log, pprof=pprof, instance=instance, fleet=fleet)
    watch = make_watch(settings, clock, process, log)
    supervisor.companions = [each for each in (fleet, watch) if each is not None]
    return supervisor


def try_out(launch: Launch, workers: int, user: User) -> dict[str, Any]:
    """Have a process of its own try whether a launch succeeds: this one is to load no router.

    :param user: whom the workers run as: what only root may read they could not read, either.
    :returns: ``title`` and ``service``, the names of the service, and ``warnings``, what is unwise, one line each.
    :raises ConfigError: if it does not.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours:
        with theirs:
            program = [sys.executable, "-m", PROGRAM, str(theirs.fileno())]
            try:
                process = subprocess.Popen(
                    program, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], **user.as_arguments()
                )
            except OSError as error:  # of a Python in a home, which --uid may not enter, say
                raise ConfigError("--workers", f"cannot start a process: {error}; let its user do that") from None
        answer: dict[str, Any] = {}
        try:
            send_now(ours, {"only_check": True, "launch": launch.to_json(), "workers": workers})
            answer = receive_first(ours)
        except (EOFError, OSError):
            pass  # the process has ended without a word; what it wrote on standard error tells why
        status = process.wait()
    if answer.get("is") == "checked":
        return answer
    option, _, problem = answer.get("problem", "").partition(": ")
    if problem:
        raise ConfigError(option, problem)
    raise ConfigError("--workers", f"a process that was to try the service has ended with status {status}")

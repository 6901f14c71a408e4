"""The program of a worker: ``python -m proxymux.tap.worker DESCRIPTOR``, which the supervisor alone starts.

What it is to be is told over the channel, whose descriptor the argument names: nothing of that is on the command line.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Final

from proxymux.errors import ProxymuxError
from proxymux.supervisor.channel import receive_first, send_now
from proxymux.supervisor.launch import Launch
from proxymux.supervisor.seat import Seat
from proxymux.user_code import describe

if TYPE_CHECKING:
    from proxymux.service import ProxyService

#: The module of each plugin.
PLUGINS: Final = {
    "proxymux": "proxymux.tap.router",
    "proxymux-pool": "proxymux.tap.pool",
    "proxymux-gateway": "proxymux.tap.gateway",
}
#: Signals that a terminal or a script sends to all processes of a group; those of the supervisor are meant.
_OF_SUPERVISOR: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main(descriptor: int) -> int:
    """Serve until the supervisor says otherwise; or only try whether that is possible, if it says so.

    :param descriptor: of the channel.
    :returns: the exit status: 1 if the worker could not start, or had to cut connections at its end.
    """
    for number in _OF_SUPERVISOR:
        signal.signal(number, signal.SIG_IGN)
    channel = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    try:
        start = receive_first(channel)
    except (EOFError, OSError):
        return 1  # the supervisor has gone meanwhile
    launch = Launch.from_json(start["launch"])
    os.chdir(launch.folder)
    sys.path.insert(0, launch.folder)
    importlib.import_module(launch.reactor).install()
    if start["only_check"]:
        Seat.on_trial(launch, start["workers"])
    else:
        Seat.take(launch, start)
    try:
        claim_process()
        service = make_service(launch)
        service.check()
        if start["only_check"]:
            names = {"title": service.title, "service": service.service_name}
            send_now(channel, {"is": "checked", **names, "warnings": list(service.warnings)})
            return 0
        os.chdir(start["folder"])
        return serve(service, channel)
    except ProxymuxError as error:
        problem = str(error)
    except Exception as error:  # of a .tac file
        problem = describe(error)
    with contextlib.suppress(OSError):
        send_now(channel, {"is": "failed", "problem": problem})
    return 1


def claim_process() -> None:
    """Have all services of this process, also those of a ``.tac`` file that are only made, share a worker's process."""
    from proxymux.net.clock import monotonic
    from proxymux.net.reactor.twisted_types import installed_reactor
    from proxymux.supervisor.serving import WorkerProcess

    reactor = installed_reactor()
    WorkerProcess.of(reactor, monotonic(reactor))


def make_service(launch: Launch) -> ProxyService:
    """The service of a launch.

    :raises ProxymuxError: if it cannot be made.
    """
    with contextlib.redirect_stdout(sys.stderr):  # what user code prints while it is loaded
        if launch.plugin is None:
            from proxymux.tap.supervising import service_of_file

            return service_of_file(launch)
        module = importlib.import_module(PLUGINS[launch.plugin])
        options = module.Options()
        options.parseOptions(list(launch.arguments))
        service: ProxyService = module.make(options.settings)
        return service


def serve(service: ProxyService, channel: socket.socket) -> int:
    """Run the reactor until the service has ended.

    :returns: the exit status.
    :raises ConfigError: if the service cannot start.
    """
    from twisted.logger import globalLogBeginner, textFileLogObserver

    from proxymux.admin.text_log import TextLog
    from proxymux.net.clock import monotonic
    from proxymux.net.reactor.twisted_types import installed_reactor
    from proxymux.supervisor.serving import Serving, WorkerProcess

    assert sys.__stdout__ is not None
    assert Seat.current is not None
    text_log = TextLog.current()
    if text_log is not None:  # whatever the settings say is for the supervisor, which has it from here
        text_log.form, text_log.syslog, text_log.leaves_stdout = "json", None, False
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.__stdout__)])
    reactor = installed_reactor()
    service.open()
    service.steering.steer_as_before(Seat.current.holds, Seat.current.drains)
    service.clusters.condemn(Seat.current.failing)
    service.startService()
    process = WorkerProcess.of(reactor, monotonic(reactor))
    serving = Serving(service, process, reactor, Seat.current)
    reactor.callWhenRunning(serving.start, channel)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    return int(process.has_cut)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))

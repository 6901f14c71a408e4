"""The supervisor of a service with workers: it keeps the listening sockets, and starts and replaces the workers.

It loads no router and carries no traffic: nothing that a client sends reaches it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.admin.reports import NAME
from proxymux.core.events import Events
from proxymux.core.token.verifier import ReplayCache
from proxymux.errors import ConfigError
from proxymux.gateway.pid_file import PidFile
from proxymux.net.listen_queue import handshakes_over
from proxymux.net.tls.ticket_keys import TicketKeys
from proxymux.process import Process
from proxymux.service import Companion, admin_address, ending_the_start
from proxymux.session.listening import Listener
from proxymux.settings import Settings
from proxymux.supervisor.channel import Message
from proxymux.supervisor.checking import Checking
from proxymux.supervisor.handover.arranging import arrange
from proxymux.supervisor.handover.packets import close_all
from proxymux.supervisor.launch import Launch
from proxymux.supervisor.leaving import Leaving
from proxymux.supervisor.lending import Lending
from proxymux.supervisor.place import Place
from proxymux.supervisor.replay import answer_to
from proxymux.supervisor.rollover import Rollover
from proxymux.supervisor.rows import Rows
from proxymux.supervisor.shared_drains import SharedDrains
from proxymux.supervisor.shared_holds import SharedHolds
from proxymux.supervisor.sockets import ListeningSockets
from proxymux.supervisor.table import TableSize
from proxymux.supervisor.watching import Watching
from proxymux.supervisor.worker import Equipment, SpawningReactor, Worker
from proxymux.systemd import NotifySocket
from proxymux.version import __version__

if TYPE_CHECKING:
    from proxymux.admin.endpoint import AdminEndpoint

#: The descriptor of standard output.
_STDOUT: Final = 1
#: Bytes of the secret by which the workers make keys of addresses.
_SECRET: Final = 32


class Supervisor(Service):
    """The service in the process that twistd starts.

    :param title: what the service is called in the log.
    :param kind: its name in the access log.
    :param launch: what the workers are to be.
    :param settings: of the service; they name the number of workers.
    :param listeners: whose sockets the workers share.
    :param process: passes signals on.
    :param wall: returns the seconds since the epoch.
    :param warnings: what is unwise, told at the start, one line each.
    :param pid_file: created while the service runs; None for no file.
    """

    def __init__(
        self,
        title: str,
        kind: str,
        launch: Launch,
        settings: Settings,
        listeners: Sequence[Listener],
        process: Process,
        reactor: SpawningReactor,
        clock: IReactorTime,
        wall: Callable[[], float],
        log: Logger,
        warnings: Sequence[str] = (),
        pid_file: PidFile | None = None,
    ) -> None:
        self.title = title
        self._kind = kind
        self.warnings = warnings
        #: Events are the workers': what subscribes here, as a ``.tac`` file is run, hears none.
        self.events = Events(lambda listener, error: None, lambda listener, awaitable: None)
        #: The endpoints that show all workers as one; given before the check.
        self.admin: Sequence[AdminEndpoint] = ()
        #: Run beside the supervisor; given before the start.
        self.companions: Sequence[Companion] = ()
        self._launch = launch
        self._pid_file = pid_file
        self._listeners = listeners
        self._settings = settings
        self._process = process
        self._reactor = reactor
        self._clock = clock
        self._wall = wall
        self._log = log
        count = settings.workers or 1
        self._sockets = ListeningSockets(listeners, count)
        self.rows = Rows(TableSize(settings.max_per_client is not None))
        self.places = [Place(number, self, clock, log) for number in range(1, count + 1)]
        self._rollover = Rollover(self.places, settings.rollover_timeout, self._hand_over, log)
        #: What all workers hold.
        self.holds = SharedHolds(clock.seconds)
        self.drains = SharedDrains()
        self._tickets = TicketKeys(clock.seconds)
        self._replay_cache = ReplayCache()
        self._started_at = clock.seconds()
        self._secret = secrets.token_hex(_SECRET)
        self._serial = 0
        self._lending = Lending(self.places, self._sockets)
        self._checking = Checking(self.places if settings.cluster else ())
        self._leaving = Leaving(lambda: self.workers, process.note_cut, clock, log)
        self._is_stopping = False
        #: Fires when the workers have done the last reload.
        self._reloaded: Deferred[Any] = succeed(None)
        limit = NotifySocket.of_process().watchdog_usec / 1e6
        self._watching = Watching(limit, lambda: self.workers, clock, log)

    # Starting

    def check(self) -> None:
        """Check what is this process's own: the process that has tried the launch has checked the rest.

        :raises ConfigError: naming the option, if the service could not start.
        """
        if self._pid_file is not None:
            self._pid_file.check()
        for listener in self._listeners:
            listener.check_address(self._reactor)
        for endpoint in self.admin:
            endpoint.check()

    def privilegedStartService(self) -> None:
        """Open the listening sockets, before twistd gives up the privileges for ports below 1024.

        :raises SystemExit: if one cannot be opened, after one line on standard error.
        :raises ConfigError: likewise, in a daemon.
        """
        super().privilegedStartService()
        with ending_the_start(self._log):
            self._open()
            for endpoint in self.admin:
                endpoint.start()
        self._process.add(self)
        self._reactor.callWhenRunning(self._begin)

    def _open(self) -> None:
        self.rows.open()
        if self._pid_file is not None:
            self._pid_file.create()
        try:
            self._sockets.open(self._reactor)
        except ConfigError:
            if self._pid_file is not None:
                self._pid_file.remove()
            raise

    def _begin(self) -> None:
        for line in self.warnings:
            self._log.warn("{line}", line=line)
        for listener, address in zip(self._listeners, self._sockets.addresses, strict=True):
            self._log.info(
                "{name} listens on {address} ({description}) with {count} workers",
                name=self.title,
                address=address,
                description=listener.description,
                count=len(self.places),
            )
        for endpoint in self.admin:
            endpoint.announce()
        for place in self.places:
            place.start()
        self._watching.start()
        for companion in self.companions:
            companion.start(self)

    @property
    def service_name(self) -> str:
        """The service's name in the access log."""
        return self._kind

    @property
    def connections(self) -> int:
        """The clients of all workers."""
        return self.rows.connections

    @property
    def is_draining(self) -> bool:
        """No worker accepts any more."""
        return self._is_stopping

    @property
    def admin_address(self) -> str | None:
        """Where ``--admin`` listens; None if it does not."""
        return admin_address(self.admin)

    @property
    def is_serving(self) -> bool:
        """True once a worker serves, and so does every other that has not failed to start: its share is served, too."""
        return any(each.is_serving for each in self.places) and all(
            each.is_serving or each.worker is None for each in self.places
        )

    @property
    def addresses(self) -> list[str]:
        """The addresses of the open ports."""
        return self._sockets.addresses

    @property
    def workers(self) -> list[Worker]:
        """All worker processes."""
        return [worker for place in self.places for worker in place.workers]

    # Called by the places

    def make_worker(self, place: Place) -> Worker:
        self._serial += 1
        worker = Worker(place.number, self._serial, self._reactor, self._clock, self._log, place)
        row = self.rows.take(worker)
        try:
            worker.spawn(self._equip(place, worker, row))
        except OSError:
            self.rows.give_back(worker)
            raise
        return worker

    def _equip(self, place: Place, worker: Worker, row: int) -> Equipment:
        start: Message = {
            "only_check": False,
            "launch": self._launch.to_json(),
            "number": place.number,
            "workers": len(self.places),
            "serial": worker.serial,
            "folder": os.getcwd(),
            "listeners": len(self._listeners),
            "row": row,
            "counts_addresses": self.rows.size.counts_addresses,
            "secret": self._secret,
            "tickets": self._tickets.shared.hex(),
            "holds": self.holds.targets,
            "drains": self.drains.members,
            "failing": self._checking.failing,
        }
        return Equipment(start, [*self._sockets.of_place(place.number), self.rows.descriptor, _STDOUT])

    def _hand_over(self, place: Place, timeout: float | None) -> Deferred[object]:
        """Have the workers that were at a place leave, and give their sessions to the one that is there now.

        :param timeout: seconds after which they end what is left; None for no limit.
        :returns: fires when what can be given has been.
        """
        self._checking.choose()
        given = []
        for worker in place.leaving:
            if not worker.is_leaving:
                worker.stop(timeout)
                self._lending.forget(worker)
            if place.worker is not None and place.is_serving:
                began = self._clock.seconds()
                try:
                    given.append(arrange(worker, place.worker).addCallback(self._handed_over, worker, began))
                except OSError as error:
                    self._log.error("{worker} keeps its sessions: {error}", worker=worker.name, error=error)
        self._lending.lend()
        done: Deferred[object] = Deferred()
        DeferredList(given).addCallback(done.callback)
        return done

    def _handed_over(self, count: int, worker: Worker, began: float) -> None:
        self._log.info(
            "{worker} was replaced; {count} sessions were handed over in {seconds:.3f} s",
            worker=worker.name,
            count=count,
            seconds=self._clock.seconds() - began,
        )

    def place_served(self, place: Place) -> None:
        self._lending.serve(place)
        self._checking.choose()
        if place.leaving and not self._is_stopping:  # the one before has died, and they have sessions left
            self._hand_over(place, self._settings.rollover_timeout)
        self._process.check_ready()

    def place_deserted(self, place: Place) -> None:
        self._process.check_ready()
        self._lending.desert(place)
        self._checking.choose()

    def place_renewed(self, place: Place, limit: float | None) -> None:
        self._hand_over(place, limit)

    def worker_gone(self, worker: Worker) -> None:
        self.rows.give_back(worker)
        self._lending.forget(worker)
        self._lending.lend()
        if worker.has_cut and self._is_stopping:
            self._process.note_cut()
        self._leaving.worker_gone()

    def worker_said(self, worker: Worker, message: Message, descriptors: list[int]) -> None:
        close_all(descriptors)
        if message.get("is") == "spend":
            worker.send(answer_to(message, self._replay_cache, self._wall()))
        elif message.get("is") == "checked":
            self._checking.tell(worker, message["results"])

    @property
    def idle_status(self) -> dict[str, Any]:
        """The object of ``/status`` while no worker answers."""
        service = {
            "service": self._kind,
            "addresses": self.addresses,
            "connections": 0,
            "most": 0,
            "draining": self._is_stopping,
            "pool": None,
            "clusters": {},
            "cluster_ages": {},
            "holds": [],
        }
        uptime = round(self._clock.seconds() - self._started_at, 3)
        return {"name": NAME, "version": __version__, "uptime_seconds": uptime, "services": [service]}

    # Called by the process

    def summary(self) -> str:
        """The service's part of the process title."""
        return f"supervisor of {len(self.places)} workers: {self.title} {' '.join(self.addresses)}"

    def reload(self) -> list[str]:
        """Have every worker reload its router file, keys, certificates and deny files; they log what they cannot.

        One that could not start is tried again at once.
        """
        self._reloaded = DeferredList([worker.ask("reload") for worker in self.workers], consumeErrors=True)
        for place in self.places:
            place.start_now()
        return [problem for endpoint in self.admin for problem in endpoint.reload()]

    def reloaded(self) -> Deferred[object]:
        """Fires when every worker has read its files again, or has ended."""
        done: Deferred[object] = Deferred()
        self._reloaded.chainDeferred(done)
        return done

    @property
    def ended(self) -> int:
        """How many sessions have ended in the workers."""
        return self.rows.ended

    def status(self) -> str:
        """How many connections there are and have been, where, and how many workers serve, for systemd."""
        serving, now = sum(each.is_serving for each in self.places), self.rows.connections
        counts = f"{now} connections, {now + self.ended} in total, {serving} of {len(self.places)} workers"
        return f"{self.title} {' '.join(self.addresses)}: {counts}"

    def reopen(self) -> None:
        """Have every worker open its access log again."""
        self._tell_all({"do": "reopen"})

    def rollover(self) -> None:
        """Replace the workers, one after another, by fresh processes, unless they are to end."""
        if not self._is_stopping:
            self._rollover.start()

    def drain(self, limit: float | None) -> Deferred[None]:
        """Have all workers stop accepting, and end when their sessions have.

        :param limit: seconds after which the sessions that are left are ended; None waits without a limit.
        :returns: fires when no worker is left.
        """
        wait = self._stop_starting()
        return handshakes_over(self._clock, wait, limit).addCallback(lambda _: self._leaving.start(limit))

    def abort(self) -> None:
        """End every session now."""
        self._leaving.abort()

    def stopService(self) -> Deferred[None]:
        """Drain for the time to drain, and release everything."""
        super().stopService()
        return self.drain(self._settings.drain_timeout).addCallback(self._stopped)

    def _stopped(self, _: None) -> Deferred[None]:
        self._leaving.stop()
        self._process.remove(self)
        if self._pid_file is not None:
            self._pid_file.remove()
        closed: list[Deferred[Any]] = [companion.stop(self) for companion in self.companions]
        self.rows.close()
        closed += [endpoint.stop() or succeed(None) for endpoint in self.admin]
        done: Deferred[None] = Deferred()
        DeferredList(closed).addCallback(lambda _: done.callback(None))
        return done

    def _stop_starting(self) -> float:
        """Let nobody new in.

        :returns: seconds until the last who had begun to connect is in a worker's listen queue.
        """
        self._is_stopping = True
        self._rollover.stop()
        self._watching.stop()
        self._lending.stop()
        for place in self.places:
            place.close()
        return self._sockets.close()

    def _tell_all(self, message: Message) -> None:
        for worker in self.workers:
            worker.send(message)

"""A worker from within: it serves, does what the supervisor tells it, and ends with the supervisor."""

from __future__ import annotations

import functools
import signal
import socket
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred, maybeDeferred

from proxymux.admin.profiling import Profiler
from proxymux.admin.reports import Reports
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.process import Process, RunningService
from proxymux.service import ProxyService
from proxymux.supervisor.channel import Channel, Message, open_channel
from proxymux.supervisor.checking import CheckResults
from proxymux.supervisor.handover.giving import Giving
from proxymux.supervisor.handover.taking import Taking
from proxymux.supervisor.refusals import or_refusal
from proxymux.supervisor.seat import Seat
from proxymux.supervisor.table import ENDED

#: What a process group or an operator's script may send to a worker; the supervisor passes its own on.
_IGNORED = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

#: Seconds that the supervisor may take to read what the worker has said last.
_LAST_WORD: Final = 1.0
#: Seconds for which ends of checks are gathered until the supervisor is told.
_TOGETHER: Final = 0.1


class WorkerProcess(Process):
    """The process of a worker: TERM has it drain and end, other signals are the supervisor's."""

    #: Called at TERM instead of ending at once, so that the supervisor can have another take over; None ends.
    ask_to_leave: Callable[[], None] | None = None

    @property
    def label(self) -> str:
        return "worker: " if Seat.current is None else f"worker {Seat.current.number}: "

    def actions(self) -> dict[signal.Signals, Callable[[], object]]:
        nothing: dict[signal.Signals, Callable[[], object]] = dict.fromkeys(_IGNORED, lambda: None)
        return {**nothing, signal.SIGTERM: self._terminate_once}

    def _show(self) -> None:
        super()._show()
        self._note_ended()

    def remove(self, service: RunningService) -> None:
        self._note_ended()
        super().remove(service)

    def _note_ended(self) -> None:
        """Have the supervisor know how many sessions have ended here."""
        if Seat.current is not None:
            Seat.current.table.row(Seat.current.row)[ENDED] = sum(each.ended for each in self.services)

    def _terminate_once(self) -> None:
        if self.ask_to_leave is not None:
            self.ask_to_leave()
        elif not self.is_stopping:
            self._terminate()


class Serving:
    """Does what the supervisor says.

    :param service: of the worker.
    :param seat: of the worker.
    :param process: is ended when the service has drained.
    """

    def __init__(self, service: ProxyService, process: WorkerProcess, reactor: Reactor, seat: Seat) -> None:
        self._service = service
        self._process = process
        self._reactor = reactor
        self._log = service.log
        #: Answers to what the supervisor may ask, by name: functions of the question and its descriptors.
        self._questions: dict[str, Callable[[Message, list[int]], object]] = {
            "receive": self._receive,
            "hand_over": self._hand_over,
            "handed_over": lambda _question, _: self._handed_over,
            "status": lambda _question, _: self._reports.status_part(),
            "sessions": lambda question, _: self._reports.sessions(question["limit"]),
            "session": lambda question, _: self._reports.session(question["session"]),
            "close_session": lambda question, _: self._reports.close_session(question["session"]),
            **{verb: functools.partial(self._steer, verb) for verb in ("hold", "release", "drain", "enable")},
            "reload": lambda _question, _: "; ".join(self._service.reload()),
            "alive": lambda _question, _: True,
            "stacks": lambda _question, _: self._reports.stacks(),
            "profile": lambda question, _: self._profiler.profile(question["seconds"]),
        }
        self._profiler = Profiler(service.clock)
        self._reports = Reports(lambda: [service], service.clock.seconds, seat.number)
        self._handed_over: Deferred[int] = Deferred()
        self._giving: Giving | None = None
        self._is_leaving = False
        self._channel = Channel(self._received, self._lost)
        self._closed: Deferred[None] = Deferred()
        soon = functools.partial(service.clock.callLater, _TOGETHER)
        service.clusters.share_checks(CheckResults(self._channel.send, soon).add)
        self._spent_tokens = seat.spent_tokens
        self._spent_tokens.send = self._channel.send
        self._spent_tokens.clock = service.clock

    def start(self, sock: socket.socket) -> None:
        """Serve, and tell the supervisor so; called as the reactor begins to run.

        :param sock: of the channel.
        """
        open_channel(self._reactor, sock, self._channel)
        self._process.ask_to_leave = self._ask_to_leave
        self._reactor.addSystemEventTrigger("before", "shutdown", self._finish)
        self._channel.send({"is": "ready"})

    def _ask_to_leave(self) -> None:
        """Have the supervisor start another worker, which takes over; then it says so."""
        if not self._is_leaving:
            self._log.info("told to end")
            self._channel.send({"is": "leaving", "limit": self._service.drain_timeout})

    def _finish(self) -> Deferred[None]:
        """Have what was said last reach the supervisor before the process ends."""
        self._channel.close()
        self._service.clock.callLater(_LAST_WORD, self._channel.abort)
        return self._closed

    def _received(self, message: Message, descriptors: list[int]) -> None:
        if "ask" in message:
            self._answer(message, descriptors)
        else:
            getattr(self, f"_do_{message['do']}")(message, descriptors)

    def _answer(self, message: Message, descriptors: list[int]) -> None:
        answered: Deferred[Any] = maybeDeferred(self._questions[message["ask"]], message, descriptors)
        answered.addCallbacks(
            lambda answer: self._channel.send({"answer": answer, "number": message["number"]}),
            lambda failure: self._log.failure("a question of the supervisor's has failed", failure),
        )

    def _lost(self) -> None:
        self._closed.callback(None)
        if not self._is_leaving and not self._process.is_stopping:
            self._log.warn("the supervisor is gone, this worker drains and ends")
            self._leave(self._service.drain_timeout)

    # What the supervisor may say

    def _do_stop(self, message: Message, _: list[int]) -> None:
        self._leave(message["limit"])

    def _leave(self, limit: float | None) -> None:
        first, self._is_leaving = not self._is_leaving, True
        drained = self._service.drain(limit)
        if first:
            drained.addCallback(lambda _: self._process.stop())

    def _do_abort(self, _message: Message, _: list[int]) -> None:
        self._leave(None)
        self._service.abort()

    def _do_reopen(self, _message: Message, _: list[int]) -> None:
        self._service.reopen()

    def _do_lend(self, message: Message, descriptors: list[int]) -> None:
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        self._service.accept_for(message["place"], list(zip(message["listeners"], sockets, strict=True)))

    def _do_check(self, message: Message, _: list[int]) -> None:
        self._service.clusters.check_here(message["is_checker"])

    def _do_checked(self, message: Message, _: list[int]) -> None:
        self._service.clusters.checked_elsewhere(message["results"])

    def _do_spent(self, message: Message, _: list[int]) -> None:
        self._spent_tokens.answered(message["number"], message["problem"])

    def _do_give_back(self, message: Message, _: list[int]) -> None:
        self._service.give_back(message["place"])

    # What it may ask

    def _steer(self, verb: str, question: Message, _: list[int]) -> bool | Message:
        """Do with a target what the operator says."""
        steer = getattr(self._service.steering, verb)
        return or_refusal(lambda: bool(steer(question["target"], question["cluster"])))

    def _hand_over(self, _: Message, descriptors: list[int]) -> None:
        if self._giving is not None:
            self._giving.close()  # that successor has been replaced, too; no session may be offered to both
        service, self._handed_over = self._service, Deferred()
        sock, given = socket.socket(fileno=descriptors[0]), self._handed_over.callback
        if service.mover is None:
            sock.close()
            given(0)
        else:
            self._giving = Giving(self._reactor, sock, service, service.mover, given)

    def _receive(self, _: Message, descriptors: list[int]) -> None:
        service, sock = self._service, socket.socket(fileno=descriptors[0])
        if service.mover is None:
            sock.close()
        else:
            Taking(self._reactor, sock, service, service.mover)

"""A worker as the supervisor sees it: a process, the channel to it, and what it writes."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from proxymux.net.reactor.twisted_types import Reactor
from proxymux.supervisor.channel import Channel, Message, open_channel
from proxymux.supervisor.worker_log import WorkerLog

#: The number of the channel's descriptor in the worker.
CHANNEL: Final = 3
#: The number of the first of its other descriptors there.
FIRST_GIVEN: Final = 4
#: The module that a worker runs.
PROGRAM: Final = "proxymux.tap.worker"
#: Seconds after which a question that a worker has not answered has failed.
_PATIENCE: Final = 10.0


class SpawningReactor(Reactor, IReactorProcess):
    """The reactor, which can start processes too."""


class NoAnswer(Exception):
    """A worker has ended, or has taken too long."""


class WorkerListener(Protocol):
    """Is told what becomes of a worker."""

    def worker_ready(self, worker: Worker) -> None:
        """It serves."""

    def worker_failed(self, worker: Worker, problem: str) -> None:
        """It cannot start, and will end."""

    def worker_said(self, worker: Worker, message: Message, descriptors: list[int]) -> None:
        """It has sent a message of its own accord."""

    def worker_leaves(self, worker: Worker, limit: float) -> None:
        """Somebody else has told it to end, ``limit`` seconds after which it ends what is left."""

    def worker_ended(self, worker: Worker, how: str) -> None:
        """Its process has ended; ``how`` is empty if it was told to."""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a worker is started with.

    :param start: the first message.
    :param descriptors: of the worker's own, from :data:`FIRST_GIVEN` on, in the order in which ``start`` counts them.
    """

    start: Message
    descriptors: Sequence[int]


class Worker(ProcessProtocol):
    """One worker process.

    :param number: of its place, from 1; a successor has the same.
    :param serial: of the process: no other one of this supervisor's life has the same.
    """

    def __init__(
        self,
        number: int,
        serial: int,
        reactor: SpawningReactor,
        clock: IReactorTime,
        log: Logger,
        listener: WorkerListener,
    ) -> None:
        self.number = number
        self.serial = serial
        #: When it became ready, in the clock's seconds; None before.
        self.ready_at: float | None = None
        #: It was told to end.
        self.is_leaving = False
        self.is_ended = False
        #: The number of the process; 0 before it is there.
        self.pid = 0
        #: It had to cut connections at its end.
        self.has_cut = False
        self._reactor = reactor
        self._clock = clock
        self._listener = listener
        self._lines = WorkerLog(log, self.name)
        self._channel = Channel(self._received, self._channel_lost)
        self._killing: IDelayedCall | None = None
        self._questions: dict[int, Deferred[Any]] = {}
        self._asked = 0

    @property
    def name(self) -> str:
        """The worker in the log."""
        return f"worker {self.number}"

    # Called by the supervisor

    def spawn(self, equipment: Equipment) -> None:
        """Start the process.

        :raises OSError: if the system gives no process or no descriptors.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        given = {FIRST_GIVEN + at: descriptor for at, descriptor in enumerate(equipment.descriptors)}
        with theirs, open(os.devnull, "rb") as nothing:
            open_channel(self._reactor, ours, self._channel)
            transport = self._reactor.spawnProcess(
                self,
                sys.executable,
                [sys.executable, "-m", PROGRAM, str(CHANNEL)],
                env=None,
                childFDs={0: nothing.fileno(), 1: "r", 2: "r", CHANNEL: theirs.fileno(), **given},
            )
        self.pid = transport.pid or 0
        self._channel.send(equipment.start)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send a message; ``descriptors`` stay open until the worker has answered it."""
        self._channel.send(message, descriptors)

    def ask(
        self,
        what: str,
        descriptors: Sequence[int] = (),
        patience: float | None = _PATIENCE,
        **details: object,
    ) -> Deferred[Any]:
        """Ask the worker something.

        :param descriptors: go with the question; they must stay open until it is answered.
        :param patience: seconds to wait for the answer; None waits for as long as the worker lives.
        :returns: fires with the answer, or fails with :class:`NoAnswer`.
        """
        if self.is_ended:
            return fail(NoAnswer(self.name))
        self._asked += 1
        number = self._asked
        answer: Deferred[Any] = Deferred(lambda _: None)
        self._questions[number] = answer
        timer = None if patience is None else self._clock.callLater(patience, self._give_up, number)

        def settled(result: object) -> object:
            self._questions.pop(number, None)
            if timer is not None and timer.active():
                timer.cancel()
            return result

        answer.addBoth(settled)
        self.send({"ask": what, "number": number, **details}, descriptors)
        return answer

    def stop(self, limit: float | None) -> None:
        """Have it end when its sessions have ended, or after ``limit`` seconds."""
        self.is_leaving = True
        self.send({"do": "stop", "limit": limit})

    def abort(self) -> None:
        """Have it end its sessions, and itself, now."""
        self.is_leaving = True
        self.send({"do": "abort"})

    def kill(self) -> None:
        """End the process, whatever it does."""
        if not self.is_ended and self.transport is not None:
            self.transport.signalProcess("KILL")

    # Called by the process and the channel

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self._lines.received(data)

    def processEnded(self, reason: Failure) -> None:
        self.is_ended = True
        if self._killing is not None and self._killing.active():
            self._killing.cancel()
        self._lines.finished()
        self._channel.close()
        for question in tuple(self._questions.values()):
            question.errback(NoAnswer(self.name))
        code = getattr(reason.value, "exitCode", None)
        self.has_cut = self.is_leaving and code not in (0, None)
        self._listener.worker_ended(self, "" if self.is_leaving else _how(reason))

    def _received(self, message: Message, descriptors: list[int]) -> None:
        if "answer" in message:
            question = self._questions.get(message["number"])
            if question is not None:
                question.callback(message["answer"])
        elif message.get("is") == "ready":
            self.ready_at = self._clock.seconds()
            self._listener.worker_ready(self)
        elif message.get("is") == "failed":
            self._listener.worker_failed(self, message["problem"])
        elif message.get("is") == "leaving":
            self._listener.worker_leaves(self, message["limit"])
        else:
            self._listener.worker_said(self, message, descriptors)

    def _channel_lost(self) -> None:
        """End a process that cannot be spoken to any more; one that ends closes its channel, too."""
        if not self.is_ended:
            self._killing = self._clock.callLater(_PATIENCE, self.kill)

    def _give_up(self, number: int) -> None:
        question = self._questions.get(number)
        if question is not None:
            question.errback(NoAnswer(self.name))


def _how(reason: Failure) -> str:
    signal = getattr(reason.value, "signal", None)
    if signal is not None:
        return f"killed by signal {signal}"
    return f"exit status {getattr(reason.value, 'exitCode', None)}"

"""A live session: does on real connections what the pure session says, and tells it what happens there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core import commands
from proxymux.core.client import Client, show
from proxymux.core.commands import Closing, Deadline
from proxymux.core.decision import BadHandshake, Decision, Forward, Reject
from proxymux.core.outcome import Ending, Outcome, Record
from proxymux.core.proxy_protocol import Header
from proxymux.core.session import Session
from proxymux.core.states import ConnectFailure, Input, RelayEnd, State
from proxymux.core.target import Target
from proxymux.core.wheel import Timer
from proxymux.errors import DecisionFailed
from proxymux.interfaces import ILegOwner
from proxymux.net.client import introduced_by, secured_on
from proxymux.net.connector import Connecting
from proxymux.net.journal import Journal
from proxymux.net.leg import LINGER, UNOWNED, Leg, explain
from proxymux.net.path import Path
from proxymux.net.pending import Pending
from proxymux.net.relay import Opening

#: The client, before its connection is known.
_NOBODY: Final = Client(("", 0), ("", 0))


@implementer(ILegOwner, IPushProducer)
class LiveSession:
    """One client.

    :param number: tells it from the other sessions of its service.
    :param path: the choices of its service.
    :param over: called with it and its :class:`Ending` when it has ended.
    """

    __slots__ = (
        "_admitted",
        "_client",
        "_connecting",
        "_counted",
        "_decider",
        "_exchange",
        "_inbox",
        "_is_busy",
        "_journal",
        "_leg",
        "_lingers",
        "_over",
        "_path",
        "_pending",
        "_session",
        "_timer",
        "_upstream",
        "number",
    )

    def __init__(self, number: int, path: Path, over: Callable[[LiveSession, Ending], None]) -> None:
        self.number = number
        self._path = path
        self._decider = path.decider  # a reload is for the sessions after it
        self._over = over
        self._session = Session(path.limits.max_buffer, path.decider.greets, path.decider.undecided_reply)
        self._inbox: list[tuple[Input, Any]] = []
        self._is_busy = False
        self._leg: Leg | None = None
        self._client = _NOBODY
        self._counted = False
        self._admitted: str | None = None
        self._pending = Pending()
        self._connecting: Connecting | None = None
        self._upstream: Leg | None = None
        self._exchange: Any = None
        self._timer: Timer | None = None
        self._lingers = False
        self._journal = Journal(path.clock, path.wall)

    # The client's connection

    def opening(self, leg: Leg) -> bool:
        """The client was accepted on ``leg``; more may have to be read before it is known.  False if it is refused."""
        self._take_leg(leg)
        self._client = Client(leg.peer, leg.local)
        self._await(commands.Await(Deadline.DECISION))
        refusal = self._path.admission.arrive()
        self._counted = refusal is None
        if refusal is not None:
            self.bar(Ending(Outcome.REFUSED, refusal))
        return refusal is None

    def introduced(self, header: Header) -> None:
        """A PROXY header has come."""
        self._client = introduced_by(header, self._client)

    def bar(self, ending: Ending) -> None:
        """The client does not come in."""
        self._take(Input.BARRED, ending)

    def attach(self, leg: Leg) -> None:
        """The client will speak on ``leg``."""
        self._take_leg(leg)
        refusal = self._path.admission.admit(self._client.address[0])
        if refusal is not None:
            self.bar(Ending(Outcome.REFUSED, refusal))
            return
        self._admitted = self._client.address[0]
        leg.guard(self)
        if not leg.is_tls:
            self._open()
            leg.resume()

    def _take_leg(self, leg: Leg) -> None:
        if self._leg is not None and self._leg is not leg:
            self._leg.owner = UNOWNED
        self._leg = leg
        leg.owner = self

    def _open(self) -> None:
        if self._path.events.heard("connected"):
            error = self._path.events.emit("connected", self._path.log, show(self._client.address))
            if error is not None:
                self.bar(Ending(Outcome.REFUSED, f"by a listener of connected: {error}"))
                return
        self._take(Input.OPENED)

    def made(self) -> None:
        """Whoever made the leg calls :meth:`opening` or :meth:`attach`."""

    def secured(self) -> None:
        assert self._leg is not None
        self._client = secured_on(self._leg.transport, self._client)
        self._open()

    def received(self, data: bytes) -> None:
        self._journal.bytes_in += len(data)
        self._take(Input.RECEIVED, data)

    def finished(self) -> None:
        self._take(Input.CLIENT_FINISHED)

    def flushed(self) -> None:
        """Our FIN is out; the client's is awaited."""

    def lost(self, reason: Exception | None) -> None:
        assert self._leg is not None
        handshakes = self._session.state is State.OPENING and self._leg.is_tls
        if handshakes and reason is not None and not isinstance(reason, ConnectionLost):
            self._take(Input.BARRED, Ending(Outcome.BAD_HANDSHAKE, f"TLS: {explain(reason)}"))
        self._take(Input.CLIENT_LOST, explain(reason))

    def pauseProducing(self) -> None:
        self._take(Input.OUTPUT_FULL)

    def resumeProducing(self) -> None:
        self._take(Input.OUTPUT_FREE)

    def stopProducing(self) -> None:
        """The client is lost: :meth:`lost` says so."""

    def drain(self) -> None:
        """The time is over: end now, in good order at the first call, by a reset at the next."""
        self._take(Input.DRAIN)

    # Inputs and commands

    def _take(self, what: Input, value: Any = None) -> None:
        if self._is_busy:
            self._inbox.append((what, value))
            return
        self._is_busy = True
        try:
            while True:
                for command in self._session.take(what, value):
                    _DO[type(command)](self, command)
                if not self._inbox:
                    break
                what, value = self._inbox.pop(0)
        finally:
            self._is_busy = False

    def _ask(self, command: commands.Ask) -> None:
        try:
            if command.data is None:
                result = self._decider.accepted(self._client)
            else:
                result = self._decider.decide(command.data, self._client)
        except DecisionFailed as problem:
            self._faulted(problem)
            return
        if isinstance(result, Deferred):
            self._pending.wait(result, self._decided, self._failed_deciding)
        else:
            self._decided(result)

    def _decided(self, decision: Decision) -> None:
        if isinstance(decision, (Forward, Reject, BadHandshake)):
            self._journal.decided()
            if isinstance(decision, BadHandshake):
                self._path.log.info("{client}: {reason}", client=show(self._client.address), reason=decision.reason)
            if self._path.events.heard("decided"):
                self._path.events.emit("decided", self._path.log, decision)
        self._take(Input.DECIDED, decision)

    def _failed_deciding(self, failure: Failure) -> None:
        failure.trap(DecisionFailed)
        assert isinstance(failure.value, DecisionFailed)
        self._faulted(failure.value)

    def _faulted(self, problem: DecisionFailed) -> None:
        self._path.log.error("{problem} ({client})", problem=problem, client=show(self._client.address))
        if problem.details:
            self._path.log.debug("{details}", details=problem.details)
        self._take(Input.FAULTED, str(problem))

    def _blame(self, command: commands.Blame) -> None:
        log = self._path.log.error if command.fault else self._path.log.warn
        log(
            "{place}: {problem} ({client})",
            place=self._decider.place,
            problem=command.problem,
            client=show(self._client.address),
        )

    def _connect(self, command: commands.Connect) -> None:
        self._connecting = self._path.connector.connect(command.forward, self._client, self)
        self._connecting.start()

    def trying(self, target: Target) -> None:
        """``target`` is about to be tried."""
        self._journal.target = target
        assert self._leg is not None
        if self._leg.is_reset:
            self._leg.abort()
            self._take(Input.CLIENT_LOST, "reset")

    def attempt_failed(self, target: Target, reason: str) -> None:
        """``target`` could not be connected to."""
        self._path.log.debug("session {number}: {target}: {reason}", number=self.number, target=target, reason=reason)
        if self._path.events.heard("connect_failed"):
            self._path.events.emit("connect_failed", self._path.log, str(target), reason)

    def connected(self, leg: Leg) -> None:
        """There is an upstream."""
        self._connecting = None
        self._journal.connected()
        self._upstream = leg
        self._take(Input.CONNECTED)
        if self._exchange is None:
            leg.abort()

    def gave_up(self, failure: ConnectFailure) -> None:
        """There will be none."""
        self._connecting = None
        self._path.log.warn(
            "{client}: gave up connecting: {reason}", client=show(self._client.address), reason=failure.reason
        )
        self._take(Input.CONNECT_FAILED, failure)

    def _join(self, command: commands.Join) -> None:
        opening = Opening(
            command.data,
            command.client_finished,
            command.forward.inactivity_timeout,
            self._path.limits.idle_timeout,
            self._relay_ended,
        )
        self._exchange = self._path.relay.join(self._leg, self._upstream, opening)
        self._leg = self._exchange.client

    def _relay_ended(self, end: RelayEnd, leg: Leg) -> None:
        self._upstream = None
        self._leg = leg
        leg.owner = self
        self._take(Input.RELAY_ENDED, end)

    def _consult(self, command: commands.Consult) -> None:
        callback = getattr(self._decider, command.callback)
        answer = callback(str(self._journal.target), self._client)
        if isinstance(answer, Deferred):
            self._pending.wait(answer, self._answered, lambda _: self._answered(b""))
        else:
            self._answered(answer)

    def _answered(self, last_word: bytes) -> None:
        self._take(Input.ANSWERED, last_word)

    def _cancel(self, _: commands.Cancel) -> None:
        self._pending.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._exchange is not None:
            self._exchange.abort()

    def _send(self, command: commands.Send) -> None:
        assert self._leg is not None
        self._journal.bytes_out += len(command.data)
        self._leg.send(command.data)

    def _pause(self, _: commands.Pause) -> None:
        assert self._leg is not None
        self._leg.pause()

    def _resume(self, _: commands.Resume) -> None:
        assert self._leg is not None
        self._leg.resume()

    def _close(self, command: commands.Close) -> None:
        leg = self._leg
        assert leg is not None
        leg.owner = self
        if leg.is_lost:
            self._take(Input.CLIENT_LOST, "lost")
        elif command.how is Closing.ABORT:
            leg.abort()
        elif command.how is Closing.RESET:
            leg.reset()
        elif command.how is Closing.LINGER:
            leg.resume()
            leg.finish()
        else:
            leg.close()
        if self._lingers and not leg.is_lost:
            self._lingers = False
            self._timer = self._path.timers.after(LINGER, self._expired, LINGER)

    def _await(self, command: commands.Await) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._lingers = command.deadline is Deadline.LINGER
        if command.deadline is None or self._lingers:
            return  # a close that is done at once needs no deadline
        seconds = self._path.limits.decide_timeout
        self._timer = self._path.timers.after(seconds, self._expired, seconds)

    def _expired(self, seconds: float) -> None:
        self._timer = None
        self._take(Input.DEADLINE, f"{seconds:g} s (--decide-timeout)")

    @property
    def journal(self) -> Journal:
        """What happened to it, and when."""
        return self._journal

    def record(self, ending: Ending) -> Record:
        """What the access log says of it, when it has ended."""
        return self._journal.record(self._path.service, self.number, self._client, self._exchange, ending)

    def _finish(self, command: commands.Finish) -> None:
        if self._counted:
            self._path.admission.leave(self._admitted)
        if self._path.events.heard("ended"):
            self._path.events.emit("ended", self._path.log, self.record(command.ending))
        self._over(self, command.ending)


_DO: dict[type, Callable[[LiveSession, Any], None]] = {
    commands.Ask: LiveSession._ask,
    commands.Send: LiveSession._send,
    commands.Connect: LiveSession._connect,
    commands.Join: LiveSession._join,
    commands.Consult: LiveSession._consult,
    commands.Pause: LiveSession._pause,
    commands.Resume: LiveSession._resume,
    commands.Cancel: LiveSession._cancel,
    commands.Await: LiveSession._await,
    commands.Blame: LiveSession._blame,
    commands.Close: LiveSession._close,
    commands.Finish: LiveSession._finish,
}

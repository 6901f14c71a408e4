"""The session: one client from accept to close, as a state machine.

Rules of this file: whatever decides the course of a session lives here; nothing here knows of sockets, clocks or
user code.  :meth:`Session.take` is given what has happened and returns what to do.  The table :data:`TRANSITIONS` says
what counts in which state; an input that has no place in it came too late (a decision for a client that has gone, say)
and changes nothing.  Exactly one :class:`~proxymux.core.commands.Finish` ends every session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from proxymux.core.commands import (
    Ask,
    Await,
    Blame,
    Cancel,
    Cause,
    Close,
    Closing,
    Command,
    Connect,
    ConnectFailure,
    Consult,
    Deadline,
    Finish,
    Input,
    Join,
    JoinPool,
    RelayEnd,
    Send,
    State,
)
from proxymux.core.decision import NEED_DATA, BadHandshake, Decision, Forward, Reject, Reply, Share
from proxymux.core.intake import Intake
from proxymux.core.outcome import Ending, Outcome

#: Steps of a negotiation (:class:`Reply`) in one session; a router that needs more goes in circles.
MAX_REPLIES: Final = 1000

_RELAY_ENDINGS: Final[dict[Cause, tuple[Outcome, Closing | None]]] = {
    # If the client has not finished, what it still sends must not turn the end of its answer into a reset.
    Cause.COMPLETED: (Outcome.COMPLETED, None),
    Cause.CLIENT_ABORTED: (Outcome.CLIENT_ABORTED, Closing.ABORT),
    Cause.UPSTREAM_ABORTED: (Outcome.UPSTREAM_ABORTED, Closing.RESET),
    Cause.IDLE: (Outcome.IDLE, Closing.CLOSE),
    Cause.DISMISSED: (Outcome.PROTOCOL_ERROR, None),
}
#: Commands that every session gives.
_AWAIT_NOTHING: Final = Await(None)
_AWAIT_DECISION: Final = Await(Deadline.DECISION)
_AWAIT_CLOSE: Final = Await(Deadline.LINGER)
_CANCEL: Final = Cancel()


class Session:
    """The course of one client.

    :param max_buffer: bytes that are kept while undecided or connecting.
    :param greets: ask the decider once before any byte has come.
    :param undecided_reply: the status for a client whose bytes, when no more may come, have led to no decision; its
        handshake was a bad one then.  None is for services that answer with no status.
    """

    __slots__ = (
        "_client_finished",
        "_ending",
        "_forward",
        "_greets",
        "_intake",
        "_lingers",
        "_max_buffer",
        "_replies",
        "_sent",
        "_status",
        "_undecided_reply",
        "state",
    )

    def __init__(self, max_buffer: int, greets: bool = False, undecided_reply: bytes | None = None) -> None:
        self.state = State.OPENING
        self._max_buffer = max_buffer
        self._greets = greets
        self._undecided_reply = undecided_reply
        self._intake = Intake(max_buffer)
        self._client_finished = False
        self._sent = False
        self._lingers = False
        self._replies = 0
        self._forward: Forward | None = None
        #: What the client was told, where the service answers with a status.
        self._status: str | None = None
        self._ending: Ending | None = None

    def __repr__(self) -> str:
        return f"<Session {self.state.value}, {len(self._intake)} bytes kept>"

    @property
    def ending(self) -> Ending | None:
        """How the session ends, from the moment that this is known."""
        return self._ending

    def take(self, what: Input, value: Any = None) -> list[Command]:
        """Take note of what has happened; answer what to do, in this order."""
        react = TRANSITIONS[self.state].get(what)
        return react(self, value) if react is not None else []

    # Opening

    def _accepted(self, _: None) -> list[Command]:
        return [_AWAIT_DECISION]

    def _tls_failed(self, reason: str) -> list[Command]:
        return self._end(Ending(Outcome.BAD_HANDSHAKE, f"TLS: {reason}"))

    def _opened(self, _: None) -> list[Command]:
        if self._greets:
            self.state = State.DECIDING
            return [Ask(None)]
        self.state = State.READING
        return []

    def _barred(self, ending: Ending) -> list[Command]:
        return self._close(ending)

    # Reading and deciding

    def _read(self, data: bytes) -> list[Command]:
        self._intake.add(data)
        if self._intake.is_blocked:
            return self._intake.pause_if_full()
        pause = self._intake.pause() if self._intake.is_over else []  # the decision may take a while
        return pause + self._ask()

    def _ask(self) -> list[Command]:
        self.state = State.DECIDING
        return [Ask(self._intake.show())]

    def _kept(self, data: bytes) -> list[Command]:
        self._intake.add(data)
        return self._intake.pause_if_full()

    def _full(self, _: None) -> list[Command]:
        self._intake.is_blocked = True
        return self._intake.pause()

    def _free(self, _: None) -> list[Command]:
        self._intake.is_blocked = False
        return self._intake.resume_if_room()

    def _free_reading(self, _: None) -> list[Command]:
        self._intake.is_blocked = False
        return self._go_on()

    def _go_on(self) -> list[Command]:
        """Ask about bytes that are still unseen, or wait for more."""
        self.state = State.READING
        if self._intake.is_blocked:
            return []
        if self._intake.has_unseen:
            return self._intake.resume_if_room() + self._ask()
        if self._client_finished:
            return self._give_up("client finished before a decision")
        return self._intake.resume()

    def _finished_reading(self, _: None) -> list[Command]:
        self._client_finished = True
        return self._go_on()

    def _finished(self, _: None) -> list[Command]:
        self._client_finished = True
        return []

    def _decided(self, decision: Decision) -> list[Command]:
        if decision is NEED_DATA:
            return self._need_data()
        if isinstance(decision, Reply):
            return self._reply(decision)
        if isinstance(decision, Reject):
            return self._send(decision.last_word) + self._close(Ending(Outcome.REJECTED))
        if isinstance(decision, BadHandshake):
            return self._bad_handshake(decision)
        if isinstance(decision, Share):
            self.state = State.JOINED
            return [_AWAIT_NOTHING, JoinPool(decision, self._intake.empty(), self._client_finished)]
        assert isinstance(decision, Forward)
        if decision.data is not None:
            self._intake.replace(decision.data)
        self.state, self._forward = State.CONNECTING, decision
        sent = self._send(decision.reply) if decision.reply else []
        return [_AWAIT_NOTHING, *sent, Connect(decision)]

    def _bad_handshake(self, found: BadHandshake) -> list[Command]:
        self._status = found.last_word.decode("latin-1") or None
        return self._send(found.last_word) + self._close(
            Ending(Outcome.BAD_HANDSHAKE, found.reason, self._status, found.details)
        )

    def _need_data(self) -> list[Command]:
        if self._intake.is_over:
            problem = f"no decision within {self._max_buffer} bytes (--max-buffer)"
            return [Blame(problem), *self._give_up(problem)]
        return self._go_on()

    def _reply(self, step: Reply) -> list[Command]:
        self._replies += 1
        if self._replies > MAX_REPLIES:
            return self._faulted_here(f"more than {MAX_REPLIES} replies without a decision")
        if step.consume > self._intake.shown:
            return self._faulted_here(f"consume: {step.consume} of {self._intake.shown} bytes")
        if not step.consume:
            return self._send(step.reply) + self._need_data()
        self._intake.consume(step.consume)
        return self._send(step.reply) + self._go_on()

    def _faulted_here(self, problem: str) -> list[Command]:
        return [Blame(problem, fault=True), *self._faulted(problem)]

    def _faulted(self, problem: str) -> list[Command]:
        return self._close(Ending(Outcome.ROUTER_ERROR, problem))

    def _undecided(self, limit: str) -> list[Command]:
        problem = f"no decision within {limit}"
        router_waits = self.state is State.DECIDING or len(self._intake) > 0
        blame: list[Command] = [Blame(problem)] if router_waits and self._undecided_reply is None else []
        return [*blame, Cancel(), *self._give_up(problem)]

    def _give_up(self, problem: str) -> list[Command]:
        """No decision will come of what the client has sent."""
        if self._undecided_reply is None or self.state is State.OPENING:
            return self._close(Ending(Outcome.UNDECIDED, problem))
        return self._bad_handshake(BadHandshake(self._undecided_reply, problem))

    def _left_undecided(self, reason: str) -> list[Command]:
        return [Cancel(), *self._end(Ending(Outcome.UNDECIDED, reason))]

    # Connecting and joined

    def _left_connecting(self, reason: str) -> list[Command]:
        return [Cancel(), *self._end(Ending(Outcome.CLIENT_ABORTED, reason))]

    def _reset_connecting(self, _: None) -> list[Command]:
        return [Cancel(), *self._close(Ending(Outcome.CLIENT_ABORTED, "reset"), Closing.ABORT)]

    def _connected(self, _: None) -> list[Command]:
        assert self._forward is not None
        self.state = State.JOINED
        data = self._intake.empty()
        sent = self._send_status(self._forward.reply_on_connect) if self._forward.reply_on_connect else []
        return [*sent, Join(data, self._forward, self._client_finished)]

    def _connect_failed(self, failure: ConnectFailure) -> list[Command]:
        assert self._forward is not None
        sent = self._send_status(self._forward.reply_to(failure.outcome))
        ending = Ending(failure.outcome, failure.reason, self._status)
        return [*sent, *self._consult("connect_error", ending)]

    def _relay_ended(self, end: RelayEnd) -> list[Command]:
        self._client_finished = end.client_finished
        if end.cause is Cause.SILENT:
            return self._consult("connect_error", Ending(Outcome.UPSTREAM_ABORTED, end.reason, self._status))
        if end.cause is Cause.INACTIVE:
            return self._consult("inactivity_error", Ending(Outcome.INACTIVE, end.reason, self._status))
        self._sent = True
        outcome, how = _RELAY_ENDINGS[end.cause]
        return [_CANCEL, *self._close(Ending(end.outcome or outcome, end.reason, self._status), how)]

    # Answering and closing

    def _consult(self, callback: Any, ending: Ending) -> list[Command]:
        """Ask the user's callback for a last word, but not for a client that has sent FIN: it may have left."""
        if self._client_finished:
            return [Cancel(), *self._close(ending)]
        self.state, self._ending = State.ANSWERING, ending
        return [Cancel(), Await(Deadline.ANSWER), Consult(callback)]

    def _answered(self, last_word: bytes) -> list[Command]:
        assert self._ending is not None
        return self._send(last_word) + self._close(self._ending)

    def _unanswered(self, limit: str) -> list[Command]:
        assert self._ending is not None
        return [Blame(f"no answer from the error callback within {limit}"), Cancel(), *self._close(self._ending)]

    def _left(self, _: str) -> list[Command]:
        assert self._ending is not None
        return [_CANCEL, *self._end(self._ending)]

    def _drained(self, _: None) -> list[Command]:
        return [Cancel(), *self._close(self._ending or Ending(Outcome.DRAINED, status=self._status), Closing.CLOSE)]

    def _finished_closing(self, _: None) -> list[Command]:
        self._client_finished, self._lingers = True, False
        return [Close(Closing.CLOSE)]

    def _late(self, _: str) -> list[Command]:
        """The close takes too long: wait for the client's FIN no longer, then for its reading no longer."""
        if self._lingers:
            self._lingers = False
            return [Await(Deadline.LINGER), Close(Closing.CLOSE)]
        return [Close(Closing.ABORT)]

    def _abort(self, _: None) -> list[Command]:
        return [Close(Closing.ABORT)]

    def _send(self, data: bytes) -> list[Command]:
        if not data:
            return []
        self._sent = True
        return [Send(data)]

    def _send_status(self, reply: bytes) -> list[Command]:
        """Send a reply, which is the client's status where the service answers with one."""
        if reply and self._undecided_reply is not None:
            self._status = reply.decode("latin-1")
        return self._send(reply)

    def _close(self, ending: Ending, how: Closing | None = None) -> list[Command]:
        if how is None:
            how = Closing.LINGER if self._sent and not self._client_finished else Closing.CLOSE
        self.state, self._ending = State.CLOSING, ending
        self._intake.empty()
        self._lingers = how is Closing.LINGER
        return [_AWAIT_CLOSE, Close(how)]

    def _end(self, ending: Ending) -> list[Command]:
        self.state, self._ending = State.ENDED, ending
        return [_AWAIT_NOTHING, Finish(ending)]


_Reaction = Callable[[Session, Any], list[Command]]

#: What counts in which state.
TRANSITIONS: Final[dict[State, dict[Input, _Reaction]]] = {
    State.OPENING: {
        Input.ACCEPTED: Session._accepted,
        Input.OPENED: Session._opened,
        Input.BARRED: Session._barred,
        Input.CLIENT_LOST: Session._left_undecided,
        Input.TLS_FAILED: Session._tls_failed,
        Input.DEADLINE: Session._undecided,
        Input.DRAIN: Session._drained,
    },
    State.READING: {
        Input.RECEIVED: Session._read,
        Input.OUTPUT_FULL: Session._full,
        Input.OUTPUT_FREE: Session._free_reading,
        Input.CLIENT_FINISHED: Session._finished_reading,
        Input.CLIENT_LOST: Session._left_undecided,
        Input.TLS_FAILED: Session._left_undecided,
        Input.DEADLINE: Session._undecided,
        Input.DRAIN: Session._drained,
    },
    State.DECIDING: {
        Input.RECEIVED: Session._kept,
        Input.OUTPUT_FULL: Session._full,
        Input.OUTPUT_FREE: Session._free,
        Input.CLIENT_FINISHED: Session._finished,
        Input.DECIDED: Session._decided,
        Input.FAULTED: Session._faulted,
        Input.CLIENT_LOST: Session._left_undecided,
        Input.TLS_FAILED: Session._left_undecided,
        Input.DEADLINE: Session._undecided,
        Input.DRAIN: Session._drained,
    },
    State.CONNECTING: {
        Input.RECEIVED: Session._kept,
        Input.OUTPUT_FULL: Session._full,
        Input.OUTPUT_FREE: Session._free,
        Input.CLIENT_FINISHED: Session._finished,
        Input.CONNECTED: Session._connected,
        Input.CONNECT_FAILED: Session._connect_failed,
        Input.CLIENT_LOST: Session._left_connecting,
        Input.TLS_FAILED: Session._left_connecting,
        Input.CLIENT_RESET: Session._reset_connecting,
        Input.DRAIN: Session._drained,
    },
    State.JOINED: {
        Input.RELAY_ENDED: Session._relay_ended,
        Input.DRAIN: Session._drained,
    },
    State.ANSWERING: {
        Input.CLIENT_FINISHED: Session._finished,
        Input.ANSWERED: Session._answered,
        Input.CLIENT_LOST: Session._left,
        Input.TLS_FAILED: Session._left,
        Input.DEADLINE: Session._unanswered,
        Input.DRAIN: Session._drained,
    },
    State.CLOSING: {
        Input.CLIENT_FINISHED: Session._finished_closing,
        Input.CLIENT_LOST: Session._left,
        Input.TLS_FAILED: Session._left,
        Input.DEADLINE: Session._late,
        Input.DRAIN: Session._abort,
    },
    State.ENDED: {},
}

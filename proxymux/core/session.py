"""The session: one client from accept to close, as a state machine.

All decisions on the course of a session are made in this file, without sockets, clocks or user code.
:class:`~proxymux.session.runner.SessionRunner` calls :meth:`Session.take` with each input and carries out the commands
that it returns.  The table :data:`TRANSITIONS` lists the reaction to each input in each state.  An input that is not
listed for the current state came too late (a decision for a client that has gone, say) and is ignored.  Exactly one
:class:`~proxymux.core.commands.Finish` ends every session.
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
    StartTls,
    State,
    Tell,
)
from proxymux.core.decision import NEED_DATA, BadHandshake, Decision, Forward, Reject, Reply, Share, Terminate
from proxymux.core.intake import Intake
from proxymux.core.outcome import Ending, Outcome

#: The most :class:`Reply` decisions in one session; a router that exceeds it is assumed to loop.
MAX_REPLIES: Final = 1000

#: For each cause that ends a relay: the outcome, and how to close the client.  None for the latter lingers unless the
#: client has sent FIN: bytes that it still sends must not make the kernel reset the connection before it has read all.
_RELAY_ENDINGS: Final[dict[Cause, tuple[Outcome, Closing | None]]] = {
    Cause.COMPLETED: (Outcome.COMPLETED, None),
    Cause.CLIENT_ABORTED: (Outcome.CLIENT_ABORTED, Closing.ABORT),
    Cause.UPSTREAM_ABORTED: (Outcome.UPSTREAM_ABORTED, Closing.RESET),
    Cause.IDLE: (Outcome.IDLE, Closing.CLOSE),
    Cause.DISMISSED: (Outcome.PROTOCOL_ERROR, None),
}
#: What of a decision still matters when the client is joined.
_REPLIES: Final = ("reply_on_connect", "reply_on_failure")
#: Commands that every session gives, made once for all of them.
_AWAIT_NOTHING: Final = Await(None)
_AWAIT_DECISION: Final = Await(Deadline.DECISION)
_AWAIT_CLOSE: Final = Await(Deadline.CLOSE)
_CANCEL: Final = Cancel()


class Session:
    """The state machine of one client.

    :param max_buffer: the most bytes of the client that are kept until the upstream is connected.
    :param greets: ask the decider once before the client's first byte.
    :param undecided_reply: the status that is sent to a client that stops, or exceeds a limit, before a decision; the
        outcome is ``bad_handshake`` then.  None for services without a status; the outcome is ``undecided`` then.
    :param hears_failures: the decider wants to be told of an upstream that ends before its first byte.
    """

    __slots__ = (
        "_client_finished",
        "_ending",
        "_forward",
        "_greets",
        "_has_sent",
        "_hears_failures",
        "_intake",
        "_max_buffer",
        "_replies",
        "_status",
        "_undecided_reply",
        "state",
    )

    def __init__(
        self,
        max_buffer: int,
        greets: bool = False,
        undecided_reply: bytes | None = None,
        hears_failures: bool = False,
    ) -> None:
        self.state = State.OPENING
        self._max_buffer = max_buffer
        self._greets = greets
        self._hears_failures = hears_failures
        self._undecided_reply = undecided_reply
        self._intake = Intake(max_buffer)
        self._client_finished = False
        self._has_sent = False
        self._replies = 0
        self._forward: Forward | None = None
        #: The status that the client was sent; None where the service sends none.
        self._status: str | None = None
        self._ending: Ending | None = None

    def __repr__(self) -> str:
        return f"<Session {self.state.value}, {len(self._intake)} bytes kept>"

    @property
    def ending(self) -> Ending | None:
        """The outcome with its reason; None until it is known."""
        return self._ending

    def pack(self) -> dict[str, Any] | None:
        """What another process needs to go on with the session; None in a state in which it cannot.

        It can while the client is joined, and while nothing but more of its bytes is awaited.
        """
        common = {"status": self._status, "has_sent": self._has_sent, "replies": self._replies}
        if self.state is State.JOINED and self._forward is not None:
            texts = {name: getattr(self._forward, name).decode("latin-1") for name in _REPLIES}
            return {**common, **texts, "remote": str(self._forward.targets[0])}
        if self.state is State.JOINED:
            return common
        if self.state is State.READING and not self._intake.is_blocked and not self._client_finished:
            return {**common, "kept": self._intake.kept.decode("latin-1")}
        return None

    def unpack(self, packed: dict[str, Any]) -> None:
        """Go on, as a new session, where another process has left off.

        :param packed: what :meth:`pack` has returned there.  A session that reads is to be given
            :attr:`~proxymux.core.commands.Input.MOVED` first.
        """
        self._status = packed["status"]
        self._has_sent = packed["has_sent"]
        self._replies = packed["replies"]
        if "kept" in packed:
            self.state = State.READING
            self._intake.add(packed["kept"].encode("latin-1"))
        else:
            self.state = State.JOINED
        if "remote" in packed:
            texts = {name: packed[name].encode("latin-1") for name in _REPLIES}
            self._forward = Forward(packed["remote"], **texts)

    def take(self, what: Input, value: Any = None) -> list[Command]:
        """React to an input.

        :param value: as documented at the members of :class:`~proxymux.core.commands.Input`.
        :returns: the commands to carry out, in this order.
        """
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

    def _not_admitted(self, ending: Ending) -> list[Command]:
        return self._close(ending)

    # Reading and deciding

    def _read(self, data: bytes) -> list[Command]:
        self._intake.add(data)
        if self._intake.is_blocked:
            return self._intake.pause_if_full()
        pause = self._intake.pause() if self._intake.is_over else []  # no more is read until the decision
        return pause + self._ask()

    def _ask(self) -> list[Command]:
        self.state = State.DECIDING
        return [Ask(self._intake.show())]

    def _received_early(self, data: bytes) -> list[Command]:
        """Keep bytes that come while the decider is asked or the upstream connects."""
        self._intake.add(data)
        return self._intake.pause_if_full()

    def _output_full(self, _: None) -> list[Command]:
        """Read no more from a client that does not read what it is sent."""
        self._intake.is_blocked = True
        return self._intake.pause()

    def _output_free(self, _: None) -> list[Command]:
        self._intake.is_blocked = False
        return self._intake.resume_if_room()

    def _output_free_reading(self, _: None) -> list[Command]:
        self._intake.is_blocked = False
        return self._go_on()

    def _go_on(self) -> list[Command]:
        """Ask the decider about bytes that it has not been given yet, or read more."""
        self.state = State.READING
        if self._intake.is_blocked:
            return []
        if self._intake.has_unseen:
            return self._intake.resume_if_room() + self._ask()
        if self._client_finished:
            return self._give_up("client finished before a decision")
        return self._intake.resume()

    def _moved(self, _: None) -> list[Command]:
        """Ask the decider about what another process has kept, if that is anything: the decider is another, too."""
        self._intake.has_unseen = len(self._intake) > 0
        return self._go_on()

    def _finished_reading(self, _: None) -> list[Command]:
        self._client_finished = True
        return self._go_on()

    def _finished(self, _: None) -> list[Command]:
        self._client_finished = True
        return []

    def _decided(self, decision: Decision) -> list[Command]:
        """Carry out the decider's decision."""
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
        if isinstance(decision, Terminate):
            return self._start_tls(decision.tls_terminate)
        assert isinstance(decision, Forward)
        if decision.tls_terminate is not None and self._forward is None:
            self._forward = decision
            return self._start_tls(decision.tls_terminate)
        return self._forward_to(decision)

    def _forward_to(self, decision: Forward) -> list[Command]:
        if decision.data is not None:
            self._intake.replace(decision.data)
        self.state, self._forward = State.CONNECTING, decision
        sent = self._send(decision.reply) if decision.reply else []
        told = self._tell() if self._client_finished or len(self._intake) else []
        return [_AWAIT_NOTHING, *sent, Connect(decision), *told]

    # TLS that the decider has ended here

    def _start_tls(self, path: str) -> list[Command]:
        self.state = State.SECURING
        return [StartTls(path, self._intake.restart())]

    def _secured(self, _: None) -> list[Command]:
        """Forward the decrypted bytes, or ask the decider about them."""
        if self._forward is not None:
            return self._forward_to(self._forward)
        return self._go_on()

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
            return self._router_fault(f"more than {MAX_REPLIES} replies without a decision")
        if step.consume > self._intake.shown:
            return self._router_fault(f"consume: {step.consume} of {self._intake.shown} bytes")
        if not step.consume:
            return self._send(step.reply) + self._need_data()
        self._intake.consume(step.consume)
        return self._send(step.reply) + self._go_on()

    def _router_fault(self, problem: str) -> list[Command]:
        return [Blame(problem, fault=True), *self._faulted(problem)]

    def _faulted(self, problem: str) -> list[Command]:
        return self._close(Ending(Outcome.ROUTER_ERROR, problem))

    def _undecided(self, limit: str) -> list[Command]:
        """End the session: the decision deadline has passed.  A router that was asked or has seen bytes is blamed."""
        problem = f"no decision within {limit}"
        router_waits = self.state is State.DECIDING or len(self._intake) > 0
        blame: list[Command] = [Blame(problem)] if router_waits and self._undecided_reply is None else []
        return [*blame, Cancel(), *self._give_up(problem)]

    def _give_up(self, problem: str) -> list[Command]:
        """End the session, as the client's bytes will not lead to a decision."""
        if self._undecided_reply is None or self.state is State.OPENING:
            return self._close(Ending(Outcome.UNDECIDED, problem))
        return self._bad_handshake(BadHandshake(self._undecided_reply, problem))

    def _lost_undecided(self, reason: str) -> list[Command]:
        return [Cancel(), *self._end(Ending(Outcome.UNDECIDED, reason))]

    # Connecting and joined

    def _lost_connecting(self, reason: str) -> list[Command]:
        return [Cancel(), *self._end(Ending(Outcome.CLIENT_ABORTED, reason))]

    def _reset_connecting(self, _: None) -> list[Command]:
        """Give up the connect: the client has reset its connection, which is still open on our side."""
        return [Cancel(), *self._close(Ending(Outcome.CLIENT_ABORTED, "reset"), Closing.ABORT)]

    def _received_connecting(self, data: bytes) -> list[Command]:
        return [*self._received_early(data), *self._tell()]

    def _finished_connecting(self, _: None) -> list[Command]:
        self._client_finished = True
        return self._tell()

    def _tell(self) -> list[Command]:
        """Tell what the client has sent before there is an upstream, where nothing of it was known at the decision."""
        return [Tell(self._intake.kept, self._client_finished)] if self._greets else []

    def _connected(self, _: None) -> list[Command]:
        assert self._forward is not None
        self.state = State.JOINED
        data = self._intake.empty()
        sent = self._send_status(self._forward.reply_on_connect) if self._forward.reply_on_connect else []
        must_answer = self._hears_failures or bool(self._reply_to(Outcome.UPSTREAM_ABORTED))
        return [*sent, Join(data, self._forward, self._client_finished, must_answer)]

    def _connect_failed(self, failure: ConnectFailure) -> list[Command]:
        assert self._forward is not None
        sent = self._send_status(self._forward.reply_to(failure.outcome))
        ending = Ending(failure.outcome, failure.reason, self._status)
        return [*sent, *self._consult("connect_error", ending)]

    def _relay_ended(self, end: RelayEnd) -> list[Command]:
        self._client_finished = end.client_finished
        if end.cause is Cause.SILENT:
            sent = self._send(self._reply_to(Outcome.UPSTREAM_ABORTED))
            return [*sent, *self._consult("connect_error", Ending(Outcome.UPSTREAM_ABORTED, end.reason, self._status))]
        if end.cause is Cause.INACTIVE:
            return self._consult("inactivity_error", Ending(Outcome.INACTIVE, end.reason, self._status))
        self._has_sent = True
        outcome, how = _RELAY_ENDINGS[end.cause]
        return [_CANCEL, *self._close(Ending(end.outcome or outcome, end.reason, self._status), how)]

    def _reply_to(self, failed: Outcome) -> bytes:
        """The decision's last word to a client whose upstream was connected and has ``failed``."""
        forward = self._forward
        # Who has been told of the success takes what follows for the upstream's bytes.
        return b"" if forward is None or forward.reply_on_connect else forward.reply_to(failed)

    # Answering and closing

    def _consult(self, callback: Any, ending: Ending) -> list[Command]:
        """Ask the user's callback for a last word, unless the client has sent FIN, as it may not read it any more."""
        if self._client_finished:
            return [Cancel(), *self._close(ending)]
        self.state, self._ending = State.ANSWERING, ending
        return [Cancel(), Await(Deadline.ANSWER), Consult(callback)]

    def _answered(self, last_word: bytes) -> list[Command]:
        assert self._ending is not None
        return self._send(last_word) + self._close(self._ending)

    def _unanswered(self, limit: str) -> list[Command]:
        """Close without a last word: the user's callback took too long."""
        assert self._ending is not None
        return [Blame(f"no answer from the error callback within {limit}"), Cancel(), *self._close(self._ending)]

    def _gone(self, _: str | None) -> list[Command]:
        """End the session with the outcome that is already known: the client's connection is no longer its own."""
        assert self._ending is not None
        return [_CANCEL, *self._end(self._ending)]

    def _drained(self, _: None) -> list[Command]:
        """Close the client, as the drain time is over; an outcome that is already known stays."""
        self._has_sent = self._has_sent or self.state is State.JOINED
        return [Cancel(), *self._close(self._ending or Ending(Outcome.DRAINED, status=self._status))]

    def _abort(self, _: str | None) -> list[Command]:
        """Reset a client that does not take its last bytes in time."""
        return [Close(Closing.ABORT)]

    def _send(self, data: bytes) -> list[Command]:
        if not data:
            return []
        self._has_sent = True
        return [Send(data)]

    def _send_status(self, reply: bytes) -> list[Command]:
        """Send ``reply``; where the service has statuses, note it as the status of this client."""
        if reply and self._undecided_reply is not None:
            self._status = reply.decode("latin-1")
        return self._send(reply)

    def _close(self, ending: Ending, how: Closing | None = None) -> list[Command]:
        """Begin to close the client.

        :param how: None lingers if the client was sent anything and has not sent FIN, else closes.
        """
        if how is None:
            how = Closing.LINGER if self._has_sent and not self._client_finished else Closing.CLOSE
        self.state, self._ending = State.CLOSING, ending
        self._intake.empty()
        return [_AWAIT_CLOSE, Close(how)]

    def _end(self, ending: Ending) -> list[Command]:
        self.state, self._ending = State.ENDED, ending
        return [_AWAIT_NOTHING, Finish(ending)]


_Reaction = Callable[[Session, Any], list[Command]]

#: The reaction to each input in each state.  Inputs that are not listed are ignored.
TRANSITIONS: Final[dict[State, dict[Input, _Reaction]]] = {
    State.OPENING: {
        Input.ACCEPTED: Session._accepted,
        Input.OPENED: Session._opened,
        Input.BARRED: Session._not_admitted,
        Input.CLIENT_LOST: Session._lost_undecided,
        Input.TLS_FAILED: Session._tls_failed,
        Input.DEADLINE: Session._undecided,
        Input.DRAIN: Session._drained,
    },
    State.READING: {
        Input.MOVED: Session._moved,
        Input.RECEIVED: Session._read,
        Input.OUTPUT_FULL: Session._output_full,
        Input.OUTPUT_FREE: Session._output_free_reading,
        Input.CLIENT_FINISHED: Session._finished_reading,
        Input.CLIENT_LOST: Session._lost_undecided,
        Input.TLS_FAILED: Session._lost_undecided,
        Input.DEADLINE: Session._undecided,
        Input.DRAIN: Session._drained,
    },
    State.DECIDING: {
        Input.RECEIVED: Session._received_early,
        Input.OUTPUT_FULL: Session._output_full,
        Input.OUTPUT_FREE: Session._output_free,
        Input.CLIENT_FINISHED: Session._finished,
        Input.DECIDED: Session._decided,
        Input.FAULTED: Session._faulted,
        Input.CLIENT_LOST: Session._lost_undecided,
        Input.TLS_FAILED: Session._lost_undecided,
        Input.DEADLINE: Session._undecided,
        Input.DRAIN: Session._drained,
    },
    State.SECURING: {
        Input.OUTPUT_FULL: Session._output_full,
        Input.OUTPUT_FREE: Session._output_free,
        Input.SECURED: Session._secured,
        Input.BARRED: Session._not_admitted,
        Input.FAULTED: Session._faulted,
        Input.CLIENT_LOST: Session._lost_undecided,
        Input.TLS_FAILED: Session._tls_failed,
        Input.DEADLINE: Session._undecided,
        Input.DRAIN: Session._drained,
    },
    State.CONNECTING: {
        Input.RECEIVED: Session._received_connecting,
        Input.OUTPUT_FULL: Session._output_full,
        Input.OUTPUT_FREE: Session._output_free,
        Input.CLIENT_FINISHED: Session._finished_connecting,
        Input.CONNECTED: Session._connected,
        Input.CONNECT_FAILED: Session._connect_failed,
        Input.CLIENT_LOST: Session._lost_connecting,
        Input.TLS_FAILED: Session._lost_connecting,
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
        Input.CLIENT_LOST: Session._gone,
        Input.TLS_FAILED: Session._gone,
        Input.DEADLINE: Session._unanswered,
        Input.DRAIN: Session._drained,
    },
    State.CLOSING: {
        Input.LET_GO: Session._gone,
        Input.CLIENT_LOST: Session._gone,
        Input.TLS_FAILED: Session._gone,
        Input.DEADLINE: Session._abort,
        Input.DRAIN: Session._abort,
    },
    State.ENDED: {},
}

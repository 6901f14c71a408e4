"""What may happen to a session, and how a test plays it."""

from __future__ import annotations

from typing import Any

from proxymux.core.commands import (
    Ask,
    Await,
    Cause,
    Close,
    Closing,
    Command,
    Connect,
    ConnectFailure,
    Deadline,
    Finish,
    Input,
    Join,
    RelayEnd,
    State,
)
from proxymux.core.decision import Decision, Forward, Reject, Share, Terminate
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.session import Session

Happening = tuple[Input, Any]
#: What happens, and what the session wants done then.
Line = tuple[Happening, list[Command]]

FORWARD = Forward("db:1")
SHARE = Share(FORWARD.targets)
REFUSED = ConnectFailure("refused")
TIMED_OUT = ConnectFailure("every attempt timed out", outcome=Outcome.CONNECT_TIMEOUT)
DENIED = ConnectFailure("denied", outcome=Outcome.BAD_HANDSHAKE)

ACCEPTED: Happening = (Input.ACCEPTED, None)
TLS_FAILED: Happening = (Input.TLS_FAILED, "no shared cipher")
RESET: Happening = (Input.CLIENT_RESET, None)
OPENED: Happening = (Input.OPENED, None)
FIN: Happening = (Input.CLIENT_FINISHED, None)
LOST: Happening = (Input.CLIENT_LOST, "it left")
FULL: Happening = (Input.OUTPUT_FULL, None)
FREE: Happening = (Input.OUTPUT_FREE, None)
SECURED: Happening = (Input.SECURED, None)
MOVED: Happening = (Input.MOVED, None)
CONNECTED: Happening = (Input.CONNECTED, None)
LET_GO: Happening = (Input.LET_GO, None)
LATE: Happening = (Input.DEADLINE, "30 s")
DRAIN: Happening = (Input.DRAIN, None)

ABORT = Close(Closing.ABORT)
CLOSE = Close(Closing.CLOSE)
LINGER = Close(Closing.LINGER)
LIMIT = Await(Deadline.CLOSE)
NO_LIMIT = Await(None)


def barred(outcome: Outcome, reason: str) -> Happening:
    return Input.BARRED, Ending(outcome, reason)


def got(data: bytes) -> Happening:
    return Input.RECEIVED, data


def decided(decision: Decision) -> Happening:
    return Input.DECIDED, decision


def failed(failure: ConnectFailure) -> Happening:
    return Input.CONNECT_FAILED, failure


def ended(cause: Cause, finished: bool = False, reason: str | None = None) -> Happening:
    return Input.RELAY_ENDED, RelayEnd(cause, finished, reason)


def answered(last_word: bytes) -> Happening:
    return Input.ANSWERED, last_word


def finish(outcome: Outcome, reason: str | None = None, status: str | None = None) -> list[Command]:
    return [NO_LIMIT, Finish(Ending(outcome, reason, status))]


def play(*lines: Line, max_buffer: int = 100, greets: bool = False, undecided_reply: bytes | None = None) -> Session:
    session = Session(max_buffer, greets, undecided_reply)
    for number, (happening, commands) in enumerate(lines):
        assert session.take(*happening) == commands, f"line {number}: {happening}"
    return session


def play_to_the_end(
    *lines: Line, max_buffer: int = 100, greets: bool = False, undecided_reply: bytes | None = None
) -> None:
    """As play, and the session has ended with the last line, with its only Finish."""
    session = play(*lines, max_buffer=max_buffer, greets=greets, undecided_reply=undecided_reply)
    assert session.state is State.ENDED
    commands = [command for _, commands in lines for command in commands]
    assert [command for command in commands if isinstance(command, Finish)] == commands[-1:]
    assert session.ending == commands[-1].ending  # type: ignore[union-attr]


#: Until the decision is there.
ASKED: list[Line] = [(OPENED, []), (got(b"abc"), [Ask(b"abc")])]
#: Until connecting is under way.
DECIDED: list[Line] = [*ASKED, (decided(FORWARD), [NO_LIMIT, Connect(FORWARD)])]
#: Until both connections are joined.
JOINED: list[Line] = [*DECIDED, (CONNECTED, [Join(b"abc", FORWARD, False)])]
#: How each state is come to.
PATHS: dict[State, list[Happening]] = {
    State.OPENING: [],
    State.READING: [OPENED],
    State.DECIDING: [OPENED, got(b"abc")],
    State.SECURING: [OPENED, got(b"abc"), decided(Terminate("server.pem"))],
    State.CONNECTING: [OPENED, got(b"abc"), decided(FORWARD)],
    State.JOINED: [OPENED, got(b"abc"), decided(FORWARD), CONNECTED],
    State.ANSWERING: [OPENED, got(b"abc"), decided(FORWARD), failed(REFUSED)],
    State.CLOSING: [OPENED, got(b"abc"), decided(Reject(b"no"))],
    State.ENDED: [OPENED, LOST],
}
#: One of each kind of happening.
EVERYTHING: dict[Input, Any] = dict(
    [
        ACCEPTED,
        OPENED,
        barred(Outcome.REFUSED, "why"),
        got(b"xyz"),
        FIN,
        LOST,
        TLS_FAILED,
        RESET,
        FULL,
        FREE,
        decided(FORWARD),
        (Input.FAULTED, "it raised"),
        SECURED,
        MOVED,
        CONNECTED,
        failed(REFUSED),
        ended(Cause.COMPLETED),
        answered(b"sorry"),
        LET_GO,
        LATE,
        DRAIN,
    ]
)


def session_in(state: State) -> Session:
    session = Session(100)
    for happening in PATHS[state]:
        session.take(*happening)
    assert session.state is state
    return session

"""A session that goes on in another process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxymux.core.commands import Ask, Cause, Close, Closing, Command, Finish, Input, State
from proxymux.core.decision import NEED_DATA, Forward, Reply
from proxymux.core.outcome import Outcome
from proxymux.core.session import Session
from tests.core.sessions import CONNECTED, FIN, FULL, MOVED, OPENED, PATHS, decided, ended, got, session_in

ANY_BYTES = bytes(range(256))


def brought_to(*happenings: Any, **options: Any) -> Session:
    session = Session(1000, **options)
    for happening in happenings:
        session.take(*happening)
    return session


def moved(session: Session, **options: Any) -> Session:
    packed = session.pack()
    assert packed is not None
    other = Session(1000, **options)
    other.unpack(json.loads(json.dumps(packed)))
    return other


@pytest.mark.parametrize("state", State)
def test_it_moves_while_it_reads_or_is_joined(state: State) -> None:
    assert (session_in(state).pack() is not None) == (state in (State.READING, State.JOINED))


@pytest.mark.parametrize(
    "happenings",
    [
        [OPENED, FULL],
        [OPENED, got(b"x"), FIN],
    ],
)
def test_it_stays_where_another_process_could_not_go_on(happenings: list[Any]) -> None:
    assert brought_to(*happenings).pack() is None


def test_what_is_kept_is_decided_there_again() -> None:
    old = brought_to(OPENED, got(ANY_BYTES), decided(NEED_DATA))
    new = moved(old)
    assert new.take(*MOVED) == [Ask(ANY_BYTES)]
    assert new.take(*decided(NEED_DATA)) == []
    assert new.take(*got(b"!")) == [Ask(ANY_BYTES + b"!")]


def test_where_nothing_is_kept_nobody_is_asked() -> None:
    new = moved(brought_to(OPENED))
    assert new.take(*MOVED) == []
    assert new.take(*got(b"x")) == [Ask(b"x")]


def test_the_replies_are_counted_on_and_what_was_sent_is_known() -> None:
    old = brought_to(OPENED, got(b"abc"), decided(Reply(b"go on", consume=3)))
    new = moved(old)
    new.take(*MOVED)
    assert new.take(Input.DRAIN)[-1] == Close(Closing.LINGER)
    old = brought_to(OPENED)
    assert moved(old).take(Input.DRAIN)[-1] == Close(Closing.CLOSE)
    assert new._replies == 1


@pytest.mark.parametrize(
    ("forward", "word"),
    [
        (Forward("db:1", reply_on_failure=ANY_BYTES), ANY_BYTES),
        (Forward(["[::1]:1", "db:2"], reply_on_failure=b"no", reply_on_connect=b"yes"), b""),
        (Forward("unix:/run/db"), b""),
    ],
)
def test_the_last_word_of_a_decision_comes_with_it(forward: Forward, word: bytes) -> None:
    def last_commands(session: Session) -> list[Command]:
        return session.take(*ended(Cause.SILENT))

    old = brought_to(OPENED, got(b"abc"), decided(forward), CONNECTED)
    new = moved(old)
    assert repr(new) == "<Session joined, 0 bytes kept>"
    commands = last_commands(new)
    assert commands == last_commands(old)
    assert [command.data for command in commands if hasattr(command, "data")] == ([word] if word else [])


def test_the_status_of_a_gateway_comes_with_it() -> None:
    forward = Forward("db:1", reply_on_connect=b"200")
    old = brought_to(OPENED, got(b"abc"), decided(forward), CONNECTED, undecided_reply=b"400")
    new = moved(old, undecided_reply=b"400")
    new.take(*ended(Cause.COMPLETED))
    assert new.ending is not None
    assert (new.ending.outcome, new.ending.status) == (Outcome.COMPLETED, "200")
    (finish,) = [each for each in new.take(Input.LET_GO) if isinstance(each, Finish)]
    assert finish.ending is new.ending


def test_every_path_to_a_state_that_moves_is_whole() -> None:
    for state in (State.READING, State.JOINED):
        assert moved(brought_to(*PATHS[state])).state is state

"""Sessions, whatever happens: the table of states and inputs, and properties."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.commands import (
    Ask,
    Cause,
    Close,
    Command,
    Connect,
    Finish,
    Input,
    Join,
    JoinPool,
    Pause,
    RelayEnd,
    Resume,
    Send,
    StartTls,
    State,
)
from proxymux.core.decision import NEED_DATA, BadHandshake, Decision, Forward, Reject, Reply, Terminate
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.session import TRANSITIONS, Session
from tests.core.sessions import (
    CONNECTED,
    DENIED,
    DRAIN,
    EVERYTHING,
    FIN,
    FORWARD,
    LOST,
    OPENED,
    PATHS,
    REFUSED,
    SHARE,
    TIMED_OUT,
    decided,
    got,
    session_in,
)

# The table


def slots_of(thing: Any) -> dict[str, Any]:
    names = getattr(type(thing), "__slots__", None) or type(thing).__mypyc_attrs__  # a compiled class has no slots
    return {name: getattr(thing, name) for name in names}


def everything_in(session: Session) -> dict[str, Any]:
    return {**slots_of(session), "_intake": slots_of(session._intake)}


def test_the_table_has_every_state_and_the_tests_have_every_input() -> None:
    assert set(TRANSITIONS) == set(State) == set(PATHS)
    assert set(EVERYTHING) == set(Input)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("what", Input)
def test_an_input_that_has_no_place_in_a_state_changes_nothing(state: State, what: Input) -> None:
    session = session_in(state)
    before = everything_in(session)
    commands = session.take(what, EVERYTHING[what])
    if what not in TRANSITIONS[state]:
        assert commands == []
        assert everything_in(session) == before
    elif commands == []:
        # It has a place, so that it must at least have been noted.
        assert everything_in(session) != before or what in (Input.OUTPUT_FREE, Input.MOVED, Input.CLIENT_FINISHED)


@pytest.mark.parametrize("what", Input)
def test_nothing_happens_after_the_end(what: Input) -> None:
    session = session_in(State.ENDED)
    assert session.take(what, EVERYTHING[what]) == []
    assert session.state is State.ENDED


@pytest.mark.parametrize("state", State)
def test_a_session_shows_where_it_is_but_not_its_bytes(state: State) -> None:
    shown = repr(session_in(state))
    assert state.value in shown
    assert "abc" not in shown


def test_an_ended_session_keeps_no_bytes() -> None:
    assert "0 bytes" in repr(session_in(State.ENDED))
    assert "0 bytes" in repr(session_in(State.CLOSING))


# Properties

MAX_BUFFER = 20
LARGEST_CHUNK = 30

_decisions: st.SearchStrategy[Decision] = st.one_of(
    st.just(NEED_DATA),
    st.builds(Reply, st.binary(max_size=3), st.integers(0, MAX_BUFFER + 1)),
    st.builds(Reject, st.one_of(st.just(True), st.binary(max_size=3))),
    st.builds(BadHandshake, st.binary(max_size=3), st.just("a bad one")),
    st.just(SHARE),
    st.just(Terminate("server.pem")),
    st.builds(
        Forward,
        st.just("db:1"),
        data=st.one_of(st.none(), st.binary(max_size=3)),
        reply=st.binary(max_size=3),
        reply_on_connect=st.binary(max_size=3),
        reply_on_failure=st.binary(max_size=3),
        reply_on_timeout=st.one_of(st.none(), st.binary(max_size=3)),
        reply_on_denial=st.one_of(st.none(), st.binary(max_size=3)),
        tls_terminate=st.sampled_from([None, "server.pem"]),
    ),
)
_values: dict[Input, st.SearchStrategy[Any]] = {
    Input.BARRED: st.builds(Ending, st.sampled_from([Outcome.REFUSED, Outcome.BAD_HANDSHAKE])),
    Input.RECEIVED: st.one_of(
        st.binary(min_size=1, max_size=LARGEST_CHUNK), st.binary(min_size=LARGEST_CHUNK, max_size=LARGEST_CHUNK)
    ),
    Input.CLIENT_LOST: st.just("it left"),
    Input.TLS_FAILED: st.just("no shared cipher"),
    Input.DECIDED: _decisions,
    Input.FAULTED: st.just("it raised"),
    Input.CONNECT_FAILED: st.sampled_from([REFUSED, TIMED_OUT, DENIED]),
    Input.RELAY_ENDED: st.builds(RelayEnd, st.sampled_from(Cause), st.booleans()),
    Input.ANSWERED: st.binary(max_size=3),
    Input.DEADLINE: st.just("30 s"),
}


class Ledger:
    """Watches a session from outside and complains of whatever must never be."""

    def __init__(self, greets: bool, obedient: bool, undecided_reply: bytes | None) -> None:
        self.session = Session(MAX_BUFFER, greets, undecided_reply)
        self.obedient = obedient
        self.paused = False
        self.finished = 0
        self.connects = self.joins = 0
        self.asked: Ask | None = None
        self.forward: Forward | None = None
        #: What the client has sent and no step has consumed, as it is to reach the upstream.
        self.kept = b""

    def take(self, what: Input, value: Any) -> None:
        if what is Input.RECEIVED and self.obedient and self.paused:
            return
        before = self.session.state
        commands = self.session.take(what, value)
        self._note(before, what, value)
        for command in commands:
            assert not self.finished, f"{command} after Finish"
            self._check(command)
        if self.finished:
            assert self.session.state is State.ENDED
        self._check_buffer()

    def _note(self, before: State, what: Input, value: Any) -> None:
        if what is Input.RECEIVED and before in (State.READING, State.DECIDING, State.CONNECTING):
            self.kept += value
        if before is State.SECURING and what is Input.SECURED and self.forward is not None:
            self.kept = self.forward.data or b""
        if before is not State.DECIDING:
            return
        if what is Input.DECIDED:
            seen = len(self.asked.data or b"") if self.asked is not None else 0
            if isinstance(value, Reply) and value.consume <= seen:
                self.kept = self.kept[value.consume :]
            if isinstance(value, Forward):
                self.forward = value
                if value.data is not None and value.tls_terminate is None:
                    self.kept = value.data + self.kept[seen:]
        if what in (Input.DECIDED, Input.FAULTED):
            assert self.asked is not None
            self.asked = None

    def _check(self, command: Command) -> None:
        if isinstance(command, Ask):
            assert self.asked is None, "asked while a question is open"
            assert self.session.state is State.DECIDING
            assert command.data is None or command.data == self.kept[:MAX_BUFFER]
            assert command.data != b""
            self.asked = command
        elif isinstance(command, StartTls):
            assert command.data == self.kept, "bytes were lost or made up"
            self.kept = b""
            self.paused = False  # whoever begins TLS reads
        elif isinstance(command, Connect):
            self.connects += 1
            assert self.connects == 1
            assert command.forward is self.forward
        elif isinstance(command, Join):
            self.joins += 1
            assert (self.connects, self.joins) == (1, 1)
            assert command.data == self.kept, "bytes were lost or made up"
            assert command.forward is self.forward
        elif isinstance(command, JoinPool):
            self.joins += 1
            assert (self.connects, self.joins) == (0, 1)
            assert command.data == self.kept, "bytes were lost or made up"
        elif isinstance(command, Pause):
            assert not self.paused
            self.paused = True
        elif isinstance(command, Resume):
            assert self.paused
            self.paused = False
        elif isinstance(command, Send):
            assert command.data, "nothing was sent"
        elif isinstance(command, Close):
            assert self.session.state is State.CLOSING
        elif isinstance(command, Finish):
            self.finished += 1
            assert command.ending == self.session.ending

    def _check_buffer(self) -> None:
        if not self.obedient or self.session.state not in (State.READING, State.DECIDING, State.CONNECTING):
            return
        own = len(self.forward.data or b"") if self.forward is not None else 0
        # Before its last chunk it had less than the limit, or it would have paused.
        assert len(self.kept) - own <= MAX_BUFFER + LARGEST_CHUNK


def _inputs(data: st.DataObject, session: Session) -> Iterator[tuple[Input, Any]]:
    """What may happen next; more often than not something that counts in this state."""
    for _ in range(data.draw(st.integers(0, 30))):
        counts = list(TRANSITIONS[session.state]) or list(Input)
        likely = [
            what
            for what in counts
            if what not in (Input.CLIENT_LOST, Input.TLS_FAILED, Input.CLIENT_RESET, Input.DRAIN, Input.DEADLINE)
        ] or counts
        what = data.draw(st.one_of(st.sampled_from(likely), st.sampled_from(Input)))
        yield what, data.draw(_values.get(what, st.none()))


@settings(database=None, deadline=None, max_examples=300)
@given(st.data(), st.booleans(), st.booleans(), st.sampled_from([None, b"400", b""]))
def test_whatever_happens_a_session_ends_exactly_once_and_loses_no_byte(
    data: st.DataObject, greets: bool, obedient: bool, undecided_reply: bytes | None
) -> None:
    ledger = Ledger(greets, obedient, undecided_reply)
    for what, value in _inputs(data, ledger.session):
        ledger.take(what, value)
    ledger.take(*DRAIN)
    ledger.take(*LOST)
    assert ledger.finished == 1
    assert ledger.session.state is State.ENDED
    for what, value in EVERYTHING.items():
        ledger.take(what, value)
    assert ledger.finished == 1


@settings(database=None, deadline=None, max_examples=200)
@given(st.lists(st.binary(min_size=1, max_size=5), min_size=1, max_size=8), st.integers(1, 40), st.data())
def test_however_bytes_arrive_all_of_them_reach_the_upstream(
    chunks: list[bytes], enough: int, data: st.DataObject
) -> None:
    """A router that decides once it has enough bytes, sometimes late."""
    session = Session(1000)
    session.take(*OPENED)
    waiting: list[bytes] = []
    joined = b""
    inputs = [got(chunk) for chunk in chunks] + [FIN]
    while inputs or waiting:
        if waiting and (not inputs or data.draw(st.booleans())):
            happening = decided(FORWARD if len(waiting.pop()) >= enough else NEED_DATA)
        else:
            happening = inputs.pop(0)
        for command in session.take(*happening):
            if isinstance(command, Ask):
                waiting.append(command.data or b"")
    for command in session.take(*CONNECTED):
        assert isinstance(command, Join)
        joined = command.data
    everything = b"".join(chunks)
    assert joined == (everything if len(everything) >= enough else b"")

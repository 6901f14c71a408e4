from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    Pause,
    RelayEnd,
    Resume,
    Send,
    State,
)
from proxymux.core.decision import NEED_DATA, BadHandshake, Decision, Forward, Reject, Reply, Share
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.session import MAX_REPLIES, TRANSITIONS, Session

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
CONNECTED: Happening = (Input.CONNECTED, None)
LATE: Happening = (Input.DEADLINE, "30 s")
DRAIN: Happening = (Input.DRAIN, None)

ABORT = Close(Closing.ABORT)
CLOSE = Close(Closing.CLOSE)
LINGER = Close(Closing.LINGER)
LIMIT = Await(Deadline.LINGER)
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


# Forwarding


def test_a_client_is_forwarded_and_everything_ends_well() -> None:
    play_to_the_end(
        (OPENED, []),
        (got(b"abc"), [Ask(b"abc")]),
        (decided(FORWARD), [NO_LIMIT, Connect(FORWARD)]),
        (CONNECTED, [Join(b"abc", FORWARD, False)]),
        (ended(Cause.COMPLETED, True), [Cancel(), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.COMPLETED)]),
    )


def test_the_decider_is_asked_about_all_bytes_so_far_until_it_decides() -> None:
    play(
        (OPENED, []),
        (got(b"a"), [Ask(b"a")]),
        (decided(NEED_DATA), []),
        (got(b"b"), [Ask(b"ab")]),
        (decided(NEED_DATA), []),
        (got(b"c"), [Ask(b"abc")]),
        (decided(FORWARD), [NO_LIMIT, Connect(FORWARD)]),
        (CONNECTED, [Join(b"abc", FORWARD, False)]),
    )


def test_bytes_that_come_while_it_decides_are_kept_and_asked_about_at_once_if_it_wants_more() -> None:
    play(
        (OPENED, []),
        (got(b"a"), [Ask(b"a")]),
        (got(b"b"), []),
        (got(b"c"), []),
        (decided(NEED_DATA), [Ask(b"abc")]),
        (decided(NEED_DATA), []),
        (got(b"d"), [Ask(b"abcd")]),
    )


def test_bytes_that_come_while_it_decides_and_connects_are_replayed_too() -> None:
    play(
        *ASKED,
        (got(b"d"), []),
        (decided(FORWARD), [NO_LIMIT, Connect(FORWARD)]),
        (got(b"e"), []),
        (CONNECTED, [Join(b"abcde", FORWARD, False)]),
    )


@pytest.mark.parametrize("data", [b"XY", b""])
def test_data_takes_the_place_of_what_was_asked_about_and_later_bytes_follow(data: bytes) -> None:
    forward = Forward("db:1", data=data)
    play(
        *ASKED,
        (got(b"d"), []),
        (decided(forward), [NO_LIMIT, Connect(forward)]),
        (got(b"e"), []),
        (CONNECTED, [Join(data + b"de", forward, False)]),
    )


def test_reply_is_sent_at_the_decision_and_reply_on_connect_when_the_upstream_is_there() -> None:
    forward = Forward("db:1", reply=b"wait", reply_on_connect=b"go", reply_on_failure=b"no")
    play(
        *ASKED,
        (decided(forward), [NO_LIMIT, Send(b"wait"), Connect(forward)]),
        (CONNECTED, [Send(b"go"), Join(b"abc", forward, False)]),
    )


def test_a_fin_is_a_half_close_and_what_was_sent_is_still_decided_connected_and_replayed() -> None:
    play_to_the_end(
        *ASKED,
        (FIN, []),
        (decided(FORWARD), [NO_LIMIT, Connect(FORWARD)]),
        (CONNECTED, [Join(b"abc", FORWARD, True)]),
        (ended(Cause.COMPLETED, True), [Cancel(), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.COMPLETED)]),
    )


def test_a_fin_while_connecting_is_passed_on() -> None:
    play(*DECIDED, (FIN, []), (CONNECTED, [Join(b"abc", FORWARD, True)]))


def test_a_connection_nobody_answers_is_given_up_after_the_callbacks_last_word() -> None:
    play_to_the_end(
        *DECIDED,
        (failed(REFUSED), [Cancel(), Await(Deadline.ANSWER), Consult("connect_error")]),
        (answered(b"sorry"), [Send(b"sorry"), LIMIT, LINGER]),
        (FIN, [CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.UNREACHABLE, "refused")]),
    )


def test_a_connection_that_only_timed_out_has_an_outcome_of_its_own() -> None:
    play_to_the_end(
        *DECIDED,
        (failed(TIMED_OUT), [Cancel(), Await(Deadline.ANSWER), Consult("connect_error")]),
        (answered(b""), [LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.CONNECT_TIMEOUT, "every attempt timed out")]),
    )


def test_reply_on_failure_is_sent_before_the_callbacks_last_word() -> None:
    forward = Forward("db:1", reply_on_connect=b"go", reply_on_failure=b"no")
    play(
        *ASKED,
        (decided(forward), [NO_LIMIT, Connect(forward)]),
        (failed(REFUSED), [Send(b"no"), Cancel(), Await(Deadline.ANSWER), Consult("connect_error")]),
        (answered(b"sorry"), [Send(b"sorry"), LIMIT, LINGER]),
    )


def test_no_callback_runs_for_a_client_that_has_sent_fin() -> None:
    forward = Forward("db:1", reply_on_failure=b"no")
    play_to_the_end(
        *ASKED,
        (decided(forward), [NO_LIMIT, Connect(forward)]),
        (FIN, []),
        (failed(REFUSED), [Send(b"no"), Cancel(), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.UNREACHABLE, "refused")]),
    )


def test_a_callback_that_does_not_answer_in_time_is_blamed_and_given_up() -> None:
    play_to_the_end(
        *DECIDED,
        (failed(REFUSED), [Cancel(), Await(Deadline.ANSWER), Consult("connect_error")]),
        (LATE, [Blame("no answer from the error callback within 30 s"), Cancel(), LIMIT, CLOSE]),
        (answered(b"too late"), []),
        (LOST, [Cancel(), *finish(Outcome.UNREACHABLE, "refused")]),
    )


def test_a_client_that_leaves_while_the_callback_runs_keeps_its_outcome() -> None:
    play_to_the_end(
        *DECIDED,
        (failed(REFUSED), [Cancel(), Await(Deadline.ANSWER), Consult("connect_error")]),
        (got(b"never read"), []),
        (LOST, [Cancel(), *finish(Outcome.UNREACHABLE, "refused")]),
    )


def test_a_fin_while_the_callback_runs_still_gets_its_last_word() -> None:
    play(
        *DECIDED,
        (failed(REFUSED), [Cancel(), Await(Deadline.ANSWER), Consult("connect_error")]),
        (FIN, []),
        (answered(b"sorry"), [Send(b"sorry"), LIMIT, CLOSE]),
    )


# The ends of a relay


@pytest.mark.parametrize(
    ("cause", "outcome", "how"),
    [
        (Cause.CLIENT_ABORTED, Outcome.CLIENT_ABORTED, Closing.ABORT),
        (Cause.UPSTREAM_ABORTED, Outcome.UPSTREAM_ABORTED, Closing.RESET),
        (Cause.IDLE, Outcome.IDLE, Closing.CLOSE),
    ],
)
@pytest.mark.parametrize("finished", [False, True])
def test_what_ends_a_relay_is_the_outcome(cause: Cause, outcome: Outcome, how: Closing, finished: bool) -> None:
    play_to_the_end(
        *JOINED,
        (ended(cause, finished, "why"), [Cancel(), LIMIT, Close(how)]),
        (LOST, [Cancel(), *finish(outcome, "why")]),
    )


def test_a_client_that_has_not_finished_when_the_upstream_has_lingers_so_that_the_answer_arrives() -> None:
    play_to_the_end(
        *JOINED,
        (ended(Cause.COMPLETED, False), [Cancel(), LIMIT, LINGER]),
        (got(b"never read"), []),
        (FIN, [CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.COMPLETED)]),
    )


def test_an_upstream_that_closes_without_a_byte_is_a_connect_error() -> None:
    play_to_the_end(
        *JOINED,
        (ended(Cause.SILENT, reason="closed"), [Cancel(), Await(Deadline.ANSWER), Consult("connect_error")]),
        (answered(b"sorry"), [Send(b"sorry"), LIMIT, LINGER]),
        (LOST, [Cancel(), *finish(Outcome.UPSTREAM_ABORTED, "closed")]),
    )


def test_an_upstream_whose_first_byte_does_not_come_is_an_inactivity_error() -> None:
    play_to_the_end(
        *JOINED,
        (ended(Cause.INACTIVE, reason="1 s"), [Cancel(), Await(Deadline.ANSWER), Consult("inactivity_error")]),
        (answered(b""), [LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.INACTIVE, "1 s")]),
    )


@pytest.mark.parametrize("cause", [Cause.SILENT, Cause.INACTIVE])
def test_neither_runs_a_callback_for_a_client_that_has_sent_fin(cause: Cause) -> None:
    session = play(*JOINED, (ended(cause, finished=True), [Cancel(), LIMIT, CLOSE]))
    assert session.state is State.CLOSING


def test_what_happens_to_the_client_while_joined_is_the_relays_business() -> None:
    play(*JOINED, (got(b"x"), []), (FIN, []), (LOST, []), (FULL, []), (FREE, []), (LATE, []))


# Rejecting


def test_a_client_is_rejected_without_a_word() -> None:
    play_to_the_end(
        *ASKED,
        (decided(Reject()), [LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.REJECTED)]),
    )


def test_a_last_word_lingers_until_the_client_has_sent_fin() -> None:
    play_to_the_end(
        *ASKED,
        (decided(Reject(b"no")), [Send(b"no"), LIMIT, LINGER]),
        (got(b"never read"), []),
        (FIN, [CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.REJECTED)]),
    )


def test_a_last_word_to_a_client_that_has_sent_fin_need_not_linger() -> None:
    play_to_the_end(
        *ASKED,
        (FIN, []),
        (decided(Reject(b"no")), [Send(b"no"), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.REJECTED)]),
    )


def test_a_client_that_does_not_finish_is_closed_and_one_that_does_not_go_even_then_is_reset() -> None:
    play_to_the_end(
        *ASKED,
        (decided(Reject(b"no")), [Send(b"no"), LIMIT, LINGER]),
        (LATE, [LIMIT, CLOSE]),
        (LATE, [ABORT]),
        (LOST, [Cancel(), *finish(Outcome.REJECTED)]),
    )


def test_a_client_that_does_not_go_when_it_is_closed_is_reset() -> None:
    play(*ASKED, (decided(Reject()), [LIMIT, CLOSE]), (LATE, [ABORT]))


# A negotiation of several steps


def test_a_reply_is_sent_its_bytes_dropped_and_the_rest_asked_about_at_once() -> None:
    play(
        *ASKED,
        (decided(Reply(b"ok", consume=2)), [Send(b"ok"), Ask(b"c")]),
        (decided(NEED_DATA), []),
        (got(b"d"), [Ask(b"cd")]),
        (decided(FORWARD), [NO_LIMIT, Connect(FORWARD)]),
        (CONNECTED, [Join(b"cd", FORWARD, False)]),
    )


def test_a_reply_that_consumes_everything_waits() -> None:
    play(
        *ASKED,
        (decided(Reply(b"ok", consume=3)), [Send(b"ok")]),
        (got(b"d"), [Ask(b"d")]),
    )


def test_a_reply_that_consumes_nothing_waits() -> None:
    play(
        *ASKED,
        (decided(Reply(b"ok")), [Send(b"ok")]),
        (got(b"d"), [Ask(b"abcd")]),
    )


def test_a_reply_that_consumes_nothing_is_followed_by_what_has_come_since() -> None:
    play(*ASKED, (got(b"d"), []), (decided(Reply(b"ok")), [Send(b"ok"), Ask(b"abcd")]))


def test_a_reply_may_be_empty() -> None:
    play(*ASKED, (decided(Reply(consume=1)), [Ask(b"bc")]))


def test_data_after_a_reply_takes_the_place_of_what_was_left() -> None:
    forward = Forward("db:1", data=b"XY")
    play(
        *ASKED,
        (got(b"d"), []),
        (decided(Reply(consume=1)), [Ask(b"bcd")]),
        (got(b"e"), []),
        (decided(forward), [NO_LIMIT, Connect(forward)]),
        (CONNECTED, [Join(b"XYe", forward, False)]),
    )


def test_to_consume_more_than_there_was_is_the_routers_fault() -> None:
    problem = "consume: 4 of 3 bytes"
    play_to_the_end(
        *ASKED,
        (got(b"d"), []),
        (decided(Reply(b"ok", consume=4)), [Blame(problem, fault=True), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.ROUTER_ERROR, problem)]),
    )


def test_a_router_that_goes_in_circles_is_stopped() -> None:
    session = play((OPENED, []))
    for _ in range(MAX_REPLIES):
        assert session.take(*got(b"a")) == [Ask(b"a")]
        assert session.take(*decided(Reply(b"b", consume=1))) == [Send(b"b")]
    assert session.take(*got(b"a")) == [Ask(b"a")]
    problem = f"more than {MAX_REPLIES} replies without a decision"
    assert session.take(*decided(Reply(b"b", consume=1))) == [Blame(problem, fault=True), LIMIT, LINGER]
    assert session.ending == Ending(Outcome.ROUTER_ERROR, problem)


def test_a_client_that_has_sent_fin_and_is_replied_to_without_a_decision_is_undecided() -> None:
    play_to_the_end(
        *ASKED,
        (FIN, []),
        (decided(Reply(b"ok", consume=3)), [Send(b"ok"), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.UNDECIDED, "client finished before a decision")]),
    )


# Greeting


def test_a_router_that_greets_is_asked_before_any_byte() -> None:
    play(
        (OPENED, [Ask(None)]),
        (decided(Reply(b"welcome")), [Send(b"welcome")]),
        (got(b"a"), [Ask(b"a")]),
        greets=True,
    )


def test_a_router_that_greets_may_have_nothing_to_say() -> None:
    play((OPENED, [Ask(None)]), (decided(NEED_DATA), []), (got(b"a"), [Ask(b"a")]), greets=True)


def test_a_router_that_greets_may_forward_at_once_for_an_upstream_that_speaks_first() -> None:
    play(
        (OPENED, [Ask(None)]),
        (got(b"a"), []),
        (decided(FORWARD), [NO_LIMIT, Connect(FORWARD)]),
        (CONNECTED, [Join(b"a", FORWARD, False)]),
        greets=True,
    )


def test_a_router_that_greets_may_refuse() -> None:
    play_to_the_end(
        (OPENED, [Ask(None)]),
        (decided(Reject(b"no")), [Send(b"no"), LIMIT, LINGER]),
        (LOST, [Cancel(), *finish(Outcome.REJECTED)]),
        greets=True,
    )


def test_bytes_that_come_before_the_greeting_are_asked_about_after_it() -> None:
    play(
        (OPENED, [Ask(None)]),
        (got(b"a"), []),
        (decided(Reply(b"welcome")), [Send(b"welcome"), Ask(b"a")]),
        greets=True,
    )


def test_a_greeting_has_no_bytes_to_consume() -> None:
    play(
        (OPENED, [Ask(None)]),
        (got(b"a"), []),
        (decided(Reply(b"welcome", consume=1)), [Blame("consume: 1 of 0 bytes", fault=True), LIMIT, CLOSE]),
        greets=True,
    )


# Not coming to a decision


def test_a_client_that_finishes_before_a_decision_is_undecided() -> None:
    play_to_the_end(
        *ASKED,
        (decided(NEED_DATA), []),
        (FIN, [LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.UNDECIDED, "client finished before a decision")]),
    )


def test_a_client_that_finishes_without_a_byte_is_undecided_and_nobody_is_asked() -> None:
    play((OPENED, []), (FIN, [LIMIT, CLOSE]))


def test_a_client_that_has_finished_is_undecided_when_the_router_wants_more() -> None:
    play(*ASKED, (FIN, []), (decided(NEED_DATA), [LIMIT, CLOSE]))


def test_a_fin_comes_after_bytes_that_are_still_to_be_asked_about() -> None:
    play(*ASKED, (got(b"d"), []), (FIN, []), (decided(NEED_DATA), [Ask(b"abcd")]), (decided(NEED_DATA), [LIMIT, CLOSE]))


def test_a_client_that_sends_nothing_is_closed_and_the_router_not_blamed() -> None:
    play_to_the_end(
        (OPENED, []),
        (LATE, [Cancel(), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.UNDECIDED, "no decision within 30 s")]),
    )


def test_a_router_that_keeps_waiting_for_more_is_blamed() -> None:
    problem = "no decision within 30 s"
    play_to_the_end(
        *ASKED,
        (decided(NEED_DATA), []),
        (LATE, [Blame(problem), Cancel(), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.UNDECIDED, problem)]),
    )


def test_a_router_that_does_not_answer_is_blamed_and_cancelled() -> None:
    problem = "no decision within 30 s"
    play_to_the_end(
        *ASKED,
        (LATE, [Blame(problem), Cancel(), LIMIT, CLOSE]),
        (decided(FORWARD), []),
        (LOST, [Cancel(), *finish(Outcome.UNDECIDED, problem)]),
    )


def test_a_handshake_that_takes_too_long_is_undecided_and_the_router_not_blamed() -> None:
    play((LATE, [Cancel(), LIMIT, CLOSE]))


@pytest.mark.parametrize("lines", [[], [(OPENED, [])], ASKED, [*ASKED, (decided(NEED_DATA), [])]], ids=len)
def test_a_client_that_leaves_before_a_decision_cancels_it(lines: list[Line]) -> None:
    play_to_the_end(*lines, (LOST, [Cancel(), *finish(Outcome.UNDECIDED, "it left")]))


def test_a_client_that_leaves_while_connecting_cancels_it_and_no_callback_runs() -> None:
    play_to_the_end(*DECIDED, (LOST, [Cancel(), *finish(Outcome.CLIENT_ABORTED, "it left")]), (CONNECTED, []))


def test_a_decider_that_fails_costs_the_client() -> None:
    play_to_the_end(
        *ASKED,
        ((Input.FAULTED, "router.py:3: proxy raised"), [LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.ROUTER_ERROR, "router.py:3: proxy raised")]),
    )


def test_a_decider_that_fails_after_a_reply_lingers_so_that_the_reply_arrives() -> None:
    play(
        *ASKED,
        (decided(Reply(b"ok", consume=1)), [Send(b"ok"), Ask(b"bc")]),
        ((Input.FAULTED, "it raised"), [LIMIT, LINGER]),
    )


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.BAD_HANDSHAKE])
def test_a_client_that_is_barred_never_meets_the_decider(outcome: Outcome) -> None:
    play_to_the_end(
        (barred(outcome, "why"), [LIMIT, CLOSE]),
        (OPENED, []),
        (got(b"a"), []),
        (LOST, [Cancel(), *finish(outcome, "why")]),
    )


# A handshake


def test_a_bad_handshake_is_told_its_last_word_which_lingers() -> None:
    play_to_the_end(
        *ASKED,
        (decided(BadHandshake(b"401", "not base64")), [Send(b"401"), LIMIT, LINGER]),
        (got(b"more"), []),
        (FIN, [CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.BAD_HANDSHAKE, "not base64", "401")]),
    )


def test_a_bad_handshake_of_a_client_that_has_sent_fin_need_not_linger() -> None:
    play_to_the_end(
        *ASKED,
        (FIN, []),
        (decided(BadHandshake(b"401", "not base64")), [Send(b"401"), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.BAD_HANDSHAKE, "not base64", "401")]),
    )


def test_a_bad_handshake_may_have_no_last_word() -> None:
    play(*ASKED, (decided(BadHandshake(b"", "why")), [LIMIT, CLOSE]))


NO_LINE = "client finished before a decision"
NOT_IN_TIME = "no decision within 30 s"


def test_a_client_that_finishes_without_its_handshake_is_told() -> None:
    play_to_the_end(
        (OPENED, []),
        (got(b"abc"), [Ask(b"abc")]),
        (decided(NEED_DATA), []),
        (FIN, [Send(b"400"), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.BAD_HANDSHAKE, NO_LINE, "400")]),
        undecided_reply=b"400",
    )


def test_a_client_that_finishes_without_a_byte_is_told() -> None:
    play_to_the_end(
        (OPENED, []),
        (FIN, [Send(b"400"), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.BAD_HANDSHAKE, NO_LINE, "400")]),
        undecided_reply=b"400",
    )


def test_a_client_that_has_finished_while_it_was_looked_at_is_told() -> None:
    play(
        *ASKED,
        (FIN, []),
        (decided(NEED_DATA), [Send(b"400"), LIMIT, CLOSE]),
        undecided_reply=b"400",
    )


@pytest.mark.parametrize("data", [b"", b"abc"])
def test_a_client_that_takes_too_long_is_told_and_nobody_else_is_to_blame(data: bytes) -> None:
    some: list[Line] = [(got(data), [Ask(data)]), (decided(NEED_DATA), [])] if data else []
    play_to_the_end(
        (OPENED, []),
        *some,
        (LATE, [Cancel(), Send(b"400"), LIMIT, LINGER]),
        (FIN, [CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.BAD_HANDSHAKE, NOT_IN_TIME, "400")]),
        undecided_reply=b"400",
    )


def test_a_client_whose_decision_takes_too_long_is_told_and_it_is_cancelled() -> None:
    play_to_the_end(
        *ASKED,
        (LATE, [Cancel(), Send(b"400"), LIMIT, LINGER]),
        (decided(FORWARD), []),
        (LATE, [LIMIT, CLOSE]),
        (LATE, [ABORT]),
        (LOST, [Cancel(), *finish(Outcome.BAD_HANDSHAKE, NOT_IN_TIME, "400")]),
        undecided_reply=b"400",
    )


def test_a_client_that_sends_more_than_a_handshake_may_have_is_told() -> None:
    problem = "no decision within 5 bytes (--max-buffer)"
    play_to_the_end(
        (OPENED, []),
        (got(b"abcdef"), [Pause(), Ask(b"abcde")]),
        (decided(NEED_DATA), [Blame(problem), Send(b"400"), LIMIT, LINGER]),
        (LOST, [Cancel(), *finish(Outcome.BAD_HANDSHAKE, problem, "400")]),
        max_buffer=5,
        undecided_reply=b"400",
    )


def test_a_client_that_is_not_in_yet_is_told_nothing() -> None:
    play_to_the_end(
        (LATE, [Cancel(), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.UNDECIDED, "no decision within 30 s")]),
        undecided_reply=b"400",
    )


def test_a_client_that_leaves_in_its_handshake_is_undecided() -> None:
    play_to_the_end(*ASKED, (LOST, [Cancel(), *finish(Outcome.UNDECIDED, "it left")]), undecided_reply=b"400")


def test_a_drain_in_a_handshake_tells_the_client_nothing() -> None:
    play(*ASKED, (DRAIN, [Cancel(), LIMIT, CLOSE]), undecided_reply=b"400")


@pytest.mark.parametrize(("failure", "reply"), [(REFUSED, b"502"), (TIMED_OUT, b"504"), (DENIED, b"401")])
def test_each_failure_to_connect_has_a_reply_of_its_own(failure: ConnectFailure, reply: bytes) -> None:
    forward = Forward("db:1", reply_on_failure=b"502", reply_on_timeout=b"504", reply_on_denial=b"401")
    play_to_the_end(
        *ASKED,
        (decided(forward), [NO_LIMIT, Connect(forward)]),
        (failed(failure), [Send(reply), Cancel(), Await(Deadline.ANSWER), Consult("connect_error")]),
        (answered(b""), [LIMIT, LINGER]),
        (LOST, [Cancel(), *finish(failure.outcome, failure.reason, reply.decode())]),
        undecided_reply=b"400",
    )


def test_a_status_is_remembered_to_the_end_where_the_service_answers_with_one() -> None:
    forward = Forward("db:1", reply_on_connect=b"200")
    lines: list[Line] = [
        *ASKED,
        (decided(forward), [NO_LIMIT, Connect(forward)]),
        (CONNECTED, [Send(b"200"), Join(b"abc", forward, False)]),
        (ended(Cause.COMPLETED, True), [Cancel(), LIMIT, CLOSE]),
    ]
    play_to_the_end(*lines, (LOST, [Cancel(), *finish(Outcome.COMPLETED, None, "200")]), undecided_reply=b"400")
    play_to_the_end(*lines, (LOST, [Cancel(), *finish(Outcome.COMPLETED)]))


# The beginning and the end of a connection


def test_the_first_deadline_runs_from_the_accept() -> None:
    play((ACCEPTED, [Await(Deadline.DECISION)]), *ASKED)


def test_a_failed_tls_handshake_is_a_bad_one() -> None:
    play_to_the_end(
        (ACCEPTED, [Await(Deadline.DECISION)]),
        (TLS_FAILED, finish(Outcome.BAD_HANDSHAKE, "TLS: no shared cipher")),
    )


def test_tls_that_fails_later_is_a_lost_client() -> None:
    play_to_the_end(*ASKED, (TLS_FAILED, [Cancel(), *finish(Outcome.UNDECIDED, "no shared cipher")]))
    play_to_the_end(*DECIDED, (TLS_FAILED, [Cancel(), *finish(Outcome.CLIENT_ABORTED, "no shared cipher")]))


def test_a_client_found_to_have_reset_while_connecting_is_closed_at_once() -> None:
    play_to_the_end(
        *DECIDED,
        (RESET, [Cancel(), LIMIT, ABORT]),
        (CONNECTED, []),
        (LOST, [Cancel(), *finish(Outcome.CLIENT_ABORTED, "reset")]),
    )


# Sharing


def test_a_client_that_shares_is_joined_to_the_pool_with_what_it_has_sent() -> None:
    play_to_the_end(
        (OPENED, [Ask(None)]),
        (got(b"abc"), []),
        (FIN, []),
        (decided(SHARE), [NO_LIMIT, JoinPool(SHARE, b"abc", True)]),
        (ended(Cause.COMPLETED, True), [Cancel(), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.COMPLETED)]),
        greets=True,
    )


# How much is kept


def test_a_router_that_wants_more_than_max_buffer_is_blamed() -> None:
    problem = "no decision within 4 bytes (--max-buffer)"
    play_to_the_end(
        (OPENED, []),
        (got(b"abc"), [Ask(b"abc")]),
        (decided(NEED_DATA), []),
        (got(b"d"), [Ask(b"abcd")]),
        (decided(NEED_DATA), []),
        (got(b"e"), [Pause(), Ask(b"abcd")]),
        (decided(NEED_DATA), [Blame(problem), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.UNDECIDED, problem)]),
        max_buffer=4,
    )


def test_a_chunk_larger_than_max_buffer_can_still_be_decided_on_its_beginning() -> None:
    play(
        (OPENED, []),
        (got(b"abcdef"), [Pause(), Ask(b"abcd")]),
        (decided(FORWARD), [NO_LIMIT, Connect(FORWARD)]),
        (CONNECTED, [Join(b"abcdef", FORWARD, False)]),
        max_buffer=4,
    )


def test_data_takes_the_place_of_the_beginning_that_was_asked_about_only() -> None:
    forward = Forward("db:1", data=b"XY")
    play(
        (OPENED, []),
        (got(b"abcdef"), [Pause(), Ask(b"abcd")]),
        (decided(forward), [NO_LIMIT, Connect(forward)]),
        (CONNECTED, [Join(b"XYef", forward, False)]),
        max_buffer=4,
    )


def test_a_step_that_consumes_makes_room_for_the_rest_of_a_large_chunk() -> None:
    play(
        (OPENED, []),
        (got(b"abcdef"), [Pause(), Ask(b"abcd")]),
        (decided(Reply(consume=3)), [Resume(), Ask(b"def")]),
        (decided(FORWARD), [NO_LIMIT, Connect(FORWARD)]),
        max_buffer=4,
    )


def test_steps_that_consume_nothing_do_not_get_around_max_buffer() -> None:
    problem = "no decision within 4 bytes (--max-buffer)"
    play(
        (OPENED, []),
        (got(b"abcde"), [Pause(), Ask(b"abcd")]),
        (decided(Reply(b"ok")), [Send(b"ok"), Blame(problem), LIMIT, LINGER]),
        max_buffer=4,
    )


def test_reading_pauses_while_deciding_and_goes_on_when_more_is_wanted() -> None:
    play(
        (OPENED, []),
        (got(b"ab"), [Ask(b"ab")]),
        (got(b"cd"), [Pause()]),
        (decided(NEED_DATA), [Ask(b"abcd")]),
        (decided(NEED_DATA), [Resume()]),
        max_buffer=4,
    )


def test_reading_pauses_while_connecting_and_nobody_is_closed_for_it() -> None:
    session = play(
        *DECIDED,
        (got(b"d"), [Pause()]),
        (got(b"was under way"), []),
        (CONNECTED, [Join(b"abcdwas under way", FORWARD, False)]),
        max_buffer=4,
    )
    assert session.state is State.JOINED


def test_what_is_sent_and_not_read_pauses_the_client_and_the_decider() -> None:
    play(
        *ASKED,
        (decided(Reply(b"ok", consume=3)), [Send(b"ok")]),
        (FULL, [Pause()]),
        (got(b"was under way"), []),
        (FREE, [Resume(), Ask(b"was under way")]),
    )


def test_a_decision_that_comes_while_the_client_does_not_read_is_carried_out() -> None:
    play(*ASKED, (FULL, [Pause()]), (decided(FORWARD), [NO_LIMIT, Connect(FORWARD)]), (FREE, [Resume()]))


def test_a_client_that_does_not_read_is_not_asked_about_until_it_does() -> None:
    play(
        *ASKED,
        (got(b"d"), []),
        (FULL, [Pause()]),
        (decided(NEED_DATA), []),
        (FREE, [Resume(), Ask(b"abcd")]),
    )


def test_a_client_that_does_not_read_and_has_sent_fin_is_still_decided_on_later() -> None:
    play(
        *ASKED,
        (got(b"d"), []),
        (FULL, [Pause()]),
        (decided(NEED_DATA), []),
        (FIN, []),
        (FREE, [Resume(), Ask(b"abcd")]),
        (decided(FORWARD), [NO_LIMIT, Connect(FORWARD)]),
        (CONNECTED, [Join(b"abcd", FORWARD, True)]),
    )


# Draining

PATHS: dict[State, list[Happening]] = {
    State.OPENING: [],
    State.READING: [OPENED],
    State.DECIDING: [OPENED, got(b"abc")],
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
        CONNECTED,
        failed(REFUSED),
        ended(Cause.COMPLETED),
        answered(b"sorry"),
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


@pytest.mark.parametrize("state", [State.OPENING, State.READING, State.DECIDING, State.CONNECTING, State.JOINED])
def test_a_drain_ends_whatever_has_no_outcome_yet(state: State) -> None:
    session = session_in(state)
    assert session.take(*DRAIN) == [Cancel(), LIMIT, CLOSE]
    assert session.take(*LOST) == [Cancel(), *finish(Outcome.DRAINED)]


def test_a_drain_leaves_an_outcome_that_is_known() -> None:
    session = session_in(State.ANSWERING)
    assert session.take(*DRAIN) == [Cancel(), LIMIT, CLOSE]
    assert session.take(*LOST) == [Cancel(), *finish(Outcome.UNREACHABLE, "refused")]


def test_a_drain_resets_what_is_closing_already() -> None:
    session = session_in(State.CLOSING)
    assert session.take(*DRAIN) == [ABORT]
    assert session.take(*LOST) == [Cancel(), *finish(Outcome.REJECTED)]


# The table


def slots_of(thing: Any) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in type(thing).__slots__}


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
        assert everything_in(session) != before or what in (Input.OUTPUT_FREE, Input.CLIENT_FINISHED)


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
    st.builds(
        Forward,
        st.just("db:1"),
        data=st.one_of(st.none(), st.binary(max_size=3)),
        reply=st.binary(max_size=3),
        reply_on_connect=st.binary(max_size=3),
        reply_on_failure=st.binary(max_size=3),
        reply_on_timeout=st.one_of(st.none(), st.binary(max_size=3)),
        reply_on_denial=st.one_of(st.none(), st.binary(max_size=3)),
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
        if before is not State.DECIDING:
            return
        if what is Input.DECIDED:
            seen = len(self.asked.data or b"") if self.asked is not None else 0
            if isinstance(value, Reply) and value.consume <= seen:
                self.kept = self.kept[value.consume :]
            if isinstance(value, Forward):
                self.forward = value
                if value.data is not None:
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

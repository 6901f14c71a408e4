from __future__ import annotations

import pytest

from proxymux.core.commands import (
    Ask,
    Await,
    Blame,
    Cancel,
    Cause,
    Close,
    Closing,
    Connect,
    Consult,
    Deadline,
    Join,
    JoinPool,
    Send,
    State,
    Tell,
)
from proxymux.core.decision import NEED_DATA, Forward, Reject, Reply
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.session import MAX_REPLIES, Session
from tests.core.sessions import (
    ABORT,
    ACCEPTED,
    ASKED,
    CLOSE,
    CONNECTED,
    DECIDED,
    DRAIN,
    FIN,
    FORWARD,
    FREE,
    FULL,
    JOINED,
    LATE,
    LET_GO,
    LIMIT,
    LINGER,
    LOST,
    NO_LIMIT,
    OPENED,
    REFUSED,
    RESET,
    SHARE,
    TIMED_OUT,
    TLS_FAILED,
    answered,
    decided,
    ended,
    failed,
    finish,
    got,
    play,
    play_to_the_end,
    session_in,
)

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
        (LET_GO, [Cancel(), *finish(Outcome.UNREACHABLE, "refused")]),
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
        (LET_GO, [Cancel(), *finish(Outcome.COMPLETED)]),
    )


def test_an_upstream_that_closes_without_a_byte_is_a_connect_error() -> None:
    play_to_the_end(
        *JOINED,
        (ended(Cause.SILENT, reason="closed"), [Cancel(), Await(Deadline.ANSWER), Consult("connect_error")]),
        (answered(b"sorry"), [Send(b"sorry"), LIMIT, LINGER]),
        (LOST, [Cancel(), *finish(Outcome.UPSTREAM_ABORTED, "closed")]),
    )


@pytest.mark.parametrize(
    ("forward", "hears", "must_answer"),
    [
        (FORWARD, False, False),
        (FORWARD, True, True),
        (Forward("db:1", reply_on_failure=b"no"), False, True),
        (Forward("db:1", reply_on_connect=b"go", reply_on_failure=b"no"), False, False),
        (Forward("db:1", reply_on_connect=b"go", reply_on_failure=b"no"), True, True),
    ],
)
def test_an_upstream_must_answer_only_where_somebody_wants_to_know(
    forward: Forward, hears: bool, must_answer: bool
) -> None:
    session = Session(100, hears_failures=hears)
    for happening in (OPENED, got(b"abc"), decided(forward)):
        session.take(*happening)
    assert session.take(*CONNECTED)[-1] == Join(b"abc", forward, False, must_answer)


def test_reply_on_failure_is_sent_for_an_upstream_that_ends_without_a_byte_before_the_callbacks_last_word() -> None:
    forward = Forward("db:1", reply_on_failure=b"no")
    play(
        *ASKED,
        (decided(forward), [NO_LIMIT, Connect(forward)]),
        (CONNECTED, [Join(b"abc", forward, False, True)]),
        (ended(Cause.SILENT), [Send(b"no"), Cancel(), Await(Deadline.ANSWER), Consult("connect_error")]),
        (answered(b"sorry"), [Send(b"sorry"), LIMIT, LINGER]),
    )


def test_a_client_that_was_told_of_the_success_is_not_told_of_a_failure() -> None:
    forward = Forward("db:1", reply_on_connect=b"go", reply_on_failure=b"no")
    play(
        *ASKED,
        (decided(forward), [NO_LIMIT, Connect(forward)]),
        (CONNECTED, [Send(b"go"), Join(b"abc", forward, False)]),
        (ended(Cause.SILENT), [Cancel(), Await(Deadline.ANSWER), Consult("connect_error")]),
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


def test_a_last_word_lingers_without_the_session_which_is_over_once_it_is_sent() -> None:
    play_to_the_end(
        *ASKED,
        (decided(Reject(b"no")), [Send(b"no"), LIMIT, LINGER]),
        (got(b"never read"), []),
        (LET_GO, [Cancel(), *finish(Outcome.REJECTED)]),
    )


def test_a_last_word_to_a_client_that_has_sent_fin_need_not_linger() -> None:
    play_to_the_end(
        *ASKED,
        (FIN, []),
        (decided(Reject(b"no")), [Send(b"no"), LIMIT, CLOSE]),
        (LOST, [Cancel(), *finish(Outcome.REJECTED)]),
    )


def test_a_client_that_is_lost_before_its_last_word_is_sent_ends_its_session_too() -> None:
    play_to_the_end(
        *ASKED,
        (decided(Reject(b"no")), [Send(b"no"), LIMIT, LINGER]),
        (FIN, []),
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
        (decided(FORWARD), [NO_LIMIT, Connect(FORWARD), Tell(b"a", False)]),
        (CONNECTED, [Join(b"a", FORWARD, False)]),
        greets=True,
    )


def test_a_service_that_greets_tells_what_its_client_does_while_it_waits_for_an_upstream() -> None:
    play(
        (OPENED, [Ask(None)]),
        (decided(FORWARD), [NO_LIMIT, Connect(FORWARD)]),
        (got(b"a"), [Tell(b"a", False)]),
        (got(b"b"), [Tell(b"ab", False)]),
        (FIN, [Tell(b"ab", True)]),
        (CONNECTED, [Join(b"ab", FORWARD, True)]),
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


# Draining


@pytest.mark.parametrize("state", [State.OPENING, State.READING, State.DECIDING, State.CONNECTING, State.JOINED])
def test_a_drain_ends_whatever_has_no_outcome_yet(state: State) -> None:
    session = session_in(state)
    assert session.take(*DRAIN) == [Cancel(), LIMIT, LINGER if state is State.JOINED else CLOSE]
    assert session.take(*LOST) == [Cancel(), *finish(Outcome.DRAINED)]


def test_a_drain_lingers_where_the_client_was_sent_anything() -> None:
    session = play((OPENED, []), (got(b"abc"), [Ask(b"abc")]), (decided(Reply(b"go on")), [Send(b"go on")]))
    assert session.take(*DRAIN) == [Cancel(), LIMIT, LINGER]


def test_a_drain_leaves_an_outcome_that_is_known() -> None:
    session = session_in(State.ANSWERING)
    assert session.take(*DRAIN) == [Cancel(), LIMIT, CLOSE]
    assert session.take(*LOST) == [Cancel(), *finish(Outcome.UNREACHABLE, "refused")]


def test_a_drain_resets_what_is_closing_already() -> None:
    session = session_in(State.CLOSING)
    assert session.take(*DRAIN) == [ABORT]
    assert session.take(*LOST) == [Cancel(), *finish(Outcome.REJECTED)]

"""Sessions without a decision: what they end with, and how much is kept meanwhile."""

from __future__ import annotations

import pytest

from proxymux.core.commands import (
    Ask,
    Await,
    Blame,
    Cancel,
    Cause,
    Connect,
    ConnectFailure,
    Consult,
    Deadline,
    Input,
    Join,
    Pause,
    Resume,
    Send,
    State,
)
from proxymux.core.decision import NEED_DATA, BadHandshake, Forward, Reply
from proxymux.core.outcome import Outcome
from tests.core.sessions import (
    ABORT,
    ASKED,
    CLOSE,
    CONNECTED,
    DECIDED,
    DENIED,
    DRAIN,
    FIN,
    FORWARD,
    FREE,
    FULL,
    LATE,
    LET_GO,
    LIMIT,
    LINGER,
    LOST,
    NO_LIMIT,
    OPENED,
    REFUSED,
    TIMED_OUT,
    Line,
    answered,
    barred,
    decided,
    ended,
    failed,
    finish,
    got,
    play,
    play_to_the_end,
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
        (LET_GO, [Cancel(), *finish(Outcome.BAD_HANDSHAKE, "not base64", "401")]),
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
        (LET_GO, [Cancel(), *finish(Outcome.BAD_HANDSHAKE, NOT_IN_TIME, "400")]),
        undecided_reply=b"400",
    )


def test_a_client_whose_decision_takes_too_long_is_told_and_it_is_cancelled() -> None:
    play_to_the_end(
        *ASKED,
        (LATE, [Cancel(), Send(b"400"), LIMIT, LINGER]),
        (decided(FORWARD), []),
        (LATE, [ABORT]),
        (LET_GO, [Cancel(), *finish(Outcome.BAD_HANDSHAKE, NOT_IN_TIME, "400")]),
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

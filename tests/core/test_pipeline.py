"""The pipeline, state by state: what each input leads to."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from proxymux.core.batch import Batch
from proxymux.core.codecs import make_codec
from proxymux.core.commands import Cause
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline import LARGE, MOST_WAITING, TRANSITIONS, Pipeline
from proxymux.core.pipeline_orders import (
    BreakOff,
    End,
    Failure,
    Follow,
    HandOver,
    Input,
    Leave,
    Order,
    Pause,
    PipelineRules,
    Requeue,
    Resume,
    StartGap,
    State,
    StopGap,
    Withdraw,
)
from proxymux.core.pool_target import parse_pool_target
from proxymux.core.request_cutter import RequestCutter
from proxymux.core.slots import Slot
from proxymux.core.turns import PLENTY

COMPLETED = End(Cause.COMPLETED)
FAILED = Ending(Outcome.UPSTREAM_ABORTED, "it is gone")
SLOT = Slot(1, parse_pool_target("10.0.0.1:1"))


def make(
    codec: str = "line",
    *,
    pipelined: bool = False,
    batches: bool = False,
    ordered: bool = False,
    own: bool = True,
    request_limit: int = 1 << 30,
) -> Pipeline:
    return Pipeline(
        PipelineRules(make_codec(codec), pipelined, batches or pipelined, ordered, lambda: own, request_limit)
    )


def state_of(pipeline: Pipeline) -> State:
    """Its state, of which a type checker does not think that it stays."""
    return pipeline.state


def batches(orders: list[Order]) -> list[Batch]:
    """What is to be submitted; nothing else may have been ordered."""
    found = [order for order in orders if isinstance(order, Batch)]
    assert len(found) == len(orders), orders
    return found


def sent(pipeline: Pipeline, data: bytes) -> Batch:
    """The one batch that is submitted for these bytes."""
    [batch] = batches(pipeline.take(Input.RECEIVED, data))
    return batch


def done(pipeline: Pipeline, batch: Batch, data: bytes = b"") -> list[Order]:
    return pipeline.take(Input.DONE, (batch, data))


def fail(pipeline: Pipeline, batch: Batch) -> list[Order]:
    return pipeline.take(Input.FAILED, Failure(batch, FAILED))


def pipeline_in(state: State) -> Pipeline:
    """A pipeline in that state, with nothing outstanding as far as that can be."""
    pipeline = make("raw" if state is State.COLLECTING else "resp")
    if state is State.COLLECTING:
        pipeline.take(Input.RECEIVED, bytes(LARGE))
    elif state in (State.CLAIMING, State.HANDED_OVER):
        batch = sent(pipeline, b"MULTI\r\n")
        if state is State.HANDED_OVER:
            pipeline.take(Input.GIVEN, batch)
    elif state is State.FINISHING:
        pipeline.take(Input.OUTPUT_FULL)
        pipeline.take(Input.RECEIVED, b"QUIT\r\n")
    elif state is State.BREAKING_OFF:
        batch = sent(pipeline, b"GET a\r\n")
        pipeline.take(Input.REPLY, b"$")
        fail(pipeline, batch)
    elif state is State.ENDED:
        pipeline.take(Input.ABORTED)
    assert state_of(pipeline) is state
    return pipeline


VALUES: dict[Input, Any] = {
    Input.RECEIVED: b"GET a\r\n",
    Input.CLIENT_LOST: "reset",
    Input.REPLY: b"+OK\r\n",
    Input.DONE: (Batch(b"x", [(None, 1)], 1), b"+OK\r\n"),
    Input.FAILED: Failure(Batch(b"x", [(None, 1)], 1), FAILED),
    Input.UNSENT: Batch(b"x", [(None, 1)], 1),
    Input.HELD_UP: Batch(b"x", [(None, 1)], 1),
    Input.GIVEN: Batch(b"x", [], 0, alone=True),
    Input.IDLE: "for too long",
    Input.DISMISSED: "too much is kept",
}


# The table


def test_every_state_has_its_place_in_the_table() -> None:
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("what", Input)
def test_an_input_without_a_place_changes_nothing(state: State, what: Input) -> None:
    if what in TRANSITIONS[state]:
        return
    pipeline = pipeline_in(state)
    was_paused = pipeline.is_paused
    assert pipeline.take(what, VALUES.get(what)) == []
    assert (pipeline.state, pipeline.is_paused) == (state, was_paused)


@pytest.mark.parametrize("state", [state for state in State if state not in (State.ENDED, State.HANDED_OVER)])
@pytest.mark.parametrize(
    ("what", "value", "last"),
    [
        (Input.CLIENT_LOST, "reset", End(Cause.CLIENT_ABORTED, None, "reset")),
        (Input.DISMISSED, "too much", End(Cause.CLIENT_ABORTED, Outcome.QUEUE_FULL, "too much")),
        (Input.ABORTED, None, Leave()),
    ],
)
def test_a_client_may_be_lost_or_given_up_in_any_state(state: State, what: Input, value: Any, last: Order) -> None:
    pipeline = pipeline_in(state)
    *before, end = pipeline.take(what, value)
    assert end == last
    assert all(isinstance(order, Withdraw) for order in before)
    assert pipeline.is_over
    assert state_of(pipeline) is State.ENDED


@pytest.mark.parametrize("state", [State.ENDED, State.HANDED_OVER])
def test_after_the_end_nothing_counts(state: State) -> None:
    pipeline = pipeline_in(state)
    assert pipeline.is_over
    assert TRANSITIONS[state] == {}


# Open


def test_a_request_is_submitted_and_its_reply_passed_on() -> None:
    pipeline = make()
    batch = sent(pipeline, b"ask\n")
    assert (batch.data, batch.expected, batch.replies, batch.sequence) == (b"ask\n", [(None, 1)], 1, 0)
    assert pipeline.take(Input.REPLY, b"rep") == [b"rep"]
    assert batch.is_begun
    assert done(pipeline, batch, b"ly\n") == [b"ly\n"]
    assert state_of(pipeline) is State.OPEN


def test_a_request_in_parts_is_one() -> None:
    pipeline = make()
    assert pipeline.take(Input.RECEIVED, b"a") == pipeline.take(Input.RECEIVED, b"s") == []
    assert sent(pipeline, b"k\n").data == b"ask\n"


def test_the_next_request_waits_for_the_reply_to_the_one_before() -> None:
    pipeline = make()
    first = sent(pipeline, b"1\n2\n")
    assert first.data == b"1\n"
    assert pipeline.waiting
    assert pipeline.take(Input.GO_ON) == []
    reply, second = done(pipeline, first, b"one\n")
    assert reply == b"one\n"
    assert isinstance(second, Batch)
    assert second.data == b"2\n"


def test_what_came_together_goes_together_where_it_may() -> None:
    batch = sent(make("resp", batches=True), b"A\r\nB\r\n")
    assert (batch.data, batch.replies) == (b"A\r\nB\r\n", 2)


def test_where_they_are_pipelined_the_next_follows() -> None:
    pipeline = make("resp", pipelined=True)
    first = sent(pipeline, b"A\r\n")
    [follow] = pipeline.take(Input.RECEIVED, b"B\r\n")
    assert isinstance(follow, Follow)
    assert (follow.batch.data, follow.before) == (b"B\r\n", first)


def test_what_cannot_follow_waits_for_its_turn() -> None:
    pipeline = make("resp", pipelined=True)
    first = sent(pipeline, b"A\r\n")
    [follow] = pipeline.take(Input.RECEIVED, b"B\r\n")
    assert isinstance(follow, Follow)
    assert pipeline.take(Input.HELD_UP, follow.batch) == []
    assert done(pipeline, first, b"+a\r\n") == [b"+a\r\n", follow.batch]


def test_it_waits_before_what_came_after_it() -> None:
    pipeline = make("resp", pipelined=True)
    first = sent(pipeline, b"A\r\n")
    [follow] = pipeline.take(Input.RECEIVED, b"B\r\nCLIENT SETNAME x\r\nC\r\n")
    assert isinstance(follow, Follow)
    pipeline.take(Input.HELD_UP, follow.batch)
    assert done(pipeline, first) == [follow.batch]
    answer, third = done(pipeline, follow.batch)
    assert answer == b"+OK\r\n"
    assert isinstance(third, Batch)
    assert third.data == b"C\r\n"


def test_where_all_are_served_in_order_it_waits_among_those_of_all_up_to_a_limit() -> None:
    pipeline = make("resp", pipelined=True, ordered=True)
    pipeline.window.most = MOST_WAITING + 1
    assert sent(pipeline, b"0\r\n").sequence == 1
    for number in range(MOST_WAITING):
        [follow] = pipeline.take(Input.RECEIVED, b"%d\r\n" % number)
        assert isinstance(follow, Follow)
        assert follow.batch.sequence == number + 2
        held_up = pipeline.take(Input.HELD_UP, follow.batch)
        assert held_up == ([follow.batch] if number < MOST_WAITING - 1 else [])
    assert pipeline.waiting


def test_one_that_has_no_reply_is_done_before_its_turn() -> None:
    pipeline = make("memcache", pipelined=True)
    first = sent(pipeline, b"get a\r\n")
    [follow] = pipeline.take(Input.RECEIVED, b"set a 0 0 1 noreply\r\n1\r\n")
    assert isinstance(follow, Follow)
    assert follow.batch.replies == 0
    assert done(pipeline, follow.batch) == []
    assert done(pipeline, first, b"END\r\n") == [b"END\r\n"]


def test_a_batch_says_whether_its_last_request_has_no_reply() -> None:
    write = b"delete a noreply\r\n"
    for data, ends_silent in [(write, True), (b"get a\r\n" + write, True), (write + b"get a\r\n", False)]:
        assert sent(make("memcache", batches=True), data).ends_silent is ends_silent
    # Before an answer of our own, too.
    assert sent(make("memcache", batches=True), write + b"bogus\r\n").ends_silent


def test_an_answer_of_our_own_waits_for_its_turn() -> None:
    pipeline = make("resp")
    batch = sent(pipeline, b"GET a\r\nCLIENT SETNAME x\r\n")
    assert done(pipeline, batch, b"$-1\r\n") == [b"$-1\r\n", b"+OK\r\n"]


def test_answers_that_wait_are_not_without_bounds() -> None:
    pipeline = make("resp")
    batch = sent(pipeline, b"GET a\r\n")
    most = PLENTY // 100
    count = next(count for count in range(most) if pipeline.take(Input.RECEIVED, b"*0\r\nRESET\r\n"))
    assert pipeline.is_paused
    *replies, resume = done(pipeline, batch, b"$-1\r\n")
    assert b"".join(each for each in replies if isinstance(each, bytes)) == b"$-1\r\n" + b"+RESET\r\n" * (count + 1)
    assert resume == Resume()


def test_what_is_no_request_is_answered_in_its_turn_and_ends_the_client() -> None:
    pipeline = make("resp")
    batch = sent(pipeline, b"GET a\r\n*x\r\n")
    assert state_of(pipeline) is State.FINISHING
    reply, answer, end = done(pipeline, batch, b"$-1\r\n")
    assert reply == b"$-1\r\n"
    assert isinstance(answer, bytes)
    assert answer.startswith(b"-ERR ")
    assert isinstance(end, End)
    assert (end.cause, end.outcome) == (Cause.DISMISSED, Outcome.PROTOCOL_ERROR)


def test_the_last_request_ends_the_client_after_its_reply() -> None:
    pipeline = make("http")
    batch = sent(pipeline, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert batch.is_last
    assert state_of(pipeline) is State.FINISHING
    assert done(pipeline, batch, b"reply") == [b"reply", COMPLETED]


def test_an_interim_reply_is_sent_before_the_request_is_whole() -> None:
    pipeline = make("http")
    head = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    assert pipeline.take(Input.RECEIVED, head) == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    assert sent(pipeline, b"x").data == head + b"x"


def test_but_not_before_the_replies_before_it() -> None:
    pipeline = make("http")
    batch = sent(pipeline, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    head = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    assert pipeline.take(Input.RECEIVED, head) == []
    assert done(pipeline, batch, b"reply") == [b"reply", b"HTTP/1.1 100 Continue\r\n\r\n"]


def test_a_client_that_has_finished_ends_when_it_has_its_replies() -> None:
    pipeline = make()
    batch = sent(pipeline, b"1\n")
    assert pipeline.take(Input.CLIENT_FINISHED) == []
    assert state_of(pipeline) is State.FINISHING
    assert done(pipeline, batch, b"one\n") == [b"one\n", COMPLETED]


def test_a_client_that_finishes_without_a_request_ends() -> None:
    assert make().take(Input.CLIENT_FINISHED) == [COMPLETED]


def test_one_that_finishes_within_a_request_broke_the_protocol() -> None:
    pipeline = make()
    pipeline.take(Input.RECEIVED, b"half")
    end = End(Cause.DISMISSED, Outcome.PROTOCOL_ERROR, "the client finished within a message")
    assert pipeline.take(Input.CLIENT_FINISHED) == [end]


@pytest.mark.parametrize(
    ("busy", "reason", "end"),
    [
        (False, None, COMPLETED),
        (False, "reset", End(Cause.CLIENT_ABORTED, None, "reset")),
        (True, None, End(Cause.CLIENT_ABORTED, None, "closed")),
        (True, "reset", End(Cause.CLIENT_ABORTED, None, "reset")),
    ],
)
def test_a_client_that_is_lost_leaves_nothing_behind(busy: bool, reason: str | None, end: End) -> None:
    pipeline = make()
    withdrawn: list[Order] = [Withdraw(sent(pipeline, b"1\n2\n"))] if busy else []
    assert pipeline.take(Input.CLIENT_LOST, reason) == [*withdrawn, end]


def test_idle_is_who_waits_for_nothing() -> None:
    pipeline = make()
    batch = sent(pipeline, b"1\n")
    assert pipeline.take(Input.IDLE, "30 s") == []
    done(pipeline, batch, b"one\n")
    assert pipeline.take(Input.IDLE, "30 s") == [End(Cause.IDLE, None, "30 s")]


# Pausing


def test_a_client_that_does_not_read_is_not_read_and_nothing_of_it_is_submitted() -> None:
    pipeline = make()
    assert pipeline.take(Input.OUTPUT_FULL) == [Pause()]
    assert pipeline.is_paused
    assert pipeline.take(Input.RECEIVED, b"1\n") == []
    batch, resume = pipeline.take(Input.OUTPUT_FREE)
    assert isinstance(batch, Batch)
    assert resume == Resume()


def test_a_client_that_sends_on_after_its_last_request_is_not_read_until_it_ends() -> None:
    pipeline = make("resp")
    batch = sent(pipeline, b"GET a\r\n")
    assert pipeline.take(Input.RECEIVED, b"*x\r\n") == []
    assert state_of(pipeline) is State.FINISHING
    assert pipeline.take(Input.RECEIVED, b"more") == [Pause()]
    assert pipeline.take(Input.RECEIVED, b"and more") == []
    assert pipeline.take(Input.OUTPUT_FULL) == []
    assert pipeline.take(Input.OUTPUT_FREE) == []
    reply, _error, end = done(pipeline, batch, b"+a\r\n")
    assert isinstance(end, End)
    assert reply == b"+a\r\n"


def test_a_client_for_which_too_much_waits_is_not_read() -> None:
    pipeline = make()
    line = bytes(PLENTY // 2) + b"\n"
    batch = sent(pipeline, b"1\n")
    assert pipeline.take(Input.RECEIVED, line) == []
    assert pipeline.take(Input.RECEIVED, line) == [Pause()]
    reply, second, resume = done(pipeline, batch, b"one\n")
    assert (reply, resume) == (b"one\n", Resume())
    assert isinstance(second, Batch)
    assert second.data == line


def test_one_that_has_finished_and_reads_again_ends() -> None:
    pipeline = pipeline_in(State.FINISHING)
    assert pipeline.take(Input.OUTPUT_FREE) == [b"+OK\r\n", Resume(), COMPLETED]


# Failures


def test_a_failure_is_told_in_its_turn_and_takes_all_that_came_after_with_it() -> None:
    pipeline = make("resp", pipelined=True)
    first = sent(pipeline, b"A\r\n")
    [second, third] = [pipeline.take(Input.RECEIVED, data)[0] for data in (b"B\r\n", b"C\r\n")]
    assert isinstance(second, Follow)
    assert isinstance(third, Follow)
    assert fail(pipeline, second.batch) == [Withdraw(third.batch)]
    assert state_of(pipeline) is State.FINISHING
    end = End(Cause.DISMISSED, Outcome.UPSTREAM_ABORTED, "it is gone")
    assert done(pipeline, first, b"+a\r\n") == [b"+a\r\n", b"-ERR it is gone\r\n", end]


def test_what_waited_behind_a_failure_is_dropped() -> None:
    pipeline = make("resp")
    batch = sent(pipeline, b"A\r\nB\r\nQUIT\r\n")
    assert fail(pipeline, batch) == [b"-ERR it is gone\r\n", End(Cause.DISMISSED, FAILED.outcome, FAILED.reason)]


def test_without_an_error_of_the_protocol_the_client_just_ends() -> None:
    pipeline = make()
    assert fail(pipeline, sent(pipeline, b"1\n")) == [End(Cause.DISMISSED, FAILED.outcome, FAILED.reason)]


def test_the_failure_of_a_batch_that_is_not_ours_any_more_changes_nothing() -> None:
    pipeline = make()
    batch = sent(pipeline, b"1\n")
    done(pipeline, batch, b"one\n")
    assert fail(pipeline, batch) == []
    assert state_of(pipeline) is State.OPEN


def test_a_reply_that_is_cut_short_breaks_the_client_off() -> None:
    pipeline = make("resp", pipelined=True)
    first = sent(pipeline, b"A\r\n")
    [follow] = pipeline.take(Input.RECEIVED, b"B\r\n")
    assert isinstance(follow, Follow)
    pipeline.take(Input.REPLY, b"$")
    assert fail(pipeline, first) == [Withdraw(follow.batch), BreakOff()]
    assert state_of(pipeline) is State.BREAKING_OFF
    assert pipeline.take(Input.FLUSHED) == [End(Cause.UPSTREAM_ABORTED, FAILED.outcome, FAILED.reason)]


def test_a_client_that_closes_before_it_is_broken_off_has_not_completed() -> None:
    end = End(Cause.UPSTREAM_ABORTED, FAILED.outcome, FAILED.reason)
    assert pipeline_in(State.BREAKING_OFF).take(Input.CLIENT_LOST, None) == [end]


def test_a_client_is_ended_with_an_upstream_that_says_that_it_closes() -> None:
    pipeline = make()
    batch = sent(pipeline, b"1\n2\n")
    batch.is_last = True
    assert done(pipeline, batch, b"one\n") == [b"one\n", COMPLETED]


def test_the_first_of_a_client_that_was_not_sent_may_go_to_another_slot_at_once() -> None:
    pipeline = make("resp", pipelined=True)
    first = sent(pipeline, b"A\r\n")
    [follow] = pipeline.take(Input.RECEIVED, b"B\r\n")
    assert isinstance(follow, Follow)
    assert pipeline.take(Input.UNSENT, follow.batch) == []
    assert pipeline.take(Input.UNSENT, first) == [Requeue(first)]
    assert pipeline.take(Input.GO_ON) == [Follow(follow.batch, first)]


def test_where_all_are_served_in_order_each_keeps_its_place() -> None:
    pipeline = make("resp", pipelined=True, ordered=True)
    first = sent(pipeline, b"A\r\n")
    [second] = pipeline.take(Input.RECEIVED, b"B\r\n")
    assert isinstance(second, Follow)
    [third] = pipeline.take(Input.RECEIVED, b"C\r\n")
    assert isinstance(third, Follow)
    assert pipeline.take(Input.HELD_UP, third.batch) == [third.batch]
    assert pipeline.take(Input.UNSENT, second.batch) == [Requeue(second.batch)]
    assert pipeline.take(Input.UNSENT, first) == [Requeue(first)]
    assert pipeline.take(Input.GO_ON) == []
    assert done(pipeline, first, b"+a\r\n") == [b"+a\r\n"]
    pipeline.take(Input.REPLY, b"$")
    assert fail(pipeline, second.batch) == [Withdraw(third.batch), BreakOff()]


# Collecting


def test_a_large_request_without_an_end_is_ended_by_silence() -> None:
    pipeline = make("raw")
    part = bytes(LARGE)
    assert pipeline.take(Input.RECEIVED, part) == [StartGap()]
    assert pipeline.take(Input.RECEIVED, b"more") == [StartGap()]
    assert state_of(pipeline) is State.COLLECTING
    [batch] = batches(pipeline.take(Input.SILENCE))
    assert batch.data == part + b"more"
    assert state_of(pipeline) is State.OPEN


def test_or_by_the_clients_end() -> None:
    pipeline = make("raw")
    pipeline.take(Input.RECEIVED, bytes(LARGE))
    stop, batch = pipeline.take(Input.CLIENT_FINISHED)
    assert stop == StopGap()
    assert isinstance(batch, Batch)
    assert state_of(pipeline) is State.FINISHING
    assert done(pipeline, batch, b"reply") == [b"reply", COMPLETED]


def test_a_request_that_does_not_end_is_too_large_in_the_end() -> None:
    pipeline = make("raw", request_limit=2 * LARGE)
    pipeline.take(Input.RECEIVED, bytes(2 * LARGE))
    stop, end = pipeline.take(Input.RECEIVED, b"x")
    assert stop == StopGap()
    assert isinstance(end, End)
    assert end.outcome is Outcome.PROTOCOL_ERROR


# An upstream of its own


def test_who_needs_an_upstream_of_its_own_gets_one_when_all_before_is_answered() -> None:
    pipeline = make("resp")
    batch = sent(pipeline, b"GET a\r\nMULTI\r\nSET b 1\r\n")
    assert state_of(pipeline) is State.CLAIMING
    reply, claim = done(pipeline, batch, b"$-1\r\n")
    assert reply == b"$-1\r\n"
    assert isinstance(claim, Batch)
    assert claim.alone
    assert pipeline.take(Input.RECEIVED, b"EXEC\r\n") == pipeline.take(Input.CLIENT_FINISHED) == []
    claim.slot = SLOT
    assert pipeline.take(Input.GIVEN, claim) == [HandOver(claim)]
    assert claim.data == b"MULTI\r\nSET b 1\r\nEXEC\r\n"
    assert state_of(pipeline) is State.HANDED_OVER


def test_a_claim_follows_nothing_even_where_others_would() -> None:
    pipeline = make("resp", pipelined=True)
    batch = sent(pipeline, b"GET a\r\n")
    assert pipeline.take(Input.RECEIVED, b"MULTI\r\n") == []
    _, claim = done(pipeline, batch, b"$-1\r\n")
    assert isinstance(claim, Batch)
    assert claim.alone


def test_what_it_sends_meanwhile_is_kept_up_to_a_limit() -> None:
    pipeline = pipeline_in(State.CLAIMING)
    assert pipeline.take(Input.RECEIVED, bytes(PLENTY)) == [Pause()]


def test_who_gets_none_is_told_so() -> None:
    pipeline = make("resp")
    claim = sent(pipeline, b"MULTI\r\n")
    assert fail(pipeline, claim) == [b"-ERR it is gone\r\n", End(Cause.DISMISSED, FAILED.outcome, FAILED.reason)]


def test_where_there_is_none_to_spare_the_client_may_go_on_after_the_refusal() -> None:
    pipeline = make("resp", own=False)
    refusal, batch = pipeline.take(Input.RECEIVED, b"MONITOR\r\nGET a\r\n")
    assert refusal == b"-ERR MONITOR needs an upstream of its own, and there is none to spare\r\n"
    assert isinstance(batch, Batch)
    assert state_of(pipeline) is State.OPEN


def test_or_not_where_nothing_after_it_was_looked_at() -> None:
    refusal, end = make("http", own=False).take(Input.RECEIVED, b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
    assert isinstance(refusal, bytes)
    assert refusal.startswith(b"HTTP/1.1 503 ")
    assert isinstance(end, End)
    assert (end.cause, end.outcome) == (Cause.DISMISSED, Outcome.PROTOCOL_ERROR)


# A reply that shows that the client needs one

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CHALLENGE = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"


def challenged(pipeline: Pipeline, batch: Batch) -> list[Order]:
    """What follows on a challenge."""
    scanner = make_codec("http").replies()
    for hint, count in batch.expected:
        scanner.expect(hint, count)
    scanner.feed(CHALLENGE)
    return done(pipeline, batch, CHALLENGE)


@pytest.mark.parametrize("missing", [0, 1])
def test_what_waits_for_a_challenge_goes_to_an_upstream_of_its_own(missing: int) -> None:
    pipeline = make("http")
    first = sent(pipeline, GET + GET + b"\r\n" + LAST[: len(LAST) - missing])
    reply, claim = challenged(pipeline, first)
    assert reply == CHALLENGE
    assert isinstance(claim, Batch)
    assert claim.alone
    assert claim.data == GET + LAST[: len(LAST) - missing]
    assert state_of(pipeline) is State.CLAIMING
    assert pipeline.take(Input.CLIENT_FINISHED) == []
    claim.slot = SLOT
    assert pipeline.take(Input.GIVEN, claim) == [HandOver(claim)]


def test_so_does_what_waits_of_a_client_that_has_finished() -> None:
    pipeline = make("http")
    first = sent(pipeline, GET + GET)
    assert pipeline.take(Input.CLIENT_FINISHED) == []
    _, claim = challenged(pipeline, first)
    assert isinstance(claim, Batch)
    claim.slot = SLOT
    assert pipeline.take(Input.GIVEN, claim) == [HandOver(claim)]


def test_what_comes_after_a_challenge_does_so_too() -> None:
    pipeline = make("http")
    assert challenged(pipeline, sent(pipeline, GET)) == [CHALLENGE]
    assert sent(pipeline, GET).alone


@pytest.mark.parametrize("own", [True, False])
def test_what_waits_for_a_challenge_is_refused_where_there_is_none_to_spare_or_it_ends_badly(own: bool) -> None:
    pipeline = make("http", own=own)
    first = sent(pipeline, GET + GET + (b"nonsense\r\n" if own else b""))
    reply, refusal, end = challenged(pipeline, first)
    assert reply == CHALLENGE
    assert isinstance(refusal, bytes)
    assert refusal.startswith(b"HTTP/1.1 503 ")
    assert isinstance(end, End)
    assert (end.cause, end.outcome) == (Cause.DISMISSED, Outcome.PROTOCOL_ERROR)


def test_with_a_challenge_on_an_upstream_that_has_more_of_the_client_the_rest_waits_for_those_replies() -> None:
    pipeline = make("http", pipelined=True)
    first = sent(pipeline, GET)
    [follow] = pipeline.take(Input.RECEIVED, GET)
    assert isinstance(follow, Follow)
    assert challenged(pipeline, first) == [CHALLENGE]
    assert pipeline.take(Input.RECEIVED, GET) == []
    _, claim = done(pipeline, follow.batch, b"reply")
    assert isinstance(claim, Batch)
    assert claim.alone


# The end of a request that is too large


def test_a_request_is_kept_up_to_a_limit() -> None:
    pipeline = make("resp", request_limit=100)
    assert pipeline.take(Input.RECEIVED, b"*2\r\n$3\r\nGET\r\n$200\r\n" + bytes(81)) == []
    refusal, end = pipeline.take(Input.RECEIVED, b"x")
    assert refusal == b"-ERR a request of more than 100 bytes (--max-message)\r\n"
    assert isinstance(end, End)
    assert end.outcome is Outcome.PROTOCOL_ERROR


@pytest.mark.parametrize("size", [1, 5000])
def test_what_is_kept_is_as_it_came_and_takes_little_more_memory_than_it_has_bytes(size: int) -> None:
    cutter = RequestCutter(PipelineRules(make_codec("length:4"), False, False, False, lambda: True))
    body = bytes(range(256)) * 800
    data = len(body).to_bytes(4, "big") + body
    tracemalloc.start()
    for at in range(0, len(data) - 1, size):
        assert cutter.cut(data[at : min(at + size, len(data) - 1)]) == []
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 1.5 * len(data) + 10_000
    batch = cutter.cut(data[-1:])
    assert isinstance(batch, list)
    assert [each.data for each in batch] == [data]


def test_a_failure_is_one_of_the_request() -> None:
    pipeline = make("modbus")
    batch = sent(pipeline, b"\1\2\0\0\0\6\7\3\0\0\0\1")
    assert fail(pipeline, batch)[0] == b"\1\2\0\0\0\3\7\x83\x0b"


def test_what_it_is_doing_is_shown() -> None:
    pipeline = make()
    pipeline.take(Input.RECEIVED, b"1\n2\n")
    assert repr(pipeline) == "<Pipeline open, 1 waiting, 1 outstanding>"
    assert repr(Batch(b"12", [], 0)) == "<Batch of 2 bytes, 0 replies to come>"

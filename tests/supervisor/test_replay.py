"""One-time tokens over workers: the supervisor alone knows which were used."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from proxymux.core.target import InetTarget
from proxymux.core.token import Claims
from proxymux.core.token.verifier import ReplayCache
from proxymux.errors import BadToken
from proxymux.supervisor.replay import RemoteReplayCache, answer_to

NOW = 1_700_000_000.0
CLAIMS = Claims((InetTarget("db", 1, False),), expires=1_700_000_060, once="one", key="k1")
UNKNOWN = "it is not known whether the one-time token was used before"


class Worker:
    """A worker that asks; its questions are answered as the test says."""

    def __init__(self, clock: Clock) -> None:
        self.sent: list[dict[str, Any]] = []
        self.results: list[str | None] = []
        self.cache = RemoteReplayCache()
        self.cache.send, self.cache.clock = self.sent.append, clock

    def spend(self) -> None:
        def failed(failure: Failure) -> None:
            failure.trap(BadToken)
            self.results.append(failure.value.reason)  # type: ignore[union-attr]

        self.cache.spend(CLAIMS, NOW).addCallbacks(self.results.append, failed)

    def answer(self, known: ReplayCache) -> None:
        answer = answer_to(self.sent.pop(0), known, NOW)
        assert answer["do"] == "spent"
        self.cache.answered(answer["number"], answer["problem"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_token_is_good_once_whichever_worker_asks(clock: Clock) -> None:
    one, other, known = Worker(clock), Worker(clock), ReplayCache()
    one.spend()
    other.spend()
    other.answer(known)
    one.answer(known)
    assert (one.results, other.results) == (["one-time token was used before"], [None])
    assert clock.getDelayedCalls() == []


def test_an_answer_after_the_client_has_left_is_no_fault(clock: Clock) -> None:
    worker = Worker(clock)
    left: list[Failure] = []
    waiting = worker.cache.spend(CLAIMS, NOW)
    waiting.addErrback(left.append)
    waiting.cancel()
    worker.answer(ReplayCache())
    assert [failure.type for failure in left] == [CancelledError]
    assert clock.getDelayedCalls() == []


def test_where_the_supervisor_does_not_answer_it_is_no_good(clock: Clock) -> None:
    worker = Worker(clock)
    worker.spend()
    clock.advance(4.9)
    assert worker.results == []
    clock.advance(0.2)
    assert worker.results == [UNKNOWN]
    worker.answer(ReplayCache())  # too late
    assert worker.results == [UNKNOWN]


def test_before_there_is_a_supervisor_none_is_good(clock: Clock) -> None:
    worker = Worker(clock)
    worker.cache.send = None
    worker.spend()
    assert worker.results == [UNKNOWN]

"""One-time tokens of a fleet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from proxymux.core.target import InetTarget
from proxymux.core.token import Claims
from proxymux.core.token.verifier import ReplayCache
from proxymux.errors import BadToken, EtcdError
from proxymux.fleet.owed_tokens import PAUSE
from proxymux.fleet.shared_tokens import LIMIT, MAX_ASKED, LocalTokens, SharedTokens
from proxymux.fleet.store import LEASE_NOT_FOUND
from tests.fleet.stores import FakeStore, Lines, refused

NOW = 1_700_000_000.0
CLAIMS = Claims((InetTarget("db", 1, False),), expires=1_700_000_060, once="one", key="k1")
USED = "one-time token was used before"
AWAY = "etcd does not say whether the one-time token was used before (--once-without-etcd)"
NAME = "the fleet at etcd://etcd.test:2379/fleet/"


class Gateway:
    """A gateway of the fleet."""

    def __init__(self, store: FakeStore, is_local_enough: bool = False, local: LocalTokens | None = None) -> None:
        self.store = store
        self.lines = Lines()
        self.local = ReplayCache() if local is None else local
        self.tokens = SharedTokens(store, self.local, is_local_enough, store.clock, lambda: NOW, self.lines.log)

    def spend(self, once: str = "one") -> list[str]:
        """What comes of a token, when that is known: ``good``, or why it is not."""
        results: list[str] = []

        def failed(failure: Any) -> None:
            failure.trap(BadToken, CancelledError)
            results.append(getattr(failure.value, "reason", "left"))

        self.waiting = self.tokens.spend(replace(CLAIMS, once=once), NOW)
        self.waiting.addCallbacks(lambda _: results.append("good"), failed)
        return results


@pytest.fixture
def store() -> FakeStore:
    return FakeStore(Clock())


def test_a_token_is_good_once_in_all_gateways(store: FakeStore) -> None:
    gateways = [Gateway(store) for _ in range(4)]
    for once in ("one", "two"):
        results = [gateway.spend(once)[0] for gateway in gateways for _ in range(2)]
        assert results == ["good", *[USED] * 7]
    assert sorted(store.values) == ["once/k1/one", "once/k1/two"]
    assert store.clock.getDelayedCalls() == []


def test_its_key_lasts_for_longer_than_any_gateway_takes_it(store: FakeStore) -> None:
    Gateway(store).spend()
    [(_, seconds)] = store.leases.values()
    assert CLAIMS.expires is not None
    assert seconds >= CLAIMS.expires + 2 * 30 - NOW


def test_one_lease_is_enough_for_many_tokens(store: FakeStore) -> None:
    gateway = Gateway(store)
    assert all(gateway.spend(str(number)) == ["good"] for number in range(100))
    assert len(store.leases) == 1


@pytest.mark.parametrize("is_local_enough", [False, True])
def test_what_was_used_here_is_used_even_if_etcd_has_lost_it(store: FakeStore, is_local_enough: bool) -> None:
    gateway = Gateway(store, is_local_enough)
    assert gateway.spend() == ["good"]
    store.values.clear()
    assert gateway.spend() == [USED]


def test_what_was_used_elsewhere_is_remembered_here(store: FakeStore) -> None:
    here, elsewhere = Gateway(store, is_local_enough=True), Gateway(store)
    elsewhere.spend()
    assert here.spend() == [USED]
    store.is_away = refused()
    assert here.spend() == [USED]


def test_the_first_is_good_also_where_the_second_has_its_answer_before(store: FakeStore) -> None:
    gateway = Gateway(store)
    gateway.spend("two")
    store.hangs = True
    first = gateway.spend()
    second = gateway.spend()
    [winner, loser] = store.late
    store.late = []
    store.hangs = False
    store.values["once/k1/one"] = "of the first", 0  # it is written, and the answer is under way
    loser()
    del store.values["once/k1/one"]
    winner()
    assert (first, second) == (["good"], [USED])
    assert gateway.spend() == [USED]


# Without etcd


def test_without_etcd_tokens_are_refused_and_good_when_it_is_back(store: FakeStore) -> None:
    gateway = Gateway(store)
    store.is_away = refused()
    assert gateway.spend() == [AWAY]
    assert gateway.spend("two") == [AWAY]
    store.is_away = None
    assert gateway.spend() == ["good"]
    assert gateway.lines.lines == [
        f"{NAME}: etcd.test: connection refused; one-time tokens are refused until it answers again",
        f"{NAME} answers again",
    ]


def test_without_etcd_a_token_is_good_once_here_if_that_is_wanted(store: FakeStore) -> None:
    gateway = Gateway(store, is_local_enough=True)
    store.is_away = refused()
    assert gateway.spend() == ["good"]
    assert gateway.spend() == [USED]
    store.is_away = None
    assert gateway.spend() == [USED]
    gateway.tokens.stop(None)
    assert gateway.lines.lines[0].endswith("; one-time tokens are used once in this gateway, and not in the fleet,"
                                           " until it answers again")  # fmt: skip


def test_etcd_is_told_of_what_was_used_meanwhile_when_it_is_back(store: FakeStore) -> None:
    gateway = Gateway(store, is_local_enough=True)
    store.is_away = refused()
    assert [gateway.spend("one"), gateway.spend("two")] == [["good"], ["good"]]
    store.clock.advance(PAUSE)
    store.is_away = None
    store.clock.advance(PAUSE)
    elsewhere = Gateway(store)
    assert [elsewhere.spend("one"), elsewhere.spend("two")] == [[USED], [USED]]
    assert store.clock.getDelayedCalls() == []


@pytest.mark.parametrize(("is_local_enough", "result"), [(False, AWAY), (True, "good")])
def test_no_answer_in_time_is_none(store: FakeStore, is_local_enough: bool, result: str) -> None:
    gateway = Gateway(store, is_local_enough)
    store.hangs = True
    results = gateway.spend()
    store.clock.advance(LIMIT - 0.1)
    assert results == []
    store.clock.advance(0.2)
    assert results == [result]
    gateway.tokens.stop(None)
    assert store.clock.getDelayedCalls() == []


def test_a_lease_that_etcd_has_lost_is_granted_anew(store: FakeStore) -> None:
    gateway = Gateway(store)
    gateway.spend("two")
    store.end(next(iter(store.leases)))
    assert gateway.spend() == ["good"]
    assert gateway.lines.lines == []


def test_an_answer_that_was_lost_is_asked_for_again(store: FakeStore) -> None:
    gateway = Gateway(store)
    gateway.spend("two")
    store.loses_answer = True
    assert gateway.spend() == ["good"]
    assert gateway.spend() == [USED]
    assert Gateway(store).spend() == [USED]


def test_a_lost_answer_makes_no_token_of_another_good(store: FakeStore) -> None:
    here, elsewhere = Gateway(store), Gateway(store)
    here.spend("two")
    elsewhere.spend()
    store.loses_answer = True
    assert here.spend() == [USED]


def test_an_answer_that_is_lost_twice_is_none(store: FakeStore) -> None:
    gateway = Gateway(store)
    gateway.spend("two")
    store.faults = [EtcdError("lost", is_unsure=True), EtcdError("lost", is_unsure=True)]
    assert gateway.spend() == [AWAY]


@pytest.mark.parametrize("code", [7, 16])
def test_a_refusal_is_not_asked_about_twice(store: FakeStore, code: int) -> None:
    gateway = Gateway(store)
    gateway.spend("two")
    store.faults = [EtcdError("etcd.test: permission denied", code)]
    asked = len(store.asked)
    assert gateway.spend() == [AWAY]
    assert store.asked[asked:] == ["create"]
    assert code != LEASE_NOT_FOUND


def test_a_token_that_was_refused_is_not_written_later(store: FakeStore) -> None:
    gateway = Gateway(store)
    store.hangs = True
    results = gateway.spend()  # which hangs at its lease
    store.clock.advance(LIMIT)
    store.answer_late()
    assert results == [AWAY]
    assert store.values == {}
    assert gateway.spend() == ["good"]


# Clients, and workers


def test_who_leaves_meanwhile_leaves_nothing_and_is_no_outage(store: FakeStore) -> None:
    gateway = Gateway(store)
    gateway.spend("two")
    store.hangs = True
    results = gateway.spend()
    gateway.waiting.cancel()
    assert results == ["left"]
    assert store.clock.getDelayedCalls() == []
    assert gateway.lines.lines == []


def test_so_many_are_asked_about_at_a_time_and_one_more_is_not(store: FakeStore) -> None:
    gateway = Gateway(store)
    store.hangs = True
    waiting = [gateway.spend(str(number)) for number in range(MAX_ASKED)]
    assert gateway.spend() == [AWAY]
    store.clock.advance(LIMIT + 1)
    assert all(results == [AWAY] for results in waiting)
    assert gateway.spend() == [AWAY]
    store.answer_late()
    assert gateway.spend() == ["good"]


class Supervisor:
    """What a worker asks, which answers later."""

    def __init__(self) -> None:
        self.asked: list[Deferred[None]] = []

    def spend(self, claims: Claims, now: float) -> Deferred[None]:
        self.asked.append(Deferred())
        return self.asked[-1]


def test_what_the_supervisor_remembers_counts_too(store: FakeStore) -> None:
    supervisor = Supervisor()
    gateway = Gateway(store, local=supervisor)
    results = [gateway.spend(), gateway.spend("two")]
    assert results == [[], []]
    supervisor.asked[0].callback(None)
    supervisor.asked[1].errback(BadToken(USED))
    assert results == [["good"], [USED]]


def test_a_stop_leaves_no_connection(store: FakeStore) -> None:
    gateway = Gateway(store)
    gateway.tokens.start(None)
    gateway.tokens.stop(None)
    assert store.is_closed

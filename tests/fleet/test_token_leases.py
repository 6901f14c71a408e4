"""The leases of one-time tokens."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from proxymux.errors import EtcdError
from proxymux.fleet.token_leases import MARGIN, MAX_LEASES, MAX_TTL, SPAN, TokenLeases
from tests.fleet.stores import results_of

NOW = 1_700_000_000.0 // SPAN * SPAN


class Granting:
    """Grants leases when the test says so."""

    def __init__(self, at_once: bool = True) -> None:
        self.at_once = at_once
        self.asked: list[tuple[int, Deferred[int]]] = []
        self.leases = TokenLeases(self.grant)

    def grant(self, seconds: int) -> Deferred[int]:
        granted: Deferred[int] = Deferred()
        self.asked.append((seconds, granted))
        if self.at_once:
            granted.callback(len(self.asked))
        return granted

    @property
    def seconds(self) -> list[int]:
        return [seconds for seconds, _ in self.asked]


def test_tokens_that_expire_within_one_minute_share_a_lease() -> None:
    granting = Granting()
    assert results_of(granting.leases.of(NOW + 60, NOW)) == [1]
    assert results_of(granting.leases.of(NOW + 119, NOW + 5)) == [1]
    assert results_of(granting.leases.of(NOW + 120, NOW + 5)) == [2]
    assert len(granting.asked) == 2


def test_a_lease_lasts_until_no_gateway_takes_its_last_token() -> None:
    granting = Granting()
    granting.leases.of(NOW + 60, NOW)
    assert granting.seconds == [120 + 30 + MARGIN]


def test_the_seconds_are_within_what_etcd_takes() -> None:
    granting = Granting()
    granting.leases.of(NOW - 1000, NOW)
    granting.leases.of(1e15, NOW)
    assert granting.seconds == [MARGIN, MAX_TTL]


def test_who_asks_meanwhile_waits_for_the_same_lease() -> None:
    granting = Granting(at_once=False)
    first, second = (results_of(granting.leases.of(NOW, NOW)) for _ in range(2))
    left = granting.leases.of(NOW, NOW)
    lefts = results_of(left)
    left.cancel()
    assert lefts[0].check(CancelledError)
    assert (first, second) == ([], [])
    granting.asked[0][1].callback(7)
    assert (first, second, len(lefts)) == ([7], [7], 1)
    assert len(granting.asked) == 1


def test_a_failure_is_that_of_all_who_wait_and_the_next_asks_again() -> None:
    granting = Granting(at_once=False)
    first, second = (results_of(granting.leases.of(NOW, NOW)) for _ in range(2))
    granting.asked[0][1].errback(EtcdError("away"))
    assert first[0].check(EtcdError)
    assert second[0].check(EtcdError)
    assert len(granting.leases) == 0
    third = results_of(granting.leases.of(NOW, NOW))
    granting.asked[1][1].callback(7)
    assert third == [7]


def test_a_lost_lease_is_asked_for_anew_once() -> None:
    granting = Granting()
    granting.leases.of(NOW, NOW)
    granting.leases.lost(NOW, 1)
    assert results_of(granting.leases.of(NOW, NOW)) == [2]
    granting.leases.lost(NOW, 1)  # of another who had it, too
    assert results_of(granting.leases.of(NOW, NOW)) == [2]


def test_the_number_of_leases_is_bounded_and_those_in_use_stay() -> None:
    granting = Granting()
    for number in range(MAX_LEASES):
        granting.leases.of(NOW + SPAN * number, NOW)
    granting.leases.of(NOW, NOW)
    granting.leases.of(NOW + SPAN * MAX_LEASES, NOW)
    assert len(granting.leases) == MAX_LEASES
    assert results_of(granting.leases.of(NOW, NOW)) == [1]
    assert results_of(granting.leases.of(NOW + SPAN, NOW)) == [MAX_LEASES + 2]


def test_those_that_no_token_needs_any_more_are_forgotten() -> None:
    granting = Granting()
    for number in range(10):
        granting.leases.of(NOW + SPAN * number, NOW)
    granting.leases.of(NOW + 1e6, NOW + 1e6)
    assert len(granting.leases) == 1

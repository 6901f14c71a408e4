from __future__ import annotations

import pytest

from bench.figures import Bound, Metric, Row, Sample, both, build_of, conclude

COST = Metric("cpu", "µs", "haproxy", bound=Bound(1.0, pure=1.05))


def rows(metric: Metric, rounds: list[dict[str, float]]) -> dict[str, Row]:
    samples = [
        Sample(number, "request", peer, {metric.key: value})
        for number, values in enumerate(rounds, 1)
        for peer, value in values.items()
    ]
    return {row.peer: row for row in conclude("request", [metric], samples)}


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    """In the second round the machine was three times as slow, in the third one the peer was disturbed."""
    found = rows(
        COST, [{"haproxy": 10, "proxymux": 11}, {"haproxy": 30, "proxymux": 33}, {"haproxy": 20, "proxymux": 10}]
    )
    row = found["proxymux"]
    assert row.ratios == pytest.approx([1.1, 1.1, 0.5])
    assert row.ratio == pytest.approx(1.1)
    assert (row.median, row.low, row.high, row.rounds) == (11, 10, 33, 3)


def test_a_round_without_the_peer_counts_for_no_ratio() -> None:
    row = rows(COST, [{"haproxy": 10, "proxymux": 11}, {"proxymux": 99}])["proxymux"]
    assert row.ratios == [1.1]
    assert row.rounds == 2


def test_each_build_has_its_own_bound() -> None:
    found = rows(COST, [{"haproxy": 100, "proxymux": 104, "proxymux-compiled": 104}])
    assert [(row.build, row.bound, row.met) for row in found.values()] == [
        (None, None, None),
        ("pure", 1.05, True),
        ("compiled", 1.0, False),
    ]


def test_of_a_rate_the_bound_is_the_least() -> None:
    metric = Metric("rate", "Gbit/s", "haproxy", bound=both(1.4), more=True)
    found = rows(metric, [{"haproxy": 10, "proxymux": 13.9, "proxymux-compiled": 14.0}])
    assert (found["proxymux"].met, found["proxymux-compiled"].met) == (False, True)


def test_a_build_of_which_nothing_is_demanded_meets_nothing() -> None:
    row = rows(Metric("get", "1/s", "haproxy", bound=Bound(0.8), more=True), [{"haproxy": 1, "proxymux": 0.1}])[
        "proxymux"
    ]
    assert (row.bound, row.met) == (None, None)


def test_a_figure_may_be_compared_with_another_one_of_a_peer() -> None:
    metric = Metric("fifo get", "1/s", "nutcracker", "get", more=True)
    samples = [Sample(1, "redis", "nutcracker", {"get": 4.0}), Sample(1, "redis", "proxymux", {"fifo get": 3.0})]
    (row,) = conclude("redis", [metric], samples)
    assert (row.reference, row.ratio) == ("nutcracker get", 0.75)


@pytest.mark.parametrize(
    ("peer", "build"),
    [
        ("haproxy", None), ("proxymux", "pure"), ("proxymux-2", "pure"), ("proxymux-beside", "pure"),
        ("proxymux-compiled", "compiled"), ("proxymux-compiled-2", "compiled"),
        ("proxymux-compiled-beside", "compiled"),
    ],
)  # fmt: skip
def test_the_name_of_a_peer_says_its_build(peer: str, build: str | None) -> None:
    assert build_of(peer) == build

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.rate_limit import LocalTimes, Rate, RateLimit, key_of, parse_rate

quick = settings(database=None, deadline=None, max_examples=200)
ONE = ipaddress.ip_address("192.0.2.1")
OTHER = ipaddress.ip_address("192.0.2.2")
SECRET = b"secret"


def limit(text: str, times: LocalTimes | None = None) -> RateLimit:
    rate = parse_rate(text)
    return RateLimit(rate, times or LocalTimes(rate.seconds), SECRET)


def taken(some: RateLimit, count: int, now: float) -> int:
    """How many of ``count`` connections at once are within the limit."""
    return sum(some.take(ONE, now) for _ in range(count))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5", Rate(5, 1)),
        ("5/1", Rate(5, 1)),
        ("100/60", Rate(100, 60)),
        ("1/0.5", Rate(1, 0.5)),
        ("1/500ms", Rate(1, 0.5)),
        ("100/1h", Rate(100, 3600)),
        ("1000000", (10**6, 1)),
    ],
)
def test_a_rate_is_so_many_in_so_many_seconds(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "1.5",
        "x",
        "/",
        "5/",
        "/5",
        "5/0",
        "5/-1",
        "5/nan",
        "5/inf",
        "5/s",
        "5//1",
        "5/1/1",
        "1000001",
        "٣",
    ],
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    try:
        rate = parse_rate(text)
    except ValueError:
        return
    raise AssertionError(f"it is {rate}")


@pytest.mark.parametrize("text", ["1", "3/7", "100", "20000", "100000/3600", "1000/0.01"])
def test_as_many_as_n_come_in_at_once_and_no_more(text: str) -> None:
    some = limit(text)
    assert taken(some, some.rate.most + 10, 1e6) == some.rate.most
    assert some.take(OTHER, 1e6)


def test_what_is_refused_takes_nothing_and_the_next_comes_in_on_time() -> None:
    some = limit("10/5")
    assert taken(some, 1000, 100.0) == 10
    for number in range(1, 100):
        assert not some.take(ONE, 100.0 + number * 0.005)
    assert taken(some, 1000, 100.5) == 1
    assert taken(some, 1000, 101.5) == 2
    assert taken(some, 1000, 200.0) == 10


@quick
@given(st.integers(1, 20), st.floats(0.1, 100), st.lists(st.floats(0, 1), min_size=1, max_size=80))
def test_no_time_of_s_seconds_has_more_than_a_burst_and_its_share(
    count: int, seconds: float, steps: list[float]
) -> None:
    """The bucket, reckoned the plain way: it holds N, and gets N in S seconds."""
    some = RateLimit(Rate(count, seconds), LocalTimes(seconds), SECRET)
    level, now = float(count), 1000.0
    for step in steps:
        elapsed = step * seconds / count * 2
        now += elapsed
        level = min(count, level + elapsed * count / seconds)
        if abs(level - 1) > 0.01:  # else rounding says which
            assert some.take(ONE, now) == (level >= 1)
        elif not some.take(ONE, now):
            continue
        level -= level >= 0.99


def test_ipv6_counts_by_its_64() -> None:
    one, same, other = map(ipaddress.ip_address, ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"])
    assert key_of(one, SECRET) == key_of(same, SECRET) != key_of(other, SECRET)
    assert 0 <= key_of(one, SECRET) < 2**64
    assert key_of(one, SECRET) != key_of(one, b"another")
    assert key_of(ONE, SECRET) != key_of(OTHER, SECRET)


def test_what_has_run_out_is_dropped_and_what_has_not_is_kept_up_to_a_number() -> None:
    times = LocalTimes(10.0, most=100)
    for key in range(60):
        times.set(key, 1001.0)
    assert times.get(0) == 1001.0
    for key in range(60, 70):
        times.set(key, 1020.0)
    assert len(times) == 50
    assert times.get(0) == times.get(777) == 0.0
    for key in range(1000, 1200):
        times.set(key, 1021.0 + key / 1000)
        assert len(times) <= 100
    assert times.get(1100) > 0
    assert times.get(1000) == 0.0

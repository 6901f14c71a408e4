from __future__ import annotations

import pytest

from proxymux.cli.top.units import duration, number, rate


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (0.25, "0.2"),
        (9.96, "10"),
        (99_999, "99999"),
        (100_000, "100k"),
        (999_600, "1.0M"),
        (1_250_000, "1.2M"),
        (7e18, "7000P"),
    ],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.5, "0.5"), (999, "999"), (999.7, "1.0k"), (9_960, "10k"), (123_456, "123k")]
)
def test_rates_are_shorter(value: float | None, text: str) -> None:
    assert rate(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.04, "0.0s"),
        (9.96, "9s"),
        (59.9, "59s"),
        (60, "1m00s"),
        (3599, "59m59s"),
        (3600, "1h00m"),
        (90_000, "1d01h"),
        (86_400 * 999, "999d00h"),
        (86_400 * 1000, "1000d"),
    ],
)
def test_durations_are_short(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text

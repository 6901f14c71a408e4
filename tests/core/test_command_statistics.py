"""Counting requests by their names, and when to warn of them."""

from __future__ import annotations

from proxymux.core.command_statistics import MOST_NAMES, OTHERS, QUIET, CommandStatistics


def test_a_warning_is_due_at_the_first_and_then_once_a_minute_for_each_name() -> None:
    statistics = CommandStatistics()
    assert [statistics.note("MULTI", now) for now in (10.0, 10.5, 10 + QUIET - 0.1)] == [1, 0, 0]
    assert statistics.note("WATCH", 11.0) == 1
    assert [statistics.note("MULTI", now) for now in (10 + QUIET, 10 + QUIET + 1)] == [4, 0]
    assert statistics.counts == {"MULTI": 5, "WATCH": 1}
    assert str(statistics) == "MULTI 5, WATCH 1"


def test_the_names_are_bounded() -> None:
    statistics = CommandStatistics()
    for number in range(3 * MOST_NAMES):
        statistics.note(f"name {number}", float(number))
    assert len(statistics.counts) == MOST_NAMES + 1
    assert statistics.counts[OTHERS] == 2 * MOST_NAMES
    assert statistics.note("name 0", 1000.0) == 2

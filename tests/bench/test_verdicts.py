from __future__ import annotations

import random
from typing import Any

import pytest

from bench.verdicts import Figures, Verdict, Word, compare, figures

THRESHOLD = 0.03


def run(
    chance: random.Random, changes: dict[int, float] | None = None, rounds: int = 7, noise: float = 0.01
) -> Figures:
    """Figures of sixty measures, some of them changed by a factor; more is better of the odd ones."""
    found: Figures = {}
    for number in range(60):
        middle = (changes or {}).get(number, 1.0)
        ratios = [middle * chance.lognormvariate(0.0, noise) for _ in range(rounds)]
        found["measure", str(number), "proxymux", "haproxy"] = (ratios, number % 2 == 1)
    return found


def words(verdicts: list[Verdict], word: Word) -> set[int]:
    return {int(each.key[1]) for each in verdicts if each.word is word}


def test_known_changes_are_found_and_nothing_else() -> None:
    chance = random.Random(1)
    changes = {2: 1.10, 3: 1.10, 4: 0.90, 5: 0.90}
    verdicts = compare(run(chance), run(chance, changes), THRESHOLD)
    assert words(verdicts, Word.REGRESSION) == {2, 5}
    assert words(verdicts, Word.GAIN) == {3, 4}
    (slower,) = (each for each in verdicts if each.key[1] == "2")
    assert slower.low < 1.10 < slower.high
    assert slower.times == pytest.approx(1.10, abs=0.02)


def test_one_change_among_many_figures_is_found_in_seven_rounds() -> None:
    chance = random.Random(2)
    assert words(compare(run(chance), run(chance, {8: 1.08}), THRESHOLD), Word.REGRESSION) == {8}


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_where_nothing_has_changed_an_alarm_is_as_rare_as_it_says(noise: float) -> None:
    chance = random.Random(3)
    comparisons = 40
    verdicts = [compare(run(chance, noise=noise), run(chance, noise=noise), THRESHOLD) for _ in range(comparisons)]
    alarms = sum(any(each.word in (Word.REGRESSION, Word.GAIN) for each in every) for every in verdicts)
    assert alarms <= 6  # 2 are meant, and three deviations of the count


def test_noise_is_called_noise_with_the_rounds_that_it_takes() -> None:
    chance = random.Random(4)
    verdicts = compare(run(chance, noise=0.2), run(chance, {0: 1.05}, noise=0.2), THRESHOLD)
    assert len(words(verdicts, Word.NOISE)) > 55
    assert all(each.needed > 100 for each in verdicts)
    assert verdicts[0].said(THRESHOLD) == f"noise (needs {verdicts[0].needed} rounds)"


def test_a_change_that_is_sure_but_small_is_none() -> None:
    chance = random.Random(5)
    verdicts = compare(run(chance, rounds=30), run(chance, {0: 1.015}, rounds=30), THRESHOLD)
    assert words(verdicts, Word.SAME) == set(range(60))
    assert verdicts[0].said(THRESHOLD) == "same within 3%"


def test_only_what_both_have_is_compared() -> None:
    one: Figures = {("request", "cpu 50", "proxymux", "haproxy"): ([1.0], False)}
    other: Figures = {("request", "cpu 50", "proxymux-compiled", "haproxy"): ([1.0], False)}
    assert compare(one, other, THRESHOLD) == []


def row(peer: str, **more: Any) -> dict[str, Any]:
    build = "pure" if peer.startswith("proxymux") else None
    usual = {"measure": "request", "metric": "cpu 50", "peer": peer, "build": build, "reference": "haproxy"}
    return {**usual, "ratios": [1.0, 1.1], "more": False, "bound": 1.05, **more}


def test_figures_are_those_of_proxymux_that_have_bounds() -> None:
    content = {"rows": [row("haproxy"), row("proxymux"), row("proxymux", metric="rate", bound=None)]}
    key = ("request", "cpu 50", "proxymux", "haproxy")
    assert figures([content]) == {key: ([1.0, 1.1], False)}
    assert set(figures([content], every=True)) == {key, ("request", "rate", "proxymux", "haproxy")}


def test_an_earlier_build_beside_is_taken_for_the_one_that_it_is_compared_with() -> None:
    content = {"rows": [row("proxymux"), row("proxymux-beside", ratios=[2.0])]}
    key = ("request", "cpu 50", "proxymux", "haproxy")
    assert figures([content], beside=True) == {key: ([2.0], False)}
    assert figures([content]) == {key: ([1.0, 1.1], False)}


def test_a_round_in_which_nothing_grew_is_left_out() -> None:
    (found,) = figures([{"rows": [row("proxymux", ratios=[0.0, 1.2])]}]).values()
    assert found == ([1.2], False)


def test_results_of_an_older_version_are_refused() -> None:
    old = row("proxymux")
    del old["ratios"]
    with pytest.raises(ValueError, match="older version"):
        figures([{"rows": [old]}])

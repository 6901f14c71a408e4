"""The setting that is a number of workers."""

from __future__ import annotations

import os

import pytest

from proxymux.fields.workers import MOST_WORKERS
from proxymux.settings import Settings


def workers(given: object) -> int | None:
    return Settings.read({"workers": given}).workers


@pytest.mark.parametrize(("cores", "count"), [(1, 1), (3, 3), (200, MOST_WORKERS)])
def test_auto_is_one_a_core_that_may_be_used(monkeypatch: pytest.MonkeyPatch, cores: int, count: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert workers("auto") == count


def test_where_the_system_does_not_say_which_all_cores_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    for cores, count in ((4, 4), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert workers("auto") == count

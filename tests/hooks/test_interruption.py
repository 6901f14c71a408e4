"""A call of user code that does not come back is interrupted; the test tells the time by the signal itself."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from proxymux.errors import DecisionFailed
from proxymux.hooks.interruption import interrupting, is_interrupted
from proxymux.testing import decide, slow_calls

#: Neither of them ends by itself.
LOOP = """
def proxy(data):
    while True:
        try:
            data.find(b'x')
        except Exception:
            pass
"""
ASYNC = "async def proxy(data):\n    while True:\n        pass\n"


def write(folder: Path, source: str) -> str:
    path = folder / "router.py"
    path.write_text(source)
    return str(path)


@pytest.mark.parametrize("source", [LOOP, ASYNC])
def test_a_loop_without_an_end_is_interrupted(source: str, tmp_path: Path) -> None:
    with interrupting(0.02), pytest.raises(DecisionFailed) as caught:
        decide(write(tmp_path, source), b"x")
    assert is_interrupted(caught.value)
    assert "did not come back" in str(caught.value)


def test_another_failure_is_none_of_that() -> None:
    assert not is_interrupted(DecisionFailed("router.py:1: it raised", fault="router.py:1: ValueError"))


def test_the_signal_is_left_as_it_was() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with interrupting(1000):
        assert signal.getsignal(signal.SIGALRM) is not before
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("source", [LOOP, ASYNC])
def test_slow_calls_are_counted(source: str, tmp_path: Path) -> None:
    assert slow_calls(write(tmp_path, source), b"x") == 1


def test_a_slow_route_is_counted(tmp_path: Path) -> None:
    source = "def route(request):\n    while True:\n        pass\n"
    assert slow_calls(write(tmp_path, source), b"PING\r\nGET a\r\n", codec="resp") == 1

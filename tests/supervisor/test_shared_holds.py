from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from proxymux.core.holding import MOST_HOLDS
from proxymux.errors import BadAddress, NotHeld
from proxymux.supervisor.shared_holds import SharedHolds


def test_what_is_held_is_remembered_until_it_is_released() -> None:
    clock = Clock()
    holds = SharedHolds(clock.seconds)
    assert (holds.hold("a:1"), holds.hold("b:1"), holds.hold("a:1")) == (True, True, False)
    clock.advance(5)
    assert holds.targets == ["a:1", "b:1"]
    assert (holds.release("b:1"), holds.release("b:1")) == (True, False)
    # A worker that was started later has held it for less, and knows who waits; another holds one of its own.
    of_workers = [{"target": "a:1", "seconds": 1, "waiting": 3}, {"target": "c:1", "seconds": 2, "waiting": 0}]
    assert holds.show(of_workers) == [
        {"target": "a:1", "seconds": 5, "waiting": 3},
        {"target": "c:1", "seconds": 2, "waiting": 0},
    ]


def test_what_is_no_target_or_too_much_is_not_remembered() -> None:
    holds = SharedHolds(Clock().seconds)
    for do in (holds.hold, holds.release):
        with pytest.raises(BadAddress):
            do("nowhere")
    for port in range(1, MOST_HOLDS + 1):
        holds.hold(f"a:{port}")
    with pytest.raises(NotHeld):
        holds.hold("b:1")
    assert len(holds.targets) == MOST_HOLDS

from __future__ import annotations

import pytest

from proxymux.core.cluster import MOST_DRAINED
from proxymux.errors import BadAddress, NoMember
from proxymux.supervisor.shared_drains import SharedDrains


def test_what_is_drained_is_remembered_until_it_is_enabled() -> None:
    drains = SharedDrains()
    assert [drains.note("users", "[::01]:1", True), drains.note("users", "[::1]:1", True)] == [True, False]
    assert drains.note("others", "[::1]:1", True)
    assert drains.members == [("users", "[::1]:1"), ("others", "[::1]:1")]
    assert [drains.note("users", "[::1]:1", False), drains.note("users", "[::1]:1", False)] == [True, False]
    assert drains.members == [("others", "[::1]:1")]


def test_what_is_no_address_or_too_much_is_not_remembered() -> None:
    drains = SharedDrains()
    with pytest.raises(BadAddress):
        drains.note("users", "nowhere", True)
    for port in range(1, MOST_DRAINED + 1):
        drains.note("users", f"a:{port}", True)
    with pytest.raises(NoMember):
        drains.note("users", "b:1", True)
    assert len(drains.members) == MOST_DRAINED

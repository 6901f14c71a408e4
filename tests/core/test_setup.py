"""Changes of a setup: what a client's requests after one are sent in."""

from __future__ import annotations

from proxymux.core.setup import Change, settled


def test_a_change_is_what_it_came_to_once_that_is_known() -> None:
    change = Change(None, "new")
    assert settled(change) is change
    change.settle(is_refused=False)
    assert settled(change) == "new"
    refused = Change("old", "new")
    refused.settle(is_refused=True)
    assert settled(refused) == "old"
    assert settled("other") == "other"


def test_a_change_after_a_change_goes_back_to_what_that_came_to() -> None:
    first = Change(None, "first")
    second, third = Change(first, "second"), Change(first, "third")
    first.settle(is_refused=True)
    second.settle(is_refused=True)
    third.settle(is_refused=False)
    assert (settled(second), settled(third)) == (None, "third")

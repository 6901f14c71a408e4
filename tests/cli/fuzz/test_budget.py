from __future__ import annotations

import pytest

from proxymux.cli.fuzz.budget import Budget, read_budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [("1", Budget(1)), ("30s", Budget(None, 30)), ("5m", Budget(None, 300)), ("24h", Budget(None, 86400))],
)
def test_inputs_or_a_time(text: str, budget: Budget) -> None:
    assert read_budget(text) == budget


@pytest.mark.parametrize("text", ["", "0", "0s", "25h", "-1", "1.5s", "1 s", "router.py", "99999999999", "\u0661"])
def test_anything_else_is_told_what_is_accepted(text: str) -> None:
    with pytest.raises(ValueError, match="nor a time such as 30s"):
        read_budget(text)

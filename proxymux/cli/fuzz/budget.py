"""How much is tried: a number of inputs, or for how long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxymux.core.quantity import SECONDS, in_plain

#: The most seconds that a number of inputs may take.
LONGEST: Final = 300
#: What may be asked for.
_MOST_INPUTS: Final = 10**9
_MOST_SECONDS: Final = 86400


@dataclass(frozen=True, slots=True)
class Budget:
    """How much is tried.

    :param inputs: the most inputs; None is any number.
    :param seconds: the longest that it takes, but for what has been begun.
    """

    inputs: int | None = 2000
    seconds: float = LONGEST

    def __str__(self) -> str:
        return f"{self.seconds:g} s" if self.inputs is None else f"{self.inputs} inputs"


def read_budget(text: str) -> Budget:
    """The budget that a user has typed: ``500`` inputs, or ``30s``, ``5m`` or ``1h``.

    :raises ValueError: with what is accepted.
    """
    match = re.fullmatch(r"([0-9]{1,10})([smh]?)", text)
    number = int(in_plain(text, SECONDS)) if match else 0
    if match and match[2]:
        if 0 < number <= _MOST_SECONDS:
            return Budget(None, number)
    elif 0 < number <= _MOST_INPUTS:
        return Budget(number)
    raise ValueError(f"not a number of inputs up to {_MOST_INPUTS}, nor a time such as 30s, 5m or 1h up to a day")

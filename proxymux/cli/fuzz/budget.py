"""How much is tried: a number of inputs, or for how long."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: The most seconds that a number of inputs may take.
LONGEST: Final = 300
#: What may be asked for.
_MOST_INPUTS: Final = 10**9
_MOST_SECONDS: Final = 86400
_UNITS: Final = {"": None, "s": 1, "m": 60, "h": 3600}


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
    number, unit = (int(match[1]), _UNITS[match[2]]) if match else (0, None)
    if unit is None and 0 < number <= _MOST_INPUTS:
        return Budget(number)
    if unit is not None and 0 < number * unit <= _MOST_SECONDS:
        return Budget(None, number * unit)
    raise ValueError(f"not a number of inputs up to {_MOST_INPUTS}, nor a time such as 30s, 5m or 1h up to a day")

"""Durations and sizes as an operator writes them: a plain number, or one with a unit such as ``5m`` or ``64k``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

SECONDS: Final = "seconds"
MILLISECONDS: Final = "milliseconds"
BYTES: Final = "bytes"

_NUMBER: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([A-Za-z]{1,2})\Z", re.ASCII)
_SECONDS_OF: Final = {"ms": "0.001", "s": "1", "m": "60", "h": "3600", "d": "86400"}
_BYTES_OF: Final = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
#: How many of the measure one of each unit is.
_UNITS: Final[Mapping[str, Mapping[str, Decimal]]] = {
    SECONDS: {unit: Decimal(each) for unit, each in _SECONDS_OF.items()},
    MILLISECONDS: {unit: 1000 * Decimal(each) for unit, each in _SECONDS_OF.items()},
    BYTES: {each: Decimal(size) for unit, size in _BYTES_OF.items() for each in (unit, unit.upper())},
}
_TIMES: Final = ("500ms, 5m, 1h", "500ms, 10s, 5m, 1h or 1d")
#: Examples of what has a unit, by measure: a few for the help, and enough to tell all units, for messages.
EXAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    SECONDS: _TIMES,
    MILLISECONDS: _TIMES,
    BYTES: ("64k, 10M, 1G", "64k, 10M or 1G"),
}


def in_plain(text: str, measure: str) -> str:
    """Rewrite a number with a unit as one without: ``5m`` in seconds is ``300``, ``64k`` in bytes ``65536``.

    Any other text comes back as it is, for the caller to accept or refuse.

    :param measure: :data:`SECONDS`, :data:`MILLISECONDS` or :data:`BYTES`; with any other no unit is known.
    """
    found = _NUMBER.match(text)
    scale = None if found is None else _UNITS.get(measure, {}).get(found[2])
    if found is None or scale is None:
        return text
    plain = f"{Decimal(found[1]) * scale:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def with_units(measure: str) -> str:
    """What an error message says of the units of a measure, to be appended to the numbers that are accepted."""
    return f", or with a unit such as {EXAMPLES[measure][1]}" if measure in EXAMPLES else ""

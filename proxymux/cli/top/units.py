"""Numbers in few characters."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("", "k", "M", "G", "T", "P")
#: What is not known.
_NONE: Final = "-"


def number(value: float | None) -> str:
    """A number in at most five characters: ``99999``, ``100k``, ``1.2M``; ``-`` for None."""
    return _NONE if value is None else _short(value, 99_999.5)


def rate(value: float | None) -> str:
    """So many a second, in at most four characters: ``0.5``, ``999``, ``1.2k``; ``-`` for None."""
    return _NONE if value is None else _short(value, 999.5)


def _short(value: float, limit: float) -> str:
    if value < 9.95 and value != int(value):
        return f"{value:.1f}"
    if value < limit:
        return f"{value:.0f}"
    unit = 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f}{_UNITS[unit]}" if value < 9.95 else f"{value:.0f}{_UNITS[unit]}"


def duration(seconds: float | None) -> str:
    """A time in about six characters: ``1.5s``, ``59s``, ``2m05s``, ``3h07m``, ``12d03h``."""
    if seconds is None:
        return _NONE
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    days = whole // 86400
    return f"{days}d{whole % 86400 // 3600:02}h" if days < 1000 else f"{days}d"

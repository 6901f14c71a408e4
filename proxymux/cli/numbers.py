"""The numbers of a command line, each read as argparse wants it."""

from __future__ import annotations

import argparse
from typing import Final

from proxymux.core.decision import MAX_SECONDS
from proxymux.core.excerpt import excerpt
from proxymux.core.quantity import EXAMPLES, SECONDS, in_plain, with_units

#: Begins the help of an option that is a duration.
IN_SECONDS: Final = f"{SECONDS} ({EXAMPLES[SECONDS][0]})"


def whole_number(text: str, least: int, most: int) -> int:
    """A whole number within bounds, both of which are accepted."""
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{excerpt(text)} is not a whole number from {least} to {most}")
    return int(text)


def whole_seconds(text: str) -> int:
    """Seconds without a fraction, or a duration with a unit; 0 is accepted."""
    try:
        value = int(in_plain(text, SECONDS))
    except ValueError:
        value = -1
    if not 0 <= value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{excerpt(text)} is not a whole number of seconds from 0 to {MAX_SECONDS}{with_units(SECONDS)}"
        )
    return value


def seconds(text: str) -> float:
    """Seconds above 0, or a duration with a unit."""
    try:
        value = float(in_plain(text, SECONDS))
    except ValueError:
        value = 0
    if not 0 < value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{excerpt(text)} is not a number of seconds above 0, up to {MAX_SECONDS}{with_units(SECONDS)}"
        )
    return value

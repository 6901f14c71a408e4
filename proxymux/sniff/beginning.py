"""Patterns that match what may yet become a match.

:mod:`re` tells whether a text matches, not whether it could if it went on, which is what NEED_DATA means.  For a
pattern that is a row of steps, one after the other, the second follows from the first, and is made here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

#: The characters of a token (RFC 9110 section 5.6.2), for use between square brackets.
TCHAR: Final = rb"!#$%&'*+.^_`|~0-9A-Za-z-"


def beginning_of(steps: Sequence[bytes]) -> re.Pattern[bytes]:
    """A pattern of all beginnings of what the steps match in a row; use it with ``fullmatch``.

    :param steps: patterns, each of a single byte, or of a run of bytes of which every non-empty beginning matches too.
        No run may hold a byte that the next step begins with: so there is but one way to match, in linear time.
    """
    pattern = b""
    for step in reversed(steps):
        pattern = b"(?:%b%b)?" % (step, pattern)
    return re.compile(pattern)


def letters(text: bytes) -> tuple[bytes, ...]:
    """The steps of a fixed text."""
    return tuple(re.escape(text[at : at + 1]) for at in range(len(text)))

"""Patterns that match every beginning of another pattern's matches, to tell when the answer is NEED_DATA.

:mod:`re` says whether a text matches, but not whether a longer text could.  For a pattern that is a sequence of simple
steps, the pattern of its beginnings is built here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

#: The characters of an HTTP token (RFC 9110 section 5.6.2), for use between square brackets.
TCHAR: Final = rb"!#$%&'*+.^_`|~0-9A-Za-z-"


def beginning_of(steps: Sequence[bytes]) -> re.Pattern[bytes]:
    """A pattern of all beginnings of what the steps match in sequence; for use with ``fullmatch``.

    :param steps: patterns, each of a single byte, or of a run of bytes of which every non-empty beginning matches too.
        A run must not contain a byte that the next step can begin with: matching is then unambiguous and takes linear
        time.
    """
    pattern = b""
    for step in reversed(steps):
        pattern = b"(?:%b%b)?" % (step, pattern)
    return re.compile(pattern)


def letters(text: bytes) -> tuple[bytes, ...]:
    """The steps of a fixed text, for :func:`beginning_of`: one for each byte."""
    return tuple(re.escape(text[at : at + 1]) for at in range(len(text)))

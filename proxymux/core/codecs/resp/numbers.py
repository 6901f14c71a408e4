"""The lines that begin an array or a bulk string, and the numbers in them."""

from __future__ import annotations

import re
from typing import Final

#: Bytes of the bulk strings whose lengths are looked up; a look-up takes a third of the time that reading takes.
SMALL: Final = 4096
#: The beginnings of small bulk strings, and their lengths.
LENGTHS: Final = {b"$%d" % length: length for length in range(SMALL + 1)}

_NUMBER: Final = re.compile(rb"(?:0|-?[1-9][0-9]{0,14})\r\n")


def number_in(line: bytes) -> int | None:
    """The number after the first byte of a line that ends with CRLF; None if no number is all there is."""
    return int(line[1:-2]) if _NUMBER.fullmatch(line, 1) else None

"""Which memcached commands change nothing, so that they may be sent a second time."""

from __future__ import annotations

import re
from typing import Final

#: The lines of such commands.  Of a meta get the flags N, R, T and E are left out, which store something; ``gat`` sets
#: the time to live; ``stats`` with other words than these may set something back.
_READS: Final = re.compile(
    rb"(?:gets? .*"
    rb"|mg +[^ ]+(?: +[^NRTE ][^ ]*)* *"
    rb"|(?:me +[^ ]+.*|mn|version) *"
    rb"|stats(?: +(?:items|slabs|sizes|settings|conns))? *)"
    rb"\r?\n"
)


def is_repeatable(data: bytes) -> bool:
    """True if none of the commands in ``data`` changes anything.

    :param data: complete commands.  One with a value is none of these, so all bytes are lines.
    """
    return all(_READS.fullmatch(line) for line in data.splitlines(keepends=True))

"""Samples: the first bytes of a session, as far as its decision has seen them, and what came of them in a word.

The name of a sample's file has its time, its service, the number of its session and the word, in this order, so that
samples sort by time: ``20260504T100000.123Z-router-7-forward-db.example:5432``.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import Final
from urllib.parse import quote

from proxymux.core.decision import BadHandshake, Decision, Forward, Reject, Reply, Share, Terminate

#: The most bytes of a sample.  A session whose decision has seen more has none.
MAX_SAMPLE: Final = 1 << 20
#: The words for a session without a decision, and for one whose router has failed.
UNDECIDED: Final = "undecided"
FAILED: Final = "router_error"
#: The most characters of a word; the system has room for 255 in a name.
_MAX_WORD: Final = 160


def word_of(decision: Decision) -> str:
    """A decision in a word that a file's name can have.

    Equal words mean the same kind, and the same targets or as many bytes of a last word.
    """
    if isinstance(decision, Forward):
        return _shortened(f"forward-{','.join(map(str, decision.targets))}")
    if isinstance(decision, Reject):
        return f"reject-{len(decision.last_word)}" if decision.last_word else "reject"
    if isinstance(decision, Terminate):
        return _shortened(f"terminate-{decision.tls_terminate}")
    if isinstance(decision, BadHandshake):
        return "bad_handshake"
    if isinstance(decision, Share):
        return "share"
    return UNDECIDED


def _shortened(word: str) -> str:
    quoted = quote(word, safe=",:[]=")
    if len(quoted) <= _MAX_WORD:
        return quoted
    digest = hashlib.sha256(quoted.encode()).hexdigest()[:16]
    return f"{quoted[: _MAX_WORD - 17]}~{digest}"


def name_of(time: float, service: str, session: int, word: str) -> str:
    """The name of a sample's file.

    :param time: when it was decided, in seconds since the epoch.
    """
    at = datetime.fromtimestamp(time, timezone.utc)
    return f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z-{service}-{session}-{word}"


def recorded_word(name: str) -> str | None:
    """The word in the name of a sample's file; None if the name is none of :func:`name_of`."""
    parts = name.split("-", 3)
    return parts[3] if len(parts) == 4 and parts[2].isdecimal() else None


class Sample:
    """The bytes of one session, while it is being decided."""

    __slots__ = ("_before", "_shown", "is_over")

    def __init__(self) -> None:
        #: What was consumed by the replies of a negotiation.
        self._before = b""
        self._shown = b""
        #: No more is kept: it was taken, or has become too long.
        self.is_over = False

    def show(self, data: bytes) -> None:
        """Take note of what the decider is given."""
        if not self.is_over:
            self._shown = data
            if len(self._before) + len(data) > MAX_SAMPLE:
                self.take()

    def reply(self, decision: Reply) -> None:
        """Take note of what a step of a negotiation has consumed."""
        if not self.is_over:
            self._before += self._shown[: decision.consume]
            self._shown = self._shown[decision.consume :]

    def take(self) -> bytes:
        """All of it; nothing is kept from then on."""
        data = self._before + self._shown
        self._before = self._shown = b""
        self.is_over = True
        return data

"""The talk of a check: one interface for every kind."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from proxymux.core.decision import NEED_DATA, NeedData
from proxymux.core.excerpt import excerpt

#: The most bytes of an answer that are looked at.
MOST: Final = 1 << 16
#: What is found: None that the check has passed, a text in one line why it has failed, NEED_DATA nothing yet.
Verdict = str | NeedData | None


class Step(NamedTuple):
    """What is made of what has come so far.

    :param verdict: as of now.
    :param send: the bytes to send next, which may be some even with a verdict: a word of farewell.
    """

    verdict: Verdict
    send: bytes = b""


#: There is nothing to be said before more has come.
WAIT: Final = Step(NEED_DATA)
PASSED: Final = Step(None)


class Talk(Protocol):
    """What is said in one check.  Nothing is called after a verdict."""

    def begin(self) -> Step:
        """Begin, on a connection that is established."""

    def received(self, data: bytes) -> Step:
        """Take what the member has sent, in whatever pieces."""

    def ended(self) -> str | None:
        """Take note that the member sends no more: the verdict."""


def shown(text: bytes) -> str:
    """What a member has answered, cut, for the line that says why a check has failed."""
    return excerpt(text.decode("utf-8", "replace"), 80)

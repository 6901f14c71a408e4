"""Checks that say what the operator wrote, and look for a text in the answer."""

from __future__ import annotations

from typing import Final

from proxymux.core.check_talk.talk import MOST, PASSED, WAIT, Step
from proxymux.core.decision import NEED_DATA

#: The verdict on an answer without the text.
NOT_FOUND: Final = "the answer does not have the expected text in it"


class Search:
    """Looks for a text in bytes that come in pieces, each of which is looked at once.

    :param text: at least one byte.
    """

    def __init__(self, text: bytes) -> None:
        self._text = text
        #: The last bytes, with which the text may begin.
        self._kept = b""

    def feed(self, data: bytes) -> bool:
        """True if the text ends in ``data``."""
        looked_at = self._kept + data
        self._kept = looked_at[max(0, len(looked_at) - len(self._text) + 1) :]
        return self._text in looked_at


class SilentTalk:
    """Nothing is asked for: that the member takes the connection, and what is sent, is enough.

    :param send: may be empty.
    """

    def __init__(self, send: bytes = b"") -> None:
        self._send = send

    def begin(self) -> Step:
        return PASSED._replace(send=self._send)

    def received(self, data: bytes) -> Step:
        return PASSED

    def ended(self) -> None:
        """Pass: whoever closes has accepted."""


class ExpectTalk:
    """The first :data:`~proxymux.core.check_talk.talk.MOST` bytes of the answer must have a text in them.

    :param send: may be empty, for a member that speaks first.
    """

    def __init__(self, send: bytes, expect: bytes) -> None:
        self._send = send
        self._search = Search(expect)
        self._left = MOST

    def begin(self) -> Step:
        return Step(NEED_DATA, self._send)

    def received(self, data: bytes) -> Step:
        data = data[: self._left]
        self._left -= len(data)
        if self._search.feed(data):
            return PASSED
        return WAIT if self._left else Step(NOT_FOUND)

    def ended(self) -> str:
        return NOT_FOUND

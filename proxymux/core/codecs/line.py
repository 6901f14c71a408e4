"""Lines: a request is a line that ends with LF, and so is its reply."""

from __future__ import annotations

from proxymux.core.codecs import LINE_LIMIT, CodecBase, Request
from proxymux.core.codecs.pieces import Due, unsolicited
from proxymux.errors import BadMessage


class LineCodec(CodecBase):
    """One line each way.

    :param limit: bytes that a line may have, its LF included.
    """

    name = "line"
    silent_first = True  # any line could be the reply

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit

    def requests(self) -> LineRequests:
        return LineRequests(self._limit)

    def replies(self) -> LineReplies:
        return LineReplies(self._limit)

    def failure(self, problem: str) -> bytes:
        return b""


class _Lines:
    """Where lines end.  Of one that is not whole only the length is kept."""

    def __init__(self, limit: int) -> None:
        self.begun = 0
        self._limit = limit

    def ends(self, data: bytes, most: int | None = None) -> list[int]:
        """The offsets where lines end; at most ``most`` of them, if what follows is not to be looked at."""
        ends: list[int] = []
        at = 0
        while most is None or len(ends) < most:
            end = data.find(b"\n", at) + 1
            self.begun += (end or len(data)) - at
            if self.begun > self._limit:
                bad = BadMessage(f"a line has more than {self._limit} bytes")
                bad.finished = ends
                raise bad
            if not end:
                break
            ends.append(end)
            self.begun = 0
            at = end
        return ends


class LineRequests:
    """A request a line."""

    interim = b""

    def __init__(self, limit: int) -> None:
        self._lines = _Lines(limit)

    def feed(self, data: bytes) -> list[Request]:
        try:
            return [Request(end) for end in self._lines.ends(data)]
        except BadMessage as bad:
            bad.finished = [Request(end) for end in bad.finished]
            raise

    @property
    def is_between(self) -> bool:
        return not self._lines.begun


class LineReplies(Due):
    """A reply a line."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._lines = _Lines(limit)

    def feed(self, data: bytes) -> list[int]:
        ends = self._lines.ends(data, self._due)
        self._due -= len(ends)
        if not self._due and len(data) > (ends[-1] if ends else 0):
            raise unsolicited(ends)
        return ends

    @property
    def is_between(self) -> bool:
        return not self._lines.begun

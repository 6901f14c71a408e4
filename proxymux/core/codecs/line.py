"""Lines: each request and each reply is one line that ends with LF."""

from __future__ import annotations

from proxymux.core.codecs import CodecBase, Request
from proxymux.core.codecs.limits import DEFAULT_LIMITS, Limits
from proxymux.core.codecs.pieces import Due, Stateless, unsolicited
from proxymux.errors import BadMessage


class LineCodec(CodecBase):
    """The codec ``line``.

    :param limits: the most bytes of a line, its LF included, are ``limits.line``.
    """

    name = "line"
    silent_first = True  # a greeting line cannot be told from a reply

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limit = limits.line

    def requests(self) -> LineRequests:
        return LineRequests(self._limit)

    def replies(self) -> LineReplies:
        return LineReplies(self._limit)


class _Lines:
    """Finds where lines end.  Keeps only the number of bytes of an unfinished line."""

    def __init__(self, limit: int) -> None:
        self.unfinished_bytes = 0
        self._limit = limit

    def ends(self, data: bytes, most: int | None = None) -> list[int]:
        """Return the offsets where lines end.

        :param most: stop after so many; None scans all of ``data``.
        :raises BadMessage: if a line is longer than the limit, with the offsets before it in ``finished``.
        """
        ends: list[int] = []
        at = 0
        while most is None or len(ends) < most:
            end = data.find(b"\n", at) + 1
            self.unfinished_bytes += (end or len(data)) - at
            if self.unfinished_bytes > self._limit:
                bad = BadMessage(f"a line has more than {self._limit} bytes")
                bad.finished = ends
                raise bad
            if not end:
                break
            ends.append(end)
            self.unfinished_bytes = 0
            at = end
        return ends


class LineRequests(Stateless):
    """Each line of a client is a request."""

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
        return not self._lines.unfinished_bytes


class LineReplies(Due):
    """Each line of an upstream is a reply."""

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
        return not self._lines.unfinished_bytes

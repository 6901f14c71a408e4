"""Messages that begin with their length: a big-endian number of 1, 2, 4 or 8 bytes that counts the bytes after it."""

from __future__ import annotations

from proxymux.core.codecs import CodecBase, Request
from proxymux.core.codecs.limits import DEFAULT_LIMITS, Limits
from proxymux.core.codecs.pieces import Due, Stateless, unsolicited
from proxymux.errors import BadMessage


class LengthCodec(CodecBase):
    """The codec ``length:N``: a length of N bytes, then that many bytes of message.

    :param width: bytes of the length field.
    :param limits: the most bytes after the length field are ``limits.value``.
    """

    def __init__(self, width: int, limits: Limits = DEFAULT_LIMITS) -> None:
        self.name = f"length:{width}"
        self._width = width
        self._limit = limits.value

    def requests(self) -> LengthRequests:
        return LengthRequests(self._width, self._limit)

    def replies(self) -> LengthReplies:
        return LengthReplies(self._width, self._limit)


class _Messages:
    """Finds where messages end.  Keeps a part of the length field, or the number of bytes that are still to come."""

    def __init__(self, width: int, limit: int) -> None:
        self._width = width
        self._limit = limit
        self._prefix = b""
        #: The bytes of a message that are still to come, once its length is known.
        self.bytes_left = 0

    @property
    def is_between(self) -> bool:
        return not self.bytes_left and not self._prefix

    def ends(self, data: bytes, most: int | None = None) -> list[int]:
        """Return the offsets where messages end.

        :param most: stop after so many; None scans all of ``data``.
        :raises BadMessage: if a message is longer than the limit, with the offsets before it in ``finished``.
        """
        ends: list[int] = []
        at, size = 0, len(data)
        while at < size and (most is None or len(ends) < most):
            if not self.bytes_left:
                taken = self._width - len(self._prefix)
                self._prefix += data[at : at + taken]
                at = min(at + taken, size)
                if len(self._prefix) < self._width:
                    break
                self.bytes_left = int.from_bytes(self._prefix, "big")
                self._prefix = b""
                if self.bytes_left > self._limit:
                    bad = BadMessage(f"a message of {self.bytes_left} bytes is longer than {self._limit}")
                    bad.finished = ends
                    raise bad
            end = at + self.bytes_left
            if end <= size:
                ends.append(end)
            self.bytes_left = max(0, end - size)
            at = min(end, size)
        return ends


class LengthRequests(Stateless):
    """Each message of a client is a request."""

    interim = b""

    def __init__(self, width: int, limit: int) -> None:
        self._messages = _Messages(width, limit)

    def feed(self, data: bytes) -> list[Request]:
        try:
            return [Request(end) for end in self._messages.ends(data)]
        except BadMessage as bad:
            bad.finished = [Request(end) for end in bad.finished]
            raise

    @property
    def is_between(self) -> bool:
        return self._messages.is_between


class LengthReplies(Due):
    """Each message of an upstream is a reply."""

    def __init__(self, width: int, limit: int) -> None:
        super().__init__()
        self._messages = _Messages(width, limit)

    def remaining(self) -> int | None:
        return self._messages.bytes_left

    def feed(self, data: bytes) -> list[int]:
        ends = self._messages.ends(data, self._due)
        self._due -= len(ends)
        if not self._due and len(data) > (ends[-1] if ends else 0):
            raise unsolicited(ends)
        return ends

    @property
    def is_between(self) -> bool:
        return self._messages.is_between

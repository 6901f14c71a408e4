"""How many replies of one client may be under way at once, by how large its replies are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from proxymux.core.batch import Batch
from proxymux.core.codecs import Codec, Kind
from proxymux.errors import BadMessage

#: The replies that a client may have under way before anything is known of their size.
FIRST: Final = 8
#: The most that it may ever have.
MOST: Final = 1024


class Window:
    """The number of replies that one client may have under way.

    What upstreams send for a client that does not read is kept, and nobody knows how large a reply will be before it
    comes.  So a client begins with few, may have twice as many after each full window of small ones, and as many as fit
    into the limit after large ones.  Only requests that came before the replies to earlier ones are counted at all.

    :param limit: bytes of replies that the client may have under way.
    """

    __slots__ = ("_asked", "_before", "_bytes_before", "_limit", "bytes_out", "most")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        #: The most replies that may be under way; at least 1.
        self.most = FIRST
        #: Bytes that were sent to the client.  The caller counts them.
        self.bytes_out = 0
        # When the present window began: the replies that were under way, and what had been sent.  What was asked since.
        self._before = self._bytes_before = self._asked = 0

    def begin(self, under_way: int) -> None:
        """Begin to count anew; ``under_way`` replies are."""
        self._before, self._bytes_before, self._asked = under_way, self.bytes_out, 0

    def ask(self, count: int) -> None:
        """Take note that ``count`` more replies are under way."""
        self._asked += count

    def room(self, under_way: int) -> int:
        """Return how many more replies may be under way than ``under_way``, after a look at those that have come."""
        answered = self._before + self._asked - under_way
        if answered >= self.most:
            average = (self.bytes_out - self._bytes_before) // answered
            self.most = max(1, min(self._limit // max(1, average), 2 * self.most, MOST))
            self.begin(under_way)
        return self.most - under_way


def under_way(batches: Collection[Batch]) -> int:
    """Return the number of replies to ``batches`` that are still to come."""
    return sum(batch.replies for batch in batches)


def split(batch: Batch, codec: Codec, most: int) -> Batch | None:
    """Take the first requests of ``batch``, which was not submitted yet, off into a batch of their own.

    :param most: how many replies they are to have; up to twice as many if the codec finds no other place.
    :returns: None if the batch cannot be divided.
    """
    found = _find_end(batch.data, codec, most, len(batch.data) * most // batch.replies)
    if found is None:
        return None
    end, count, ends_silent = found
    head = Batch(batch.data[:end], _take(batch.expected, count), count)
    head.sequence = batch.sequence
    head.setup = batch.setup
    head.ends_silent = ends_silent
    batch.data = batch.data[end:]
    batch.replies -= count
    return head


def _find_end(data: bytes, codec: Codec, most: int, size: int) -> tuple[int, int, bool] | None:
    """Return where the first requests of ``data`` end, how many replies they have, and whether the last has none.

    Scanners may find a run of requests as one.  So they are shown the beginning of the data only, by halves.

    :param size: the bytes to show at first.
    """
    low, high = 0, len(data)
    while low + 1 < high:
        size = min(max(size, low + 1), high - 1)
        try:
            requests = codec.requests().feed(data[:size])
        except BadMessage:
            return None
        count = sum(request.count for request in requests if request.kind is not Kind.SILENT)
        if 0 < count <= 2 * most:
            return requests[-1].end, count, requests[-1].kind is Kind.SILENT
        if count:
            high = size
        else:
            low = size
        size = (low + high) // 2 if high < len(data) else 2 * size
    return None


def _take(expected: list[tuple[object, int]], count: int) -> list[tuple[object, int]]:
    """Remove the first ``count`` replies from ``expected``, and return them."""
    taken: list[tuple[object, int]] = []
    while count:
        hint, number = expected[0]
        part = min(number, count)
        taken.append((hint, part))
        count -= part
        if part == number:
            del expected[0]
        else:
            expected[0] = (hint, number - part)
    return taken

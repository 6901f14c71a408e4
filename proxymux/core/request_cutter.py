"""Cuts a client's bytes into batches for upstreams and answers of our own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxymux.core.batch import Batch
from proxymux.core.codecs import Kind, Request
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline_orders import PipelineRules
from proxymux.errors import BadMessage

#: Once a batch has this many replies to come, the next request begins another batch.
_MAX_REPLIES: Final = 1024
#: Pieces of an unfinished request with fewer bytes than this are joined, until they have as many as that.
_SMALL: Final = 4096
_JOINED: Final = 1 << 16
# Named here because an Enum's member takes as long to look up as a call, and these are wanted for every request.
_PLAIN: Final = Kind.PLAIN
_SILENT: Final = Kind.SILENT
_LAST: Final = Kind.LAST
_SHARED: Final = frozenset((Kind.PLAIN, Kind.SILENT, Kind.LAST))
NO_SPARE_UPSTREAM: Final = "this command needs an upstream of its own, and there is none to spare"


@dataclass(slots=True)
class Answer:
    """The proxy's own reply to a request that no upstream gets; sent in its turn among the client's replies.

    :param data: the reply; may be empty.
    :param is_last: no further request of the client is served after this answer.
    :param ending: with ``is_last``, the client's outcome; None is ``completed``.
    """

    data: bytes
    is_last: bool = False
    ending: Ending | None = None


class RequestCutter:
    """Finds the requests of one client by the codec's scanner, and makes batches and answers of them.

    :param rules: the rules of the client's pool.
    """

    __slots__ = ("_kept", "_rules", "kept_size", "scanner")

    def __init__(self, rules: PipelineRules) -> None:
        self.scanner = rules.codec.requests()
        self._rules = rules
        #: The bytes of an unfinished request.
        self._kept: list[bytes | bytearray] = []
        self.kept_size = 0

    def keep(self, data: bytes) -> None:
        """Keep ``data`` without scanning it; see :meth:`cut_kept`.

        Small pieces are joined: a list of them would take many times the memory of their bytes.
        """
        kept = self._kept
        self.kept_size += len(data)
        if len(data) >= _SMALL:
            kept.append(data)
        elif kept and isinstance(kept[-1], bytearray) and len(kept[-1]) < _JOINED:
            kept[-1] += data
        else:
            kept.append(bytearray(data))

    def drop(self) -> None:
        """Discard the kept bytes."""
        self._kept.clear()
        self.kept_size = 0

    def cut(self, data: bytes) -> Batch | list[Batch | Answer]:
        """Return the batches and answers for the requests that end in ``data``, in their order.

        The rest of ``data``, an unfinished request, is kept for the next call.  This method must not be called again
        after it has returned an item with ``is_last``, or a batch with ``alone``.

        :returns: the batch itself where it is the only item and more may follow, as is usual.
        """
        problem = None
        try:
            requests = self.scanner.feed(data)
        except BadMessage as bad:
            requests, problem = bad.finished, bad
        if len(requests) == 1 and not self._kept:
            request = requests[0]
            if request.end == len(data) and request.kind is _PLAIN:
                return self._set_sequence(Batch(data, [(request.hint, request.count)], request.count))
        items = self._cut(data, requests)
        limit = self._rules.request_limit
        if problem is None and self.kept_size > limit:
            text = f"a request of more than {limit} bytes (--max-message)"
            problem = BadMessage(text, self._rules.codec.failure(text))
        if problem is not None and not (items and _ends_cutting(items[-1])):
            self.drop()
            items.append(Answer(problem.answer, True, Ending(Outcome.PROTOCOL_ERROR, str(problem))))
        return items

    @property
    def is_pinned(self) -> bool:
        """True once the codec's scanner has learnt that the client needs an upstream alone."""
        return getattr(self.scanner, "is_pinned", False)

    def claim(self, before: bytes) -> Batch:
        """Return a batch that wants an upstream alone, for requests that were cut before and what is kept.

        Nothing more is to be cut after that.
        """
        return self._set_sequence(Batch(before + self._take_kept(b""), [], 0, alone=True))

    def cut_kept(self) -> Batch | list[Batch | Answer]:
        """As :meth:`cut`, for the bytes given to :meth:`keep`, which silence has ended."""
        return self.cut(self._take_kept(b""))

    def _cut(self, data: bytes, requests: list[Request]) -> list[Batch | Answer]:
        items: list[Batch | Answer] = []
        #: The run of requests that becomes the next batch: where it begins and ends, and its replies.
        start = end = replies = 0
        expected: list[tuple[object, int]] = []
        for request in requests:
            kind = request.kind
            if kind in _SHARED:
                if kind is not _SILENT:
                    expected.append((request.hint, request.count))
                    replies += request.count
                end = request.end
                if not self._rules.batches or kind is _LAST or replies >= _MAX_REPLIES:
                    items.append(self._batch(data[start:end], expected, replies, kind is _LAST))
                    start, expected, replies = end, [], 0
            else:
                if end > start:
                    items.append(self._batch(data[start:end], expected, replies))
                item = self._unshared(request, data, end)
                items.append(item)
                if _ends_cutting(item):
                    return items
                start = end = request.end
                expected, replies = [], 0
        if end > start:
            items.append(self._batch(data[start:end], expected, replies))
        if end < len(data):
            self.keep(data[end:] if end else data)
        return items

    def _batch(self, data: bytes, expected: list[tuple[object, int]], replies: int, is_last: bool = False) -> Batch:
        return self._set_sequence(Batch(self._take_kept(data), expected, replies, is_last=is_last))

    def _set_sequence(self, batch: Batch) -> Batch:
        """Give ``batch`` its place in the order of all clients' batches, where the pool keeps that order."""
        if self._rules.is_ordered:
            batch.sequence = self._rules.next_sequence()
        return batch

    def _unshared(self, request: Request, data: bytes, start: int) -> Batch | Answer:
        """Return the item for a request that does not go to a shared upstream."""
        if request.kind is not Kind.OWN:
            self.drop()
            return Answer(request.answer, request.kind is Kind.QUIT)
        if self._rules.may_have_own():
            return self._set_sequence(Batch(self._take_kept(data[start:]), [], 0, alone=True))
        self.drop()
        refusal = self._rules.codec.failure(NO_SPARE_UPSTREAM)
        if refusal and not self._rules.codec.ends_at_own:
            return Answer(refusal)
        return Answer(refusal, True, Ending(Outcome.PROTOCOL_ERROR, NO_SPARE_UPSTREAM))

    def _take_kept(self, data: bytes) -> bytes:
        """Remove the kept bytes, and return them followed by ``data``."""
        if not self._kept:
            return data
        whole = b"".join((*self._kept, data))
        self.drop()
        return whole


def _ends_cutting(item: Batch | Answer) -> bool:
    """True if no request is cut after ``item``."""
    return item.is_last or (isinstance(item, Batch) and item.alone)

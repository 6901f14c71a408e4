"""From a client's bytes to its batches, and to what it is answered without an upstream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxymux.core.batch import Batch
from proxymux.core.codecs import Kind, Request
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline_orders import PipelineRules
from proxymux.errors import BadMessage

#: Replies to come for one batch, from which on the next request begins another.
_MOST_REPLIES: Final = 1024
# An Enum's member takes as long to look up as a call: these are wanted for every request.
_PLAIN: Final = Kind.PLAIN
_SILENT: Final = Kind.SILENT
_LAST: Final = Kind.LAST
_SHARED: Final = frozenset((Kind.PLAIN, Kind.SILENT, Kind.LAST))
_NOTHING_TO_SPARE: Final = "this command needs an upstream of its own, and there is none to spare"


@dataclass(slots=True)
class Answer:
    """What the client is told in its turn, without any upstream.

    :param data: may be empty.
    :param is_last: nothing of the client is looked at after it.
    :param ending: how the client ends then, if not well.
    """

    data: bytes
    is_last: bool = False
    ending: Ending | None = None


class RequestCutter:
    """The requests of one client.

    :param rules: those of its pool.
    """

    __slots__ = ("_kept", "_rules", "kept_size", "scanner")

    def __init__(self, rules: PipelineRules) -> None:
        self.scanner = rules.codec.requests()
        self._rules = rules
        #: The beginning of a request whose end has not come.
        self._kept: list[bytes] = []
        self.kept_size = 0

    def keep(self, data: bytes) -> None:
        """Bytes have come that nothing is to be looked for in yet."""
        self._kept.append(data)
        self.kept_size += len(data)

    def drop(self) -> None:
        """Nothing comes of what is kept."""
        self._kept.clear()
        self.kept_size = 0

    def cut(self, data: bytes) -> Batch | list[Batch | Answer]:
        """What the requests become that end in ``data``, in their order; what is left of it is kept.

        One batch alone, as most often, if it is the whole of ``data``, and more may come after it.
        After an item that is the last, or a batch that is to be alone, nothing is to be cut any more.
        """
        problem = None
        try:
            requests = self.scanner.feed(data)
        except BadMessage as bad:
            requests, problem = bad.finished, bad
        if len(requests) == 1 and not self._kept:
            request = requests[0]
            if request.end == len(data) and request.kind is _PLAIN:
                return self._number(Batch(data, [(request.hint, request.count)], request.count))
        items = self._cut(data, requests)
        if problem is not None and not (items and _is_end(items[-1])):
            self.drop()
            items.append(Answer(problem.answer, True, Ending(Outcome.PROTOCOL_ERROR, str(problem))))
        return items

    def cut_kept(self) -> Batch | list[Batch | Answer]:
        """As :meth:`cut`, of what is kept, after which no more comes for now."""
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
                if not self._rules.batches or kind is _LAST or replies >= _MOST_REPLIES:
                    items.append(self._batch(data[start:end], expected, replies, kind is _LAST))
                    start, expected, replies = end, [], 0
            else:
                if end > start:
                    items.append(self._batch(data[start:end], expected, replies))
                item = self._special(request, data, end)
                items.append(item)
                if _is_end(item):
                    return items
                start = end = request.end
                expected, replies = [], 0
        if end > start:
            items.append(self._batch(data[start:end], expected, replies))
        if end < len(data):
            self.keep(data[end:] if end else data)
        return items

    def _batch(self, data: bytes, expected: list[tuple[object, int]], replies: int, is_last: bool = False) -> Batch:
        return self._number(Batch(self._take_kept(data), expected, replies, is_last=is_last))

    def _number(self, batch: Batch) -> Batch:
        """Give the batch its place among those of all clients, where these are served in their order."""
        if self._rules.is_ordered:
            batch.sequence = self._rules.next_sequence()
        return batch

    def _special(self, request: Request, data: bytes, start: int) -> Batch | Answer:
        """What becomes of a request that is not for a shared upstream."""
        if request.kind is not Kind.OWN:
            self.drop()
            return Answer(request.answer, request.kind is Kind.QUIT)
        if self._rules.may_have_own():
            return self._number(Batch(self._take_kept(data[start:]), [], 0, alone=True))
        self.drop()
        refusal = self._rules.codec.failure(_NOTHING_TO_SPARE)
        if refusal and not self._rules.codec.ends_at_own:
            return Answer(refusal)
        return Answer(refusal, True, Ending(Outcome.PROTOCOL_ERROR, _NOTHING_TO_SPARE))

    def _take_kept(self, data: bytes) -> bytes:
        """What is kept, and ``data`` after it."""
        if not self._kept:
            return data
        whole = b"".join((*self._kept, data))
        self.drop()
        return whole


def _is_end(item: Batch | Answer) -> bool:
    """True if nothing is looked at after it."""
    return item.is_last or (isinstance(item, Batch) and item.alone)

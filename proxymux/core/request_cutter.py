"""Cuts a client's bytes into batches for upstreams and answers of our own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from proxymux.core.batch import Batch
from proxymux.core.codecs import Kind, Portable, Request, SpecialRequest
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline_orders import PipelineRules
from proxymux.core.setup import UNCHANGED, Change, Setup, settled
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
    :param problem: what was refused for want of an upstream, in one line; empty if nothing was.
    """

    data: bytes
    is_last: bool = False
    ending: Ending | None = None
    problem: str = ""


class RequestCutter:
    """Finds the requests of one client by the codec's scanner, and makes batches and answers of them.

    :param rules: the rules of the client's pool.
    """

    __slots__ = ("_kept", "_rules", "_setup", "kept_size", "scanner")

    def __init__(self, rules: PipelineRules) -> None:
        self.scanner = rules.codec.requests_for(rules.may_have_own)
        self._rules = rules
        #: The setup that the client has asked for.
        self._setup: Setup = None
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
                return self._complete(Batch(data, [(request.hint, request.count)], request.count))
        items = self._cut(data, requests)
        limit = self._rules.request_limit
        if problem is None and self.kept_size > limit:
            text = f"a request of more than {limit} bytes (--max-message)"
            problem = BadMessage(text, self._rules.codec.failure(text))
        if problem is not None and not (items and _ends_cutting(items[-1])):
            self.drop()
            items.append(Answer(problem.answer, True, Ending(Outcome.PROTOCOL_ERROR, str(problem))))
        return items

    def pack(self) -> dict[str, Any] | None:
        """What another process needs to go on with a client between two requests; None if it cannot."""
        setup = settled(self._setup)
        if self.kept_size or not self.scanner.is_between or isinstance(setup, Change):
            return None
        scanner = self.scanner.pack() if isinstance(self.scanner, Portable) else None
        return None if scanner is None else {"scanner": scanner, "setup": None if setup is None else str(setup)}

    def unpack(self, packed: dict[str, Any]) -> None:
        """Go on with a client of another process."""
        assert isinstance(self.scanner, Portable)  # as one of the same codec was there
        self.scanner.unpack(packed["scanner"])
        setups = self._rules.codec.setups
        if packed["setup"] is not None and setups is not None:
            self._setup = setups.named(packed["setup"])

    @property
    def is_pinned(self) -> bool:
        """True once the codec's scanner has learnt that the client needs an upstream alone."""
        return getattr(self.scanner, "is_pinned", False)

    def claim(self, before: bytes) -> Batch:
        """Return a batch that wants an upstream alone, for requests that were cut before and what is kept.

        Nothing more is to be cut after that.
        """
        batch = Batch(before + self._take_kept(b""), [], 0, alone=True)
        batch.name, batch.size = self._name_of_own, len(batch.data)
        return self._complete(batch)

    @property
    def _name_of_own(self) -> str:
        """What a request that wants an upstream alone is called in logs and counts, where its codec does not say."""
        return f"a request of {self._rules.codec.name}"

    def whole(self, data: bytes, count: int) -> Batch:
        """Return the batch of ``count`` PLAIN requests without hints, which ``data`` is; nothing may be kept."""
        return self._complete(Batch(data, [(None, count)], count))

    def cut_kept(self) -> Batch | list[Batch | Answer]:
        """As :meth:`cut`, for the bytes given to :meth:`keep`, which silence has ended."""
        return self.cut(self._take_kept(b""))

    def _cut(self, data: bytes, requests: list[Request]) -> list[Batch | Answer]:
        items: list[Batch | Answer] = []
        #: The run of requests that becomes the next batch: where it begins and ends, and its replies.
        start = end = replies = 0
        expected: list[tuple[object, int]] = []
        is_silent = False
        for request in requests:
            kind = request.kind
            if kind in _SHARED:
                is_silent = kind is _SILENT
                if not is_silent:
                    expected.append((request.hint, request.count))
                    replies += request.count
                end = request.end
                if not self._rules.batches or kind is _LAST or replies >= _MAX_REPLIES:
                    items.append(self._batch(data[start:end], expected, replies, is_silent, kind is _LAST))
                    start, expected, replies = end, [], 0
            else:
                if end > start:
                    items.append(self._batch(data[start:end], expected, replies, is_silent))
                item = self._unshared(request, data, end)
                items.append(item)
                if _ends_cutting(item):
                    return items
                start = end = request.end
                expected, replies = [], 0
        if end > start:
            items.append(self._batch(data[start:end], expected, replies, is_silent))
        if end < len(data):
            self.keep(data[end:] if end else data)
        return items

    def _batch(
        self, data: bytes, expected: list[tuple[object, int]], replies: int, ends_silent: bool, is_last: bool = False
    ) -> Batch:
        batch = Batch(self._take_kept(data), expected, replies, is_last=is_last)
        batch.ends_silent = ends_silent
        return self._complete(batch)

    def _complete(self, batch: Batch) -> Batch:
        """Give ``batch`` the client's setup, and where the pool keeps an order of all clients' batches its place."""
        if self._setup is not None:
            batch.setup = self._setup = settled(self._setup)
        if self._rules.is_ordered:
            batch.sequence = self._rules.next_sequence()
        return batch

    def _unshared(self, request: Request, data: bytes, start: int) -> Batch | Answer:
        """Return the item for a request that does not go to a shared upstream, or not as it is."""
        if request.kind is Kind.OWN:
            return self._own(request, data, start)
        self.drop()
        if not isinstance(request, SpecialRequest):
            return Answer(request.answer, request.kind is Kind.QUIT)
        if request.kind is Kind.REPLACED:
            return self._replaced(request)
        if request.setup is not UNCHANGED:
            self._setup = request.setup
        is_last = request.kind is Kind.QUIT
        if not request.problem:
            return Answer(request.answer, is_last)
        return self._refused(request.name, request.problem, request.answer, is_last)

    def _own(self, request: Request, data: bytes, start: int) -> Batch | Answer:
        codec = self._rules.codec
        name = request.name if isinstance(request, SpecialRequest) else self._name_of_own
        if self._rules.may_have_own():
            size = self.kept_size + request.end - start
            batch = Batch(self._take_kept(data[start:]), [], 0, alone=True)
            batch.name, batch.size = name, size
            return self._complete(batch)
        self.drop()
        refusal = codec.failure(NO_SPARE_UPSTREAM)
        return self._refused(name, NO_SPARE_UPSTREAM, refusal, codec.ends_at_own or not refusal)

    def _refused(self, name: str, problem: str, answer: bytes, is_last: bool) -> Answer:
        self._rules.note_refusal(name, problem)
        return Answer(answer, is_last, Ending(Outcome.PROTOCOL_ERROR, problem) if is_last else None, problem)

    def _replaced(self, request: SpecialRequest) -> Batch:
        batch = Batch(request.data, [(request.hint, 1)], 1)
        if request.setup is not UNCHANGED:
            self._setup = Change(settled(self._setup), request.setup)
        return self._complete(batch)

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

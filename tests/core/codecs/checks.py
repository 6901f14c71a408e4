"""What the tests of all codecs ask: the same messages, however the bytes were cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st

from proxymux.core.codecs import Codec, Kind, ReplyScanner, Request, RequestScanner
from proxymux.core.codecs.http.hint import Hint
from proxymux.errors import BadMessage

# No database: a test run leaves no files behind.  No deadline: machines differ.
quick = settings(database=None, deadline=None, max_examples=150)


class Said(NamedTuple):
    """A request, and what a scanner has to find out about it."""

    data: bytes
    kind: Kind = Kind.PLAIN
    hint: Any = None
    answer: bytes = b""


def hint_of(request: Request) -> Any:
    """Its hint; of HTTP's, which has the client as well, what else it says."""
    hint = request.hint
    if not isinstance(hint, Hint):
        return hint
    return [name for name in ("is_head", "is_last") if getattr(hint, name)] or None


def cuts(data: bytes, at: Iterable[int]) -> list[bytes]:
    """The data, cut at these offsets."""
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def ways(data: bytes) -> Iterable[list[bytes]]:
    """The data whole, a byte at a time, and every cut in two."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def assert_requests(codec: Codec, said: Sequence[Said], pieces: Iterable[bytes], tail: bytes = b"") -> RequestScanner:
    """The pieces are these requests, and ``tail`` belongs to one that is not whole."""
    scanner = codec.requests()
    ends = [0, *accumulate(len(each.data) for each in said)]
    offset = number = 0
    for piece in pieces:
        for request in scanner.feed(piece):
            first, number = number, number + request.count
            assert offset + request.end == ends[number]
            for each in said[first:number]:
                assert (request.kind, hint_of(request), request.answer) == each[1:]
            assert request.count == 1 or (request.kind is Kind.PLAIN and request.hint is None)
        offset += len(piece)
        assert scanner.is_between == (offset in ends)
    assert number == len(said)
    assert offset == ends[-1] + len(tail)
    return scanner


def assert_replies(
    codec: Codec, hints: Sequence[Any], replies: Sequence[bytes], pieces: Iterable[bytes], tail: bytes = b""
) -> ReplyScanner:
    """The pieces are these replies to requests with these hints, and ``tail`` belongs to one that is not whole."""
    scanner = codec.replies()
    for hint in hints:
        scanner.expect(hint)
    ends = [0, *accumulate(map(len, replies))]
    found: list[int] = []
    offset = 0
    for piece in pieces:
        found += [offset + end for end in scanner.feed(piece)]
        offset += len(piece)
        assert scanner.is_between == (offset in ends)
    assert found == ends[1:]
    assert offset == ends[-1] + len(tail)
    return scanner


def check_requests(codec: Codec, *said: Said, tail: bytes = b"") -> None:
    """However they are cut, these requests are found, and the tail is kept for what follows."""
    data = b"".join(each.data for each in said) + tail
    for pieces in ways(data):
        assert_requests(codec, said, pieces, tail)


def check_replies(codec: Codec, hints: Sequence[Any], *replies: bytes, tail: bytes = b"") -> None:
    """However they are cut, these replies are found."""
    data = b"".join(replies) + tail
    for pieces in ways(data):
        assert_replies(codec, hints, replies, pieces, tail)


#: What came of scanning: what was found, as text, and whether it ended with an error.
Found = tuple[list[str], bool]


def found_requests(codec: Codec, pieces: Iterable[bytes]) -> Found:
    """The requests, with runs joined wherever they were cut."""
    scanner = codec.requests()
    requests: list[Request] = []
    offset, is_bad = 0, False
    for piece in pieces:
        try:
            came = scanner.feed(piece)
        except BadMessage as bad:
            came, is_bad = bad.finished, True
        for request in came:
            request.end += offset
            last = requests[-1] if requests else None
            if last and last.kind is request.kind is Kind.PLAIN and last.hint is request.hint is None:
                last.end, last.count = request.end, last.count + request.count
            else:
                requests.append(request)
        if is_bad:
            break
        offset += len(piece)
    return [str(request) for request in requests], is_bad


def found_replies(codec: Codec, hints: Sequence[Any], pieces: Iterable[bytes]) -> Found:
    """The ends of the replies."""
    scanner = codec.replies()
    for hint in hints:
        scanner.expect(hint)
    found: list[str] = []
    offset = 0
    for piece in pieces:
        try:
            found += [str(offset + end) for end in scanner.feed(piece)]
        except BadMessage as bad:
            return found + [str(offset + end) for end in bad.finished], True
        offset += len(piece)
    return found, False


def check_any_requests(codec: Codec, data: bytes, at: Sequence[int]) -> Found:
    """Whatever the data is, all ways to cut it come to the same."""
    whole = found_requests(codec, [data])
    assert found_requests(codec, [data[place : place + 1] for place in range(len(data))]) == whole
    assert found_requests(codec, cuts(data, at)) == whole
    return whole


def check_any_replies(codec: Codec, hints: Sequence[Any], data: bytes, at: Sequence[int]) -> Found:
    """Whatever the data is, all ways to cut it come to the same, and so does the short cut if it says anything."""
    whole = found_replies(codec, hints, [data])
    assert found_replies(codec, hints, [data[place : place + 1] for place in range(len(data))]) == whole
    assert found_replies(codec, hints, cuts(data, at)) == whole
    scanner = codec.replies()
    for hint in hints:
        scanner.expect(hint)
    count = scanner.count(data)
    if count is not None:
        assert (len(whole[0]), whole[1], scanner.is_between) == (count, False, True)
        assert not count or whole[0][-1] == str(len(data))
    return whole


#: Where to cut.
places = st.lists(st.integers(0, 10_000), max_size=8)


@st.composite
def spoilt(draw: st.DrawFn, valid: st.SearchStrategy[bytes], alphabet: bytes) -> bytes:
    """Valid data, or nearly so: some bytes of it changed, left out or put in."""
    data = bytearray(draw(valid))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        new = draw(st.sampled_from(alphabet))
        change = draw(st.sampled_from(["change", "insert", "delete", "cut"]))
        if change == "insert" or at == len(data):
            data.insert(at, new)
        elif change == "change":
            data[at] = new
        elif change == "delete":
            del data[at]
        else:
            del data[at:]
    return bytes(data)


class Watched(bytes):
    """Data that counts the bytes that are copied out of it, or searched in it."""

    work = 0

    def __getitem__(self, key: Any) -> Any:
        piece = super().__getitem__(key)
        Watched.work += len(piece) if isinstance(piece, bytes) else 1
        return Watched(piece) if isinstance(piece, bytes) and len(piece) > 64 else piece

    def find(self, *arguments: Any) -> int:
        at = super().find(*arguments)
        start = arguments[1] if len(arguments) > 1 else 0
        end = min(arguments[2], len(self)) if len(arguments) > 2 else len(self)
        Watched.work += max(0, (end if at < 0 else at) - start)
        return at

    def split(self, *arguments: Any) -> list[bytes]:
        Watched.work += len(self)
        return super().split(*arguments)


def work_of(codec: Codec, hints: Sequence[Any] | None, pieces: Iterable[bytes]) -> int:
    """Bytes that were copied or searched by Python code for these pieces: of requests, or of replies to these hints."""
    Watched.work = 0
    scanner: RequestScanner | ReplyScanner
    if hints is None:
        scanner = codec.requests()
    else:
        scanner = codec.replies()
        for hint in hints:
            scanner.expect(hint)
    for piece in pieces:
        scanner.feed(Watched(piece))
    return Watched.work


def bad_requests(codec: Codec, data: bytes) -> BadMessage:
    """The error that the data is, all at once and a byte at a time."""
    assert found_requests(codec, [data])[1], f"{data[:80]!r} was accepted"
    assert found_requests(codec, [data[at : at + 1] for at in range(len(data))])[1]
    try:
        codec.requests().feed(data)
    except BadMessage as bad:
        return bad
    raise AssertionError


def bad_replies(codec: Codec, hints: Sequence[Any], data: bytes) -> BadMessage:
    """The error that the data is, all at once and a byte at a time."""
    assert found_replies(codec, hints, [data])[1], f"{data[:80]!r} was accepted"
    assert found_replies(codec, hints, [data[at : at + 1] for at in range(len(data))])[1]
    scanner = codec.replies()
    for hint in hints:
        scanner.expect(hint)
    try:
        scanner.feed(data)
    except BadMessage as bad:
        return bad
    raise AssertionError

"""Tries a router on one input after another, in several splits, and keeps what is found: each fault once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Final

from proxymux.cli.fuzz.finding import Finding, FindingKind
from proxymux.cli.fuzz.mutator import Mutator
from proxymux.cli.fuzz.pieces import Pieces, one_by_one
from proxymux.cli.fuzz.shrinking import Shrinking
from proxymux.cli.fuzz.subject import Answer, Subject
from proxymux.cli.trying import excerpt_of, show_pieces
from proxymux.hooks.calling import SLOW
from proxymux.settings import Settings

#: The most bytes of an input: as many as are kept of a client that is undecided.
LIMIT: Final = Settings().max_buffer
#: What follows an input about which nothing is decided, to see whether anything ever is.
FILLERS: Final = (b"x", b"\0", b"\xff", b" ", b"\r\n", b"a: b\r\n")
#: The most bytes that are tried one by one, and how many other splits are tried of any input.
_MOST_SINGLE: Final = 256
_SPLITS: Final = 2
#: How often a slow call has to be slow: one time may be the machine's.
_TIMES_SLOW: Final = 3
#: How often the same has to come of the same bytes, where splits are compared: a router may leave it to chance.
_TIMES_ALIKE: Final = 8
#: How often a smaller input is tried; fewer of those that take long.
_ATTEMPTS: Final = {
    FindingKind.RAISES: 600,
    FindingKind.SPLIT: 600,
    FindingKind.UNDECIDED: 150,
    FindingKind.SLOW: 20,
    FindingKind.LATE: 4,
}

_Key = tuple[FindingKind, str]


class Examiner:
    """Tries inputs.

    :param random: for the splits, and what follows an input.
    :param is_over: the time is over: nothing more is made smaller.
    :param found: is given each finding.
    """

    def __init__(
        self,
        subject: Subject,
        mutator: Mutator,
        random: Random,
        is_over: Callable[[], bool],
        found: Callable[[Finding], None],
    ) -> None:
        self._subject = subject
        self._mutator = mutator
        self._random = random
        self._is_over = is_over
        self._found = found
        self._known: set[_Key] = set()
        #: How many clients the router was asked about.
        self.clients = 0
        #: How many of them were not decided about in time.
        self.late = 0
        #: It decides otherwise about the same bytes, so that splits cannot be compared.
        self.is_fickle = False

    @property
    def count(self) -> int:
        """How many faults were found."""
        return len(self._known)

    async def examine(self, data: bytes) -> Answer:
        """Try an input.

        :returns: what the router does if it comes in one piece.
        """
        whole = await self._ask(Pieces(data))
        if await self._is_unfit(whole, Pieces(data)):
            return whole
        if whole.is_waiting:
            await self._fill(data, whole)
        for pieces in self._splits(data):
            part = await self._ask(pieces)
            if await self._is_unfit(part, pieces):
                if part.is_slow:
                    break
            elif part.effect != whole.effect and not self.is_fickle:
                await self._compare(pieces)
                break
        return whole

    def _splits(self, data: bytes) -> Iterator[Pieces]:
        if 1 < len(data) <= _MOST_SINGLE:
            yield one_by_one(data)
        for _ in range(_SPLITS if len(data) > 2 else 0):
            yield self._mutator.split(data)

    async def _ask(self, pieces: Pieces) -> Answer:
        self.clients += 1
        answer = await self._subject.ask(pieces.chunks)
        self.late += answer.is_late
        return answer

    # Faults of one answer

    def _key(self, answer: Answer) -> _Key | None:
        """What is wrong with an answer, and where; None if nothing is."""
        if answer.is_slow:
            return FindingKind.SLOW, self._subject.place
        if answer.is_late:
            return FindingKind.LATE, self._subject.place
        return (FindingKind.RAISES, answer.fault) if answer.fault else None

    async def _is_unfit(self, answer: Answer, pieces: Pieces) -> bool:
        """True if an answer cannot be compared with others, as it is wrong; what was not known before is found."""
        key = self._key(answer)
        if key is None or key in self._known:
            return key is not None
        if key[0] is FindingKind.SLOW and not await self._stays_slow(pieces):
            return True  # it was the machine, but the call may have been interrupted

        latest, late = answer, self.late

        async def shows(smaller: Pieces) -> bool:
            nonlocal latest
            found = await self._ask(smaller)
            if self._key(found) != key:
                return False
            latest = found
            return True

        small = await self._shrink(pieces, shows, key[0])
        self.late = late  # those were of the same input
        told = latest.told
        if key[0] is FindingKind.SLOW:
            told = f"{self._subject.place}: it blocks every client for more than {SLOW * 1000:g} ms"
        self._keep(key, Finding(key[0], small, told, (f"a client that sends {_show(small)}",)))
        return True

    async def _stays_slow(self, pieces: Pieces) -> bool:
        for _ in range(_TIMES_SLOW - 1):
            if not (await self._ask(pieces)).is_slow:
                return False
        return True

    # Faults that two answers show

    async def _compare(self, pieces: Pieces) -> None:
        """Find out why the whole and the pieces are not treated alike."""
        if not await self._is_steady(pieces) or (key := await self._difference(pieces)) is None:
            self.is_fickle = True
            return
        if key in self._known:
            return

        async def shows(smaller: Pieces) -> bool:
            return await self._difference(smaller) == key

        small = await self._shrink(pieces, shows, key[0])
        if not await self._is_steady(small):
            self.is_fickle = True
            return
        whole, part = await self._ask(Pieces(small.data)), await self._ask(small)
        told = "what it does depends on how the bytes arrive"
        details = (f"in one piece: {whole.told}", f"{show_pieces(small.chunks)}: {part.told}")
        self._keep(key, Finding(FindingKind.SPLIT, small, f"{part.place}: {told}", details))

    async def _is_steady(self, pieces: Pieces) -> bool:
        """True if the router acts alike each time that the same comes, in one piece or in these."""
        for each in (Pieces(pieces.data), pieces):
            first = await self._ask(each)
            for _ in range(_TIMES_ALIKE - 1):
                if (await self._ask(each)).effect != first.effect:
                    return False
        return True

    async def _difference(self, pieces: Pieces) -> _Key | None:
        """Where the whole and the pieces are decided about, if otherwise; None if alike, or one of them fails."""
        if not pieces.cuts:
            return None
        whole, part = await self._ask(Pieces(pieces.data)), await self._ask(pieces)
        if whole.fault or part.fault or whole.effect == part.effect:
            return None
        return FindingKind.SPLIT, f"{whole.place} {part.place}"

    async def _fill(self, data: bytes, waiting: Answer) -> None:
        """Find out whether the router waits for more without a limit."""
        if (FindingKind.UNDECIDED, waiting.place) in self._known:
            return
        filler = self._random.choice(FILLERS)
        filled = await self._ask(Pieces(fill(data, filler)))
        if await self._is_unfit(filled, Pieces(fill(data, filler))):
            return
        key = (FindingKind.UNDECIDED, filled.place)
        if not _is_stuck(filled, waiting) or key in self._known:
            return

        async def shows(smaller: Pieces) -> bool:
            before, after = await self._ask(smaller), await self._ask(Pieces(fill(smaller.data, filler)))
            return _is_stuck(after, before) and after.place == key[1]

        small = await self._shrink(Pieces(data), shows, key[0])
        told = f"{key[1]}: it still waits for more when {LIMIT} bytes have come, which is --max-buffer"
        details = (f"a client that sends {excerpt_of(small.data)}, and {filler!r} over and over",)
        self._keep(key, Finding(key[0], small, told, details, filler))

    async def _shrink(self, pieces: Pieces, shows: Callable[[Pieces], Awaitable[bool]], kind: FindingKind) -> Pieces:
        async def shows_in_time(smaller: Pieces) -> bool:
            return not self._is_over() and await shows(smaller)

        return await Shrinking(pieces, shows_in_time, _ATTEMPTS[kind]).run()

    def _keep(self, key: _Key, finding: Finding) -> None:
        self._known.add(key)
        self._found(finding)


def fill(data: bytes, filler: bytes) -> bytes:
    """``data``, and ``filler`` behind it as often as there is room up to the limit."""
    return (data + filler * (LIMIT // len(filler) + 1))[:LIMIT]


def _show(pieces: Pieces) -> str:
    chunks = pieces.chunks
    return f"{excerpt_of(pieces.data)} {show_pieces(chunks)}" if len(chunks) > 1 else excerpt_of(pieces.data)


def _is_stuck(filled: Answer, before: Answer) -> bool:
    """True if more bytes have led to nothing: one that has answered the client takes part in a negotiation."""
    return filled.is_waiting and filled.sent == before.sent

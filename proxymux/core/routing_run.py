"""Runs: requests of one client that came together, whose places are chosen one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from proxymux.core.batch import Batch
from proxymux.core.choice import OTHERS, Choice, Chooser
from proxymux.core.codecs import Codec, Kind
from proxymux.core.lanes import Place
from proxymux.core.setup import Change, settled


class Run:
    """Requests that were cut as one batch, and which of them have their places.

    :param batch: of one request, or of several with one reply each and without hints; or one that wants a slot alone.
    :param ends: where each request ends, with its key if that is known; if not given they are found when wanted.
    """

    __slots__ = ("_at", "_choice", "_ends", "_start", "batch", "is_asked")

    def __init__(self, batch: Batch, ends: Sequence[tuple[int, bytes | None]] = ()) -> None:
        self.batch = batch
        #: The place of the next request has been asked for, and :meth:`decided` will tell it.
        self.is_asked = False
        self._choice: Choice | None = None
        self._ends = ends
        self._at = self._start = 0

    @classmethod
    def chosen(cls, batch: Batch, choice: Choice | None) -> Run:
        """The run of one request for which was chosen; None has asked, and :meth:`decided` will tell."""
        run = cls(batch)
        run._ends = ((batch.size if batch.alone else len(batch.data), None),)
        run._choice, run.is_asked = choice, choice is None
        return run

    @property
    def rest(self) -> bytes:
        """The requests that have no place yet."""
        return self.batch.data[self._start :]

    @property
    def size(self) -> int:
        """Their bytes."""
        return len(self.batch.data) - self._start

    @property
    def is_over(self) -> bool:
        """True once all requests have been taken."""
        return bool(self._ends) and self._at == len(self._ends)

    def decided(self, choice: Choice) -> None:
        """Take the choice that was asked for."""
        self.is_asked, self._choice = False, choice

    def choose(self, codec: Codec, chooser: Chooser) -> Choice | None:
        """Return where the next request goes; None if that is told later."""
        if self._choice is not None or self.is_asked:
            return self._choice
        batch = self.batch
        if not self._ends:
            if batch.replies > 1:
                self._ends = codec.cut_run(batch.data)
            else:
                self._ends = ((batch.size if batch.alone else len(batch.data), None),)
        end, key = self._ends[self._at]
        data = batch.data[self._start : end]
        if type(settled(batch.setup)) is Change:  # of the client's own connection, so that it has no place
            self._choice = chooser.first(data)
        elif batch.alone:
            self._choice = chooser.claim(data)
        else:
            self._choice = chooser.choose(data, key)
        self.is_asked = self._choice is None
        return self._choice

    def take(self) -> bytes:
        """Remove the next request, whose place was chosen, and return it."""
        start, self._start = self._start, self._ends[self._at][0]
        self._at += 1
        self._choice = None
        return self.batch.data[start : self._start]

    def take_all(
        self, place: Place, most: int, codec: Codec, chooser: Chooser
    ) -> tuple[dict[Place, Batch], Sequence[Place]]:
        """Remove the next request, which goes to ``place``, and those after it that go to some place as they are.

        :param most: how many they may be.
        :returns: one batch for each place, and the place of each request.
        """
        if len(self._ends) == 1:
            self.take()
            return {place: self.batch}, (place,)
        first, start = self._at, self._start
        places: list[Place] = []
        choice: Choice | None = place
        while choice is not None and not isinstance(choice, OTHERS):
            places.append(choice)
            self._start, _ = self._ends[self._at]
            self._at += 1
            self._choice = None
            if self.is_over or len(places) >= most:
                break
            choice = self.choose(codec, chooser)
        ends = [end - start for end, _ in self._ends[first : self._at]]
        return divided(self.batch, self.batch.data[start : self._start], ends, places), places

    def instead(self, data: bytes, codec: Codec) -> Batch:
        """Return the batch of one request that is sent in the place of one of these, or is a part of it."""
        found = codec.requests().feed(data)[0]
        if found.kind is Kind.SILENT:
            batch = self._like(data, [], 0)
            batch.ends_silent = True
            return batch
        return self._like(data, [(found.hint, 1)], 1)

    def _like(self, data: bytes, expected: list[tuple[object, int]], replies: int) -> Batch:
        batch = Batch(data, expected, replies, is_last=self.batch.is_last)
        batch.setup = self.batch.setup
        return batch


def divided(batch: Batch, data: bytes, ends: Sequence[int], places: Sequence[Place]) -> dict[Place, Batch]:
    """Divide requests that came together into a batch for each place.

    :param batch: that they are, or are a part of; each has one reply and no hint.
    :param data: these requests.
    :param ends: where each of them ends.
    :param places: where each of them goes.
    """
    pieces: dict[Place, list[bytes]] = {}
    start = 0
    for end, place in zip(ends, places, strict=True):
        if place in pieces:
            pieces[place].append(data[start:end])
        else:
            pieces[place] = [data[start:end]]
        start = end
    batches: dict[Place, Batch] = {}
    for place, its in pieces.items():
        made = batches[place] = Batch(b"".join(its), [(None, len(its))], len(its), is_last=batch.is_last)
        made.setup = batch.setup
    return batches

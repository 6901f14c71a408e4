"""Makes one input after another out of samples and known beginnings, as long as the budget lasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from proxymux.cli.fuzz.beginnings import BEGINNINGS
from proxymux.cli.fuzz.budget import Budget
from proxymux.cli.fuzz.examining import LIMIT, Examiner
from proxymux.cli.fuzz.finding import Finding
from proxymux.cli.fuzz.mutator import Mutator
from proxymux.cli.fuzz.subject import Subject
from proxymux.cli.progress import Progress

#: The most findings: whoever has so many mends some first.
MOST_FINDINGS: Final = 50
#: How many inputs may be decided too late: each takes all of --timeout.
_MOST_LATE: Final = 3
#: The most inputs that are mutated further as the router has treated them in a new way.
_MOST_KEPT: Final = 256
#: How often what is mutated comes from the samples, or from what was kept, where there are any.
_OF_SAMPLES: Final = 0.7
#: Seconds between two times at which the reactor gets its turn: for signals, and what an async router has left.
_TURN: Final = 0.1


class Campaign:
    """All that is tried on one router.

    :param clock: for the budget.
    :param samples: what clients are known to send.
    :param tokens: bytes that may mean something to the router.
    :param seed: the same has the same inputs.
    :param found: is given each finding.
    """

    def __init__(
        self,
        clock: IReactorTime,
        subject: Subject,
        samples: Sequence[bytes],
        tokens: Sequence[bytes],
        budget: Budget,
        seed: int,
        progress: Progress,
        found: Callable[[Finding], None],
    ) -> None:
        self._clock = clock
        self._budget = budget
        self._progress = progress
        self._random = Random(seed)
        self._mutator = Mutator(self._random, tokens, LIMIT)
        self._examiner = Examiner(subject, self._mutator, self._random, self._is_late, found)
        self._likely = [sample[:LIMIT] for sample in samples]
        self._others = [each for group in BEGINNINGS.values() for each in group]
        self._began = self._turned = clock.seconds()
        self._seen: set[str] = set()
        self._inputs = 0

    @property
    def count(self) -> int:
        """How many faults were found."""
        return self._examiner.count

    async def run(self) -> str:
        """Try inputs: first those that are mutated later, then mutations of them.

        :returns: what was done, in a line.
        """
        for data in [*self._likely, *self._others]:
            if self._why_over() is None:
                await self._try(data)
        while (why := self._why_over()) is None:
            await self._try(self._mutator.mutate(self._choose(), self._choose()))
        return f"{self._inputs} inputs, {self._examiner.clients} clients: {self.count or 'nothing'} found{why}"

    @property
    def is_fickle(self) -> bool:
        """The router decides otherwise about the same bytes, so that splits could not be compared."""
        return self._examiner.is_fickle

    def _choose(self) -> bytes:
        likely = self._likely and self._random.random() < _OF_SAMPLES
        return self._random.choice(self._likely if likely else self._others)

    async def _try(self, data: bytes) -> None:
        self._progress.tell(f"  fuzz: {self._inputs} of {self._budget}, {self.count} found")
        answer = await self._examiner.examine(data)
        self._inputs += 1
        novelty = f"{answer.place} {answer.kind}"
        if novelty not in self._seen and not answer.is_slow and len(self._seen) < _MOST_KEPT:
            self._seen.add(novelty)
            self._likely.append(data)
        now = self._clock.seconds()
        if now - self._turned >= _TURN:
            await deferLater(self._clock, 0)
            self._turned = now

    def _is_late(self) -> bool:
        return self._clock.seconds() - self._began >= self._budget.seconds

    def _why_over(self) -> str | None:
        """Why nothing more is tried; None if something is, an empty text if the budget was used as it was meant."""
        if self.count >= MOST_FINDINGS:
            return "; no more are looked for, mend some first"
        if self._examiner.late >= _MOST_LATE:
            return f"; ended after {_MOST_LATE} that were not decided within --timeout"
        if self._inputs == self._budget.inputs:
            return ""
        if self._is_late():
            return "" if self._budget.inputs is None else f"; ended after {self._budget.seconds:g} s"
        return None

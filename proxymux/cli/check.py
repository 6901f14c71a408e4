"""``proxymux check``: loads a router and tries it on recorded first bytes, in every way of splitting them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime

from proxymux.cli.progress import Progress
from proxymux.cli.replay import Replay
from proxymux.cli.trying import Trial, show_pieces, tell
from proxymux.errors import RouterError
from proxymux.printable import printable
from proxymux.router.router_decider import RouterDecider
from proxymux.testing import Conversation, as_decider, every_split


def check_router(
    clock: IReactorTime,
    router: str,
    samples: Sequence[str],
    timeout: float,
    out: IO[str],
    err: IO[str],
    replay: str | None = None,
    against: str | None = None,
) -> Deferred[bool]:
    """Load a router and try it on samples.

    :param clock: for ``timeout`` and for the progress.
    :param router: as ``--router`` has it.
    :param samples: names of files of recorded first bytes.
    :param timeout: the most seconds that the router may keep waiting, for all splits of a sample together.
    :param out: for the decisions.
    :param err: for files that cannot be read, a router that cannot be loaded, and on a terminal for the progress.
    :param replay: a folder of samples that ``--capture`` has left, each of them to be decided as before.
    :param against: another router, to compare with that instead of with what was recorded.
    :returns: True if the router loads and acts alike for every split of each sample.
    """
    return ensureDeferred(_check(clock, router, samples, timeout, out, err, replay, against))


async def _check(
    clock: IReactorTime,
    router: str,
    samples: Sequence[str],
    timeout: float,
    out: IO[str],
    err: IO[str],
    replay: str | None,
    against: str | None,
) -> bool:
    try:
        other = None if against is None else as_decider(against)
        decider = as_decider(router)
    except RouterError as error:
        print(f"proxymux: {error}", file=err)
        return False
    print(printable(f"{router}: ok"), file=out)
    good = True
    if replay is not None:
        good = await Replay(clock, decider, other, timeout, out, err).run(replay)
    for name in samples:
        try:
            with open(name, "rb") as file:
                data = file.read()
        except OSError as error:
            problem = f"{name}: {error.strerror}; name a file of recorded bytes"
            print(f"proxymux: --sample: {printable(problem)}", file=err)
            good = False
            continue
        good = await _Sample(clock, decider, name, data, timeout, out, err).check() and good
    return good


class _Sample:
    """One sample, and the router's conversations over its splits."""

    def __init__(
        self,
        clock: IReactorTime,
        decider: RouterDecider,
        name: str,
        data: bytes,
        timeout: float,
        out: IO[str],
        err: IO[str],
    ) -> None:
        self._clock = clock
        self._decider = decider
        self._name = name
        self._data = data
        self._timeout = timeout
        self._out = out
        self._progress = Progress(clock, err)

    async def check(self) -> bool:
        trial = Trial(self._clock, self._timeout)
        whole = await trial.converse(self._decider, (self._data,))
        self._say(f"{self._name} ({len(self._data)} bytes): {tell(whole)}")
        if isinstance(whole, str):
            return False
        count = 0
        for chunks in every_split(self._data):
            count += 1
            self._progress.tell(f"  {self._name}: split {count}")
            found = await trial.converse(self._decider, chunks)
            if trial.is_late:
                self._say(f"  {found}; {count - 1} splits were tried before")
                return False
            if isinstance(found, str) or found.in_effect() != whole.in_effect():
                self._show_difference(chunks, found, whole)
                return False
        self._say(f"  split-invariant: all {count} splits tried act alike")
        return True

    def _show_difference(self, chunks: tuple[bytes, ...], found: Conversation | str, whole: Conversation) -> None:
        self._say("  NOT split-invariant: what it does depends on how the bytes arrive")
        self._say(f"  in one piece: {tell(whole)}")
        self._say(f"  {show_pieces(chunks)}: {tell(found)}")

    def _say(self, line: str) -> None:
        self._progress.clear()
        print(printable(line), file=self._out)

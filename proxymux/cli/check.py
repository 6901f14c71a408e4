"""``proxymux check``: loads a router and tries it on recorded first bytes, in every way of splitting them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Final

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime

from proxymux.core.decision import Forward, in_words
from proxymux.errors import DecisionFailed, RouterError
from proxymux.printable import printable
from proxymux.router.router_decider import RouterDecider
from proxymux.testing import Conversation, as_decider, converse_later, every_split

#: Seconds between two lines of progress.
_PROGRESS_PAUSE: Final = 0.2
#: Goes to the beginning of a terminal's line and erases it.
_ERASE: Final = "\r\033[K"


def check_router(
    clock: IReactorTime, router: str, samples: Sequence[str], timeout: float, out: IO[str], err: IO[str]
) -> Deferred[bool]:
    """Load a router and try it on samples.

    :param clock: for ``timeout`` and for the progress.
    :param router: as ``--router`` has it.
    :param samples: names of files of recorded first bytes.
    :param timeout: the most seconds that the router may keep waiting, for all splits of a sample together.
    :param out: for the decisions.
    :param err: for files that cannot be read, a router that cannot be loaded, and on a terminal for the progress.
    :returns: True if the router loads and acts alike for every split of each sample.
    """
    return ensureDeferred(_check(clock, router, samples, timeout, out, err))


async def _check(
    clock: IReactorTime, router: str, samples: Sequence[str], timeout: float, out: IO[str], err: IO[str]
) -> bool:
    try:
        decider = as_decider(router)
    except RouterError as error:
        print(f"proxymux: {error}", file=err)
        return False
    print(printable(f"{router}: ok"), file=out)
    good = True
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
        self._terminal = err if err.isatty() else None
        self._deadline = self._told_at = clock.seconds()
        self._is_late = False

    async def check(self) -> bool:
        self._deadline = self._clock.seconds() + self._timeout
        whole = await self._converse((self._data,))
        self._say(f"{self._name} ({len(self._data)} bytes): {_tell(whole)}")
        if isinstance(whole, str):
            return False
        count = 0
        for chunks in every_split(self._data):
            count += 1
            self._tell_progress(count)
            found = await self._converse(chunks)
            if self._is_late:
                self._say(f"  {found}; {count - 1} splits were tried before")
                return False
            if isinstance(found, str) or found.in_effect() != whole.in_effect():
                self._show_difference(chunks, found, whole)
                return False
        self._say(f"  split-invariant: all {count} splits tried act alike")
        return True

    def _show_difference(self, chunks: tuple[bytes, ...], found: Conversation | str, whole: Conversation) -> None:
        self._say("  NOT split-invariant: what it does depends on how the bytes arrive")
        self._say(f"  in one piece: {_tell(whole)}")
        self._say(f"  {_show(chunks)}: {_tell(found)}")

    async def _converse(self, chunks: tuple[bytes, ...]) -> Conversation | str:
        """The router's conversation with a client that sends ``chunks``, or why it failed."""
        conversation = converse_later(self._decider, *chunks)
        left = max(0.0, self._deadline - self._clock.seconds())
        timer = self._clock.callLater(left, self._expired, conversation)
        try:
            return await conversation
        except (DecisionFailed, CancelledError) as error:
            return f"no decision within {self._timeout:g} s, which is --timeout" if self._is_late else str(error)
        finally:
            if timer.active():
                timer.cancel()

    def _expired(self, conversation: Deferred[Conversation]) -> None:
        self._is_late = True
        conversation.cancel()

    def _tell_progress(self, count: int) -> None:
        now = self._clock.seconds()
        if self._terminal is not None and now - self._told_at >= _PROGRESS_PAUSE:
            self._told_at = now
            print(f"{_ERASE}  {self._name}: split {count}", end="", file=self._terminal, flush=True)

    def _say(self, line: str) -> None:
        if self._terminal is not None:
            print(_ERASE, end="", file=self._terminal, flush=True)
        print(printable(line), file=self._out)


def _tell(found: Conversation | str) -> str:
    if isinstance(found, str):
        return f"fails: {found}"
    parts = [in_words(found.decision)]
    if found.sent:
        parts.append(f"the client is sent {_excerpt(found.sent)}")
    if isinstance(found.decision, Forward):
        parts.append(f"the upstream {_excerpt(found.upstream)}")
    return ", ".join(parts)


def _show(chunks: tuple[bytes, ...]) -> str:
    if len(chunks) > 3:
        return f"in {len(chunks)} pieces"
    return "as " + " | ".join(_excerpt(chunk) for chunk in chunks)


def _excerpt(data: bytes) -> str:
    return repr(data) if len(data) <= 40 else f"{data[:24]!r}...{data[-8:]!r} ({len(data)} bytes)"

"""``proxymux check``: loads a router and tries it on recorded first bytes, in every way of splitting them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime

from proxymux.core.decision import Forward, in_words
from proxymux.errors import DecisionFailed, RouterError
from proxymux.printable import printable
from proxymux.router.router_decider import RouterDecider
from proxymux.testing import Conversation, as_decider, converse_later, every_split


def check_router(
    clock: IReactorTime, router: str, samples: Sequence[str], timeout: float, out: IO[str], err: IO[str]
) -> Deferred[bool]:
    """Load a router and try it on samples.

    :param clock: for ``timeout``.
    :param router: as ``--router`` has it.
    :param samples: names of files of recorded first bytes.
    :param timeout: seconds for one conversation.
    :param out: for the decisions.
    :param err: for files that cannot be read, and a router that cannot be loaded.
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
        good = await _Sample(clock, decider, name, data, timeout, out).check() and good
    return good


class _Sample:
    """One sample, and the router's conversations over its splits."""

    def __init__(
        self, clock: IReactorTime, decider: RouterDecider, name: str, data: bytes, timeout: float, out: IO[str]
    ) -> None:
        self._clock = clock
        self._decider = decider
        self._name = name
        self._data = data
        self._timeout = timeout
        self._out = out

    async def check(self) -> bool:
        whole = await self._converse((self._data,))
        self._say(f"{self._name} ({len(self._data)} bytes): {_tell(whole)}")
        if isinstance(whole, str):
            return False
        count = 0
        for chunks in every_split(self._data):
            count += 1
            found = await self._converse(chunks)
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
        timer = self._clock.callLater(self._timeout, conversation.cancel)
        try:
            return await conversation
        except DecisionFailed as error:
            return str(error)
        except CancelledError:
            return f"no decision within {self._timeout:g} s"
        finally:
            if timer.active():
                timer.cancel()

    def _say(self, line: str) -> None:
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

"""Trying a router on the chunks of a client, within a time, and telling what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from proxymux.core.decision import Forward, in_words
from proxymux.errors import DecisionFailed
from proxymux.hooks.interruption import is_interrupted
from proxymux.router.router_decider import RouterDecider
from proxymux.testing import Conversation, converse_later

_T = TypeVar("_T")


class Trial:
    """Has one router decide about clients, all of them within one time.

    :param clock: for ``timeout``, which begins now.
    :param timeout: the most seconds that the router may keep waiting.
    """

    def __init__(self, clock: IReactorTime, timeout: float) -> None:
        self._clock = clock
        self._timeout = timeout
        self._deadline = clock.seconds() + timeout
        #: The time is over.
        self.is_late = False
        #: The latest failure's :attr:`~proxymux.errors.DecisionFailed.fault`.
        self.fault = ""
        #: The latest failure is that of a call which was interrupted.
        self.is_interrupted = False

    async def converse(self, decider: RouterDecider, chunks: tuple[bytes, ...]) -> Conversation | str:
        """The router's conversation with a client that sends ``chunks``, or why it failed."""
        return await self.run(lambda: converse_later(decider, *chunks))

    async def run(self, begin: Callable[[], Deferred[_T]]) -> _T | str:
        """What ``begin`` leads to, or why the router has failed."""
        running = begin()
        left = max(0.0, self._deadline - self._clock.seconds())
        timer = self._clock.callLater(left, self._expired, running)
        try:
            return await running
        except (DecisionFailed, CancelledError) as error:
            problem = f"no decision within {self._timeout:g} s, which is --timeout" if self.is_late else str(error)
            self.fault = error.fault if isinstance(error, DecisionFailed) and not self.is_late else problem
            self.is_interrupted = isinstance(error, DecisionFailed) and is_interrupted(error)
            return problem
        finally:
            if timer.active():
                timer.cancel()

    def _expired(self, running: Deferred[Any]) -> None:
        self.is_late = True
        running.cancel()


def tell(found: Conversation | str) -> str:
    """What a router has done, or why it failed, in words."""
    if isinstance(found, str):
        return f"fails: {found}"
    parts = [in_words(found.decision)]
    if found.sent:
        parts.append(f"the client is sent {excerpt_of(found.sent)}")
    if isinstance(found.decision, Forward):
        parts.append(f"the upstream {excerpt_of(found.upstream)}")
    return ", ".join(parts)


def excerpt_of(data: bytes) -> str:
    """Bytes as Python writes them; of many, the ends and the number."""
    return repr(data) if len(data) <= 40 else f"{data[:24]!r}...{data[-8:]!r} ({len(data)} bytes)"


def show_pieces(chunks: tuple[bytes, ...]) -> str:
    """In which pieces bytes come, in a few words."""
    if len(chunks) > 3:
        return f"in {len(chunks)} pieces"
    return "as " + " | ".join(excerpt_of(chunk) for chunk in chunks)

"""Trying a router on the chunks of a client, within a time, and telling what came of it."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from proxymux.core.decision import Forward, in_words
from proxymux.errors import DecisionFailed
from proxymux.router.router_decider import RouterDecider
from proxymux.testing import Conversation, converse_later


class Trial:
    """Has one router converse with clients, all of them within one time.

    :param clock: for ``timeout``, which begins now.
    :param timeout: the most seconds that the router may keep waiting.
    """

    def __init__(self, clock: IReactorTime, decider: RouterDecider, timeout: float) -> None:
        self._clock = clock
        self._decider = decider
        self._timeout = timeout
        self._deadline = clock.seconds() + timeout
        #: The time is over.
        self.is_late = False

    async def converse(self, chunks: tuple[bytes, ...]) -> Conversation | str:
        """The router's conversation with a client that sends ``chunks``, or why it failed."""
        conversation = converse_later(self._decider, *chunks)
        left = max(0.0, self._deadline - self._clock.seconds())
        timer = self._clock.callLater(left, self._expired, conversation)
        try:
            return await conversation
        except (DecisionFailed, CancelledError) as error:
            return f"no decision within {self._timeout:g} s, which is --timeout" if self.is_late else str(error)
        finally:
            if timer.active():
                timer.cancel()

    def _expired(self, conversation: Deferred[Conversation]) -> None:
        self.is_late = True
        conversation.cancel()


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

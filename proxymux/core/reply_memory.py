"""What all clients of a pool together may have waiting to be read, and who goes if it becomes too much."""

from __future__ import annotations

from typing import Protocol


class Holder(Protocol):
    """A client for which bytes are kept.  :class:`~proxymux.pool.exchange.DetachedExchange` implements it."""

    @property
    def held(self) -> int:
        """Bytes that are kept for the client now."""

    def dismiss(self, reason: str) -> None:
        """End the client at once, with all that is kept for it."""


class ReplyMemory:
    """The bytes of replies that are kept for clients which do not read them.

    Only clients that are behind are counted; so the count costs nothing while all read.  It grows with what they are
    sent, and is made exact when it exceeds the limit.

    :param limit: bytes for all clients together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counted: dict[Holder, int] = {}
        self._total = 0

    def share(self, clients: int, least: int) -> int:
        """Return the bytes that each of ``clients`` may hold so that all do not exceed the limit; ``least`` or more."""
        return max(least, self._limit // max(1, clients))

    def begin(self, holder: Holder) -> None:
        """Take note that the client does not read as fast as it is sent."""
        if holder not in self._counted:
            self._counted[holder] = 0
            self.add(holder, holder.held)

    def add(self, holder: Holder, size: int) -> None:
        """Take note that ``size`` bytes more are kept for a client that is behind, and dismiss clients if need be."""
        self._counted[holder] += size
        self._total += size
        if self._total > self._limit:
            self._recount()

    def end(self, holder: Holder) -> None:
        """Take note that nothing is kept for the client any more; nothing changes if it was not behind."""
        self._total -= self._counted.pop(holder, 0)

    def _recount(self) -> None:
        self._counted = {holder: holder.held for holder in self._counted}
        self._total = sum(self._counted.values())
        while self._total > self._limit and self._counted:
            most = max(self._counted, key=self._counted.__getitem__)
            self.end(most)
            most.dismiss(
                f"more than {self._limit} bytes of replies wait to be read, most of them by this client "
                "(--max-reply-memory)"
            )

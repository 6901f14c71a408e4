"""The intake: what is kept of a client's bytes until they have somewhere to go, and when to stop reading more."""

from __future__ import annotations

from proxymux.core.commands import Command, Pause, Resume


class Intake:
    """A buffer with a limit.

    Reading pauses when it is full, and while the client does not read what it is sent.

    :param limit: bytes beyond which no decider looks; a chunk more may be kept.
    """

    __slots__ = ("_is_paused", "_kept", "_limit", "has_unseen", "is_blocked", "shown")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = b""
        #: How many of the bytes the decider was asked about.
        self.shown = 0
        self._is_paused = False
        #: Bytes are kept that the decider was not asked about.
        self.has_unseen = False
        #: The client does not read.
        self.is_blocked = False

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def is_over(self) -> bool:
        """More is kept than may be without a decision."""
        return len(self._kept) > self._limit

    def add(self, data: bytes) -> None:
        """Keep ``data`` too."""
        self._kept += data
        self.has_unseen = True

    def show(self) -> bytes:
        """What the decider is asked about."""
        view = self._kept[: self._limit]
        self.shown, self.has_unseen = len(view), False
        return view

    def replace(self, data: bytes) -> None:
        """Have ``data`` in the place of what was shown."""
        self._kept = data + self._kept[self.shown :]

    def consume(self, count: int) -> None:
        """Drop the first ``count`` bytes; what is left is to be looked at anew."""
        self._kept = self._kept[count:]
        self.has_unseen = bool(self._kept)

    def empty(self) -> bytes:
        """Give everything away."""
        kept, self._kept = self._kept, b""
        return kept

    def pause(self) -> list[Command]:
        """Read no more."""
        if self._is_paused:
            return []
        self._is_paused = True
        return [Pause()]

    def pause_if_full(self) -> list[Command]:
        """Read no more if the limit is reached."""
        return self.pause() if len(self._kept) >= self._limit else []

    def resume(self) -> list[Command]:
        """Read on, but not from a client that does not read."""
        if not self._is_paused or self.is_blocked:
            return []
        self._is_paused = False
        return [Resume()]

    def resume_if_room(self) -> list[Command]:
        """Read on if the limit is not reached."""
        return self.resume() if len(self._kept) < self._limit else []

"""The intake: the client's bytes that are kept until there is an upstream, and when to pause reading."""

from __future__ import annotations

from proxymux.core.commands import Command, Pause, Resume


class Intake:
    """A buffer with a limit, which also gives the commands to pause and to resume reading.

    Reading pauses while the buffer is full, and while the client does not read what is sent to it.

    :param limit: bytes that a decider is given at most.  The last chunk may exceed it.
    """

    __slots__ = ("_is_paused", "_kept", "_limit", "has_unseen", "is_blocked", "shown")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = b""
        #: How many of the bytes the decider was given.
        self.shown = 0
        self._is_paused = False
        #: Bytes have come that the decider was not given.
        self.has_unseen = False
        #: The client does not read what is sent to it.
        self.is_blocked = False

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def is_over(self) -> bool:
        """True if more than ``limit`` bytes are kept."""
        return len(self._kept) > self._limit

    def add(self, data: bytes) -> None:
        """Append ``data``."""
        self._kept += data
        self.has_unseen = True

    def show(self) -> bytes:
        """The bytes for the decider, at most ``limit``."""
        view = self._kept[: self._limit]
        self.shown, self.has_unseen = len(view), False
        return view

    @property
    def kept(self) -> bytes:
        """All bytes that are kept."""
        return self._kept

    def replace(self, data: bytes) -> None:
        """Put ``data`` in the place of the bytes that the decider was given."""
        self._kept = data + self._kept[self.shown :]

    def consume(self, count: int) -> None:
        """Drop the first ``count`` bytes; the decider has not been given the rest."""
        self._kept = self._kept[count:]
        self.has_unseen = bool(self._kept)

    def empty(self) -> bytes:
        """Remove and return all bytes."""
        kept, self._kept = self._kept, b""
        return kept

    def restart(self) -> bytes:
        """Remove and return all bytes; what comes from now on is read, and is new to the decider."""
        self.shown, self.has_unseen, self._is_paused = 0, False, False
        return self.empty()

    def pause(self) -> list[Command]:
        """The command to pause reading; none if reading is paused."""
        if self._is_paused:
            return []
        self._is_paused = True
        return [Pause()]

    def pause_if_full(self) -> list[Command]:
        """As :meth:`pause`, if ``limit`` is reached."""
        return self.pause() if len(self._kept) >= self._limit else []

    def resume(self) -> list[Command]:
        """The command to resume reading; none if reading is not paused or the client does not read."""
        if not self._is_paused or self.is_blocked:
            return []
        self._is_paused = False
        return [Resume()]

    def resume_if_room(self) -> list[Command]:
        """As :meth:`resume`, if ``limit`` is not reached."""
        return self.resume() if len(self._kept) < self._limit else []

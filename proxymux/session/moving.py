"""Moving: sessions that go on in another process, with their connections, counters and times."""

from __future__ import annotations

from typing import Protocol

from proxymux.net.moving import Frozen, Mover, Packed


class FrozenSession:
    """A session that is frozen.

    :param runner: of the session.
    :param packed: what it is.
    :param frozen: its connections.
    """

    def __init__(self, runner: Movable, packed: Packed, frozen: Frozen) -> None:
        runner.hold()
        self._runner = runner
        self._packed = packed
        self._frozen = frozen

    @property
    def number(self) -> int:
        """Of the session."""
        return self._runner.number

    @property
    def descriptors(self) -> list[int]:
        """Of its sockets."""
        return self._frozen.descriptors

    @property
    def backlog(self) -> bytes:
        """What was still to be sent."""
        return self._frozen.backlog

    @property
    def state(self) -> Packed:
        """All else that another process needs to go on with it."""
        backlog = len(self._frozen.backlog)
        return {**self._packed, "net": self._frozen.state, "backlog": backlog, "sockets": len(self.descriptors)}

    def thaw(self) -> None:
        """Go on here."""
        self._frozen.thaw()
        self._runner.go_on()

    def depart(self) -> None:
        """Let go of it: another process has it."""
        self._frozen.release()
        self._runner.depart()


class Movable(Protocol):
    """A session, as it is moved."""

    @property
    def number(self) -> int:
        """Identifies it."""

    def pack(self) -> tuple[Packed, object] | None:
        """What another process needs to go on with it, and what is to be frozen; None if it cannot be moved now."""

    def hold(self) -> None:
        """Keep what happens to it."""

    def go_on(self) -> None:
        """Take note of what was kept."""

    def depart(self) -> None:
        """End without a record: it is another process's."""


def freeze(runner: Movable, mover: Mover) -> FrozenSession | None:
    """Freeze a session; None, with nothing changed, if it cannot be moved now."""
    packed = runner.pack()
    if packed is None:
        return None
    state, what = packed
    frozen = mover.freeze(what)
    return None if frozen is None else FrozenSession(runner, state, frozen)

"""The targets of a fleet in simulated time: each serves connections, is dead, or is slow."""

from __future__ import annotations

from proxymux.core.member import Member
from proxymux.core.target import Address


class Target:
    """What listens at an address, or does not.

    :param slowness: how many times as long as others it takes to serve.
    """

    def __init__(self, address: Address, slowness: float = 1.0) -> None:
        self.address = address
        self.slowness = slowness
        self.is_up = True
        #: Connections that it serves.
        self.live: dict[Connection, None] = {}
        #: How many it was given, so far.
        self.given = 0
        #: When an instance last tried to connect to it for a client.
        self.asked_at = 0.0

    def die(self) -> int:
        """Refuse what comes and lose what is there; how many that is."""
        self.is_up = False
        lost, self.live = list(self.live), {}
        for connection in lost:
            connection.member.connections -= 1
        return len(lost)

    def come_back(self) -> None:
        """Serve again."""
        self.is_up = True


class Connection:
    """A client's connection that is served.

    :param member: what its instance knows of its target.
    """

    __slots__ = ("_target", "member")

    def __init__(self, target: Target, member: Member) -> None:
        self._target = target
        self.member = member
        target.live[self] = None

    def end(self) -> None:
        """End in good order, unless it has ended with its target."""
        if self in self._target.live:
            del self._target.live[self]
            self.member.connections -= 1

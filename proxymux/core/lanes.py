"""Places, where requests go, and lanes: what one client has outstanding at each of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final, Protocol

from proxymux.core.batch import Batch, Sender

#: Lanes of one client after which those without a batch are forgotten: a router may name any number of places.
MANY: Final = 64


class Place(Hashable, Protocol):
    """Where requests go: a target, or what a cluster's name stands for; each a :class:`~proxymux.pool.pool.Pool`."""

    def submit(self, batch: Batch, sender: Sender) -> None:
        """Send ``batch`` as soon as there is a slot; ``sender`` is told of its replies or its failure."""

    def follow(self, batch: Batch, before: Batch, sender: Sender) -> bool:
        """Send ``batch`` on the slot of ``before``; False if that takes no more for now."""

    def withdraw(self, batch: Batch) -> None:
        """Forget the sender of ``batch``."""

    def requeue(self, batch: Batch) -> None:
        """Put a batch that may be sent on another slot at the head of the queue."""

    def spare_alone(self) -> bool:
        """True if one client may take a slot alone now."""


class Lane:
    """The batches of one client that go to one place: those that are outstanding, then those that wait."""

    __slots__ = ("is_ready", "outstanding", "place", "waiting")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.outstanding: deque[Batch] = deque()
        self.waiting: deque[Batch] = deque()
        #: The first that waits is to be submitted if it may.
        self.is_ready = False


class Lanes:
    """The lanes of one client."""

    __slots__ = ("_lanes",)

    def __init__(self) -> None:
        self._lanes: dict[Place, Lane] = {}

    @property
    def waiting(self) -> list[Batch]:
        """What waits in them."""
        return [batch for lane in self._lanes.values() for batch in lane.waiting]

    def to(self, place: Place) -> Lane:
        """The lane to a place."""
        lane = self._lanes.get(place)
        if lane is None:
            if len(self._lanes) >= MANY:
                self._lanes = {each: lane for each, lane in self._lanes.items() if lane.outstanding or lane.waiting}
            lane = self._lanes[place] = Lane(place)
        return lane

"""The instances of the fleets that a process is one of, as ``/status`` lists them."""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred

#: The most instances that are listed.
MAX_LISTED: Final = 1000


class FleetInstance(Protocol):
    """An instance."""

    @property
    def id(self) -> str:
        """Names it."""

    def as_json(self) -> dict[str, Any]:
        """What is known of it."""


class Fleet(Protocol):
    """A fleet that this process is one of."""

    def members(self) -> Deferred[list[Any]]:
        """Its instances; fires soon, and does not fail."""


class Fleets:
    """All of them: the services of a process may belong to several."""

    def __init__(self) -> None:
        self._fleets: list[Fleet] = []

    def add(self, fleet: Fleet) -> None:
        """Have the instances of a fleet be listed; a second time changes nothing."""
        if fleet not in self._fleets:
            self._fleets.append(fleet)

    def members(self) -> Deferred[list[dict[str, Any]] | None]:
        """The instances, sorted by their ids, at most :data:`MAX_LISTED`; None if this process is of no fleet."""
        return Deferred.fromCoroutine(self._members())

    async def _members(self) -> list[dict[str, Any]] | None:
        if not self._fleets:
            return None
        found: dict[str, FleetInstance] = {}
        for fleet in self._fleets:
            found.update({each.id: each for each in await fleet.members()})
        return [found[id].as_json() for id in sorted(found)[:MAX_LISTED]]

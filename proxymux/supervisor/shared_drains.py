"""The members of clusters that all workers drain: remembered, so that a worker that is started later does, too."""

from __future__ import annotations

from proxymux.core.cluster import MOST_DRAINED
from proxymux.core.target import parse_target
from proxymux.errors import NoMember


class SharedDrains:
    """The members that the operator has had drained, as pairs of a cluster's name and an address."""

    def __init__(self) -> None:
        # A dictionary, for the order.
        self._drained: dict[tuple[str, str], None] = {}

    @property
    def members(self) -> list[tuple[str, str]]:
        """What is drained, the first that was drained first."""
        return list(self._drained)

    def note(self, cluster: str, target: str, is_drained: bool) -> bool:
        """Remember that a member is drained, or that it is not any more.

        :returns: False if that is known already.
        :raises BadAddress: if ``target`` is no address.
        :raises NoMember: if :data:`MOST_DRAINED` others are drained.
        """
        pair = cluster, str(parse_target(target))
        if (pair in self._drained) is is_drained:
            return False
        if not is_drained:
            del self._drained[pair]
        elif len(self._drained) >= MOST_DRAINED:
            raise NoMember(f"{target}: {MOST_DRAINED} targets are drained already; enable one")
        else:
            self._drained[pair] = None
        return True

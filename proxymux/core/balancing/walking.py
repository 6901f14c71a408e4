"""Walking on from a key's place on the ring to the first member that takes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proxymux.core.balancing.policy import MOST_ASKED, Allowed
from proxymux.core.member import Member


def first_allowed(walk: Iterator[Member], used: Sequence[Member], place: int, allowed: Allowed) -> Member | None:
    """Return the first member of a walk that is allowed; None if none is.

    :param walk: the owners of the points from the key's place on.
    :param used: all who may be chosen.  If :data:`MOST_ASKED` on the walk refuse, or few have points, the others are
        asked in this order, beginning anywhere: that ends sooner.
    :param place: of the key.
    """
    refused: set[Member] = set()
    most = min(len(used), MOST_ASKED)
    for member in walk:
        if member not in refused:
            if allowed(member):
                return member
            refused.add(member)
            if len(refused) >= most:
                break
    start = place % len(used) if used else 0
    for number in range(start - len(used), start):
        member = used[number]
        if member not in refused and allowed(member):
            return member
    return None

"""What a balancing policy is: it says which member of a cluster gets the next connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from proxymux.core.member import Member

#: Whether a member may be chosen now; asked for few members at each choice, unless most refuse.
Allowed = Callable[[Member], bool]
#: Candidates that are asked in the order of the policy; if all of them refuse, every member is asked once.
MOST_ASKED: Final = 64
#: Members that are looked at again for each choice, all in turn, where it counts how many connections have ended.
LOOKS: Final = 16


class Balancer(Protocol):
    """Chooses members by one policy.  A choice takes a time that grows with the logarithm of their number at most,
    unless more than :data:`MOST_ASKED` candidates refuse."""

    def update(self, members: Sequence[Member], used: Sequence[Member]) -> None:
        """Take the members of now; called before the first choice, and before the next one after a change.

        :param members: all of them, in the order of their source.
        :param used: those that may be chosen, in the same order: ``is_used`` is True and ``share`` is not 0.
        """

    def choose(self, key: bytes, allowed: Allowed | None) -> Member | None:
        """Return the member that gets the next connection.

        The caller counts it in ``Member.connections`` before the next choice, and the end of a connection when it ends.

        :param key: of the connection, for the policies that place keys.
        :param allowed: only a member for which it is True may be chosen; None allows all.
        :returns: None if none may be chosen.
        """

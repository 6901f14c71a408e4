"""The members of a cluster that one connect tries, and the cluster as the connect needs it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from proxymux.core.member import Member
from proxymux.core.target import Address
from proxymux.core.upstream_tls import UpstreamTls

#: The most members of a cluster that are tried in one round.
MEMBERS_A_ROUND: Final = 32


class TargetCluster(Protocol):
    """A cluster, as a connect needs it."""

    @property
    def is_known(self) -> bool:
        """Its source has been heard at least once."""

    @property
    def why_none(self) -> str:
        """Why :meth:`choose` returns None, in a few words."""

    @property
    def tls(self) -> UpstreamTls | None:
        """TLS to its members; None is none."""

    def member_at(self, address: Address) -> Member | None:
        """Return the member of that address; None if there is none."""

    def expect(self, address: Address) -> Member | None:
        """Likewise; before the source was heard, the member that it will be if it is one."""

    def has_any_but(self, refused: Collection[Member]) -> bool:
        """True if a member may be tried that is none of ``refused``."""

    def choose(self, key: bytes, tried: Collection[Member]) -> Member | None:
        """Return the member that is to be tried next; None if there is none.

        :param key: of the connection, for policies that place keys.
        :param tried: those that are not wanted again.
        """

    def connected(self, member: Member) -> None:
        """A connect to ``member`` has succeeded."""

    def connect_failed(self, member: Member, reason: str) -> None:
        """A connect to ``member`` has failed, and that is its fault; ``reason`` is one line."""


#: Of a service without any.
NO_CLUSTERS: Final[Mapping[str, TargetCluster]] = {}


class MemberAttempts:
    """The members of one cluster in the order in which one connect tries them.

    Each of them is tried before one is tried again, in rounds of at most :data:`MEMBERS_A_ROUND`.

    :param key: of the connection, for policies that place keys.
    """

    __slots__ = ("_key", "_left", "_refused", "_tried", "cluster")

    def __init__(self, cluster: TargetCluster, key: bytes) -> None:
        self.cluster = cluster
        self._key = key
        #: How many more may be tried in this round.
        self._left = 0
        #: Members that were tried, and are again once all were.
        self._tried: set[Member] = set()
        #: Those of them that are not tried in a further round.
        self._refused: set[Member] = set()

    def begin_round(self) -> Member | None:
        """Return the first member of a round; None if there is none."""
        self._left = MEMBERS_A_ROUND
        member = self.next()
        if member is None:  # all were tried in the rounds before: they are tried again
            self._tried = set(self._refused)
            self._left = MEMBERS_A_ROUND
            member = self.next()
        return member

    def next(self) -> Member | None:
        """Return the next member of the round, chosen now that the one before has failed; None if there is none."""
        member = self.cluster.choose(self._key, self._tried) if self._left else None
        if member is None:
            self._left = 0
        else:
            self._left -= 1
            self._tried.add(member)
        return member

    def refuse(self, member: Member) -> None:
        """Try a member in no further round."""
        self._refused.add(member)

    @property
    def is_worth_waiting_for(self) -> bool:
        """False if the cluster has nobody for a further round, and is not about to."""
        return not self.cluster.is_known or self.cluster.has_any_but(self._refused)

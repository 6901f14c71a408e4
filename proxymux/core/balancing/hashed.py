"""What the policies have in common that place keys as nutcracker (twemproxy) 0.5 does: the hash, the memory of keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from proxymux.core.balancing.key_hash import KEY_HASHES, tagged
from proxymux.core.balancing.policy import Allowed
from proxymux.core.balancing.walking import first_allowed
from proxymux.core.member import Member

#: Keys whose members are remembered, and the most bytes of one.  They take 7 MB.  To place a key takes more than 1 µs.
MOST_REMEMBERED: Final = 32768
LONGEST_REMEMBERED: Final = 100


class HashedBalancer:
    """A balancer that has the hash of a key say whose it is.  Subclasses say how.

    A member that is not used, or that is not allowed, is as one that nutcracker has ejected.  A member that starts
    slowly has all of its keys at once.

    :param hash_name: one of :data:`~proxymux.core.balancing.key_hash.KEY_HASHES`.
    :param hash_tag: see :func:`~proxymux.core.balancing.key_hash.tagged`.
    """

    def __init__(self, hash_name: str, hash_tag: str) -> None:
        self._hash = KEY_HASHES[hash_name]
        self._tag = hash_tag.encode("ascii")
        self._used: Sequence[Member] = ()
        self._remembered: dict[bytes, Member] = {}

    def update(self, members: Sequence[Member], used: Sequence[Member]) -> None:
        self._used = list(used)
        self._remembered.clear()

    def choose(self, key: bytes, allowed: Allowed | None) -> Member | None:
        member = self._remembered.get(key) or self._find(key)
        if member is None or allowed is None or allowed(member):
            return member
        place = self._place(key)
        return first_allowed(self._walk(place), self._used, place, allowed)

    def _find(self, key: bytes) -> Member | None:
        """The member that a key belongs to, which is remembered."""
        member = self._owner(self._place(key))
        if member is not None and len(key) <= LONGEST_REMEMBERED:
            if len(self._remembered) >= MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = member
        return member

    def _place(self, key: bytes) -> int:
        # nutcracker gives an empty key the place 0, whatever the hash.
        return self._hash(tagged(key, self._tag)) if key else 0

    # What the subclasses do

    def _owner(self, place: int) -> Member | None:
        """The member to which the keys of a place belong; None if none is used.

        :param place: from 0 to 2³² - 1.
        """
        raise NotImplementedError

    def _walk(self, place: int) -> Iterator[Member]:
        """The owner, and then those who come next if it is not allowed; one may come several times."""
        raise NotImplementedError

"""A cluster: a named, changing set of members, and which of them may get something new.

Each ``now`` is the current time in the clock's seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from proxymux.core.balancing import Balancer
from proxymux.core.cluster_spec import PLACING, ClusterSpec
from proxymux.core.health import Health
from proxymux.core.member import Entry, Member
from proxymux.core.target import Address
from proxymux.core.wheel import ROUNDING

#: The part of its share that a member gets as its slow start begins, and the number of steps to the whole.
_FIRST_SHARE: Final = 0.1
_STEPS: Final = 20
#: The most members of a cluster.
MOST_MEMBERS: Final = 20_000
#: A look at all of more than so many members takes milliseconds.  When many go down together the next one has to wait
#: for so many seconds from the last, and the members themselves are known to be down meanwhile.
MANY: Final = 1000
PAUSE: Final = 0.1
#: Addresses that are drained beyond so many are forgotten if no member has them, those first that were drained first.
MOST_DRAINED: Final = 1000


class Cluster:
    """The members of a cluster.

    :param spec: what the operator says of it.
    :param balancer: made for that.
    :param report: called with one line for each member that goes down or comes up.
    """

    def __init__(self, spec: ClusterSpec, balancer: Balancer, report: Callable[[str], None]) -> None:
        self.spec = spec
        #: By their addresses, in the order of the source.
        self.members: dict[Address, Member] = {}
        #: The source has named the members at least once.
        self.is_known = False
        #: When to :meth:`look` again: a member may come back, or gets a larger share.
        self.look_at = math.inf
        self._looked_at = -math.inf
        #: Members have gone down since then, and the balancer does not know.
        self._is_late = False
        self._balancer = balancer
        self._report = report
        #: Members have come, gone, or are used otherwise, and the balancer does not know yet.
        self._is_stale = False
        #: The addresses that are held, and how many members have one of them.
        self._held_addresses: set[Address] = set()
        self._drained: dict[Address, None] = {}
        #: What is known of members before their source has named any.
        self._expected: dict[Address, Member] = {}
        self._held = 0
        self._places_keys = spec.policy in PLACING

    # Choosing

    def choose(self, key: bytes, now: float, tried: Collection[Member] = ()) -> Member | None:
        """Return the member for a new connection; None if there is none.

        One that is held is chosen if no other may be, or if keys are placed: what is new for it waits.

        :param key: for policies that place keys.
        :param tried: members that are not wanted again.
        """
        if now >= self.look_at:
            self.look(now)
        if self._is_stale:
            self._balancer.update(tuple(self.members.values()), self.used)
            self._is_stale = False
        limit = self.spec.connections
        if not (tried or limit or self._held or self._is_late):
            return self._balancer.choose(key, None)

        def may_be_tried(member: Member) -> bool:
            return member.is_used and member not in tried and (limit is None or member.connections < limit)

        if self._held and not self._places_keys:
            free = self._balancer.choose(key, lambda member: not member.is_held and may_be_tried(member))
            if free is not None:
                return free
        return self._balancer.choose(key, may_be_tried)

    def owner(self, key: bytes, now: float) -> Member | None:
        """Return the member that has a key, whatever connections it has; None if none is used.

        What is new for one that is held waits.
        """
        if now >= self.look_at:
            self.look(now)
        if self._is_stale:
            self._balancer.update(tuple(self.members.values()), self.used)
            self._is_stale = False
        return self._balancer.choose(key, _is_used if self._is_late else None)

    @property
    def used(self) -> list[Member]:
        """The members that may be chosen."""
        return [member for member in self.members.values() if member.is_used]

    @property
    def why_none(self) -> str:
        """Why no member may be chosen, in a few words."""
        if not self.is_known:
            return "its source has not been heard yet"
        if not self.members:
            return "it has no targets"
        if self.used:
            return "no target may be tried"
        reasons = [member.health.reason for member in self.members.values() if not member.health.is_up]
        return f"no target is up: {reasons[0]}" if reasons else "no target is used"

    def knows(self, address: Address) -> bool:
        """True for a member's address, and for one that is drained or held."""
        return address in self.members or address in self._drained or address in self._held_addresses

    def expect(self, address: Address) -> Member | None:
        """Return the member of that address; None if there is none.

        Before the source has named any, it is the one that it will be if it is named first; what is noted of it by
        then counts.
        """
        member = self.members.get(address)
        if member is None and not self.is_known:
            member = self._expected.get(address)
            if member is None and len(self._expected) < MOST_MEMBERS:
                member = self._expected[address] = self._new(Entry(address), -math.inf)
        return member

    # Changes

    def update(self, entries: Iterable[Entry], now: float) -> bool:
        """Take the members that the source names now.  Those that stay keep what is known of them.

        :returns: True if members have come or gone, or have other weights.
        """
        before, self.members = self.members or self._expected, {}
        self._expected = {}
        changed = not self.is_known
        for entry in entries:
            if entry.address in self.members or len(self.members) == MOST_MEMBERS:
                continue  # the first that is named counts
            member = before.pop(entry.address, None)
            if member is None:
                # What is there from the start needs no slow one.
                member = self._new(entry, now if self.is_known else -math.inf)
                changed = True
            else:
                changed |= member.describe(entry, self.spec.weight)
            self.members[entry.address] = member
        self.is_known = True
        changed |= bool(before)
        if changed:
            self._note_steered()
            self.look(now)
        return changed

    def look(self, now: float) -> bool:
        """Decide anew which members are used, and with which shares.

        :returns: True if other members are used than before.
        """
        for member in self.members.values():
            if member.health.look(now):
                self._came_up(member, now)
        eligible = [member for member in self.members.values() if member.weight and not member.is_drained]
        used = [member for member in eligible if member.health.is_up]
        if used:
            used += self._spared(eligible, now)
        changed = self._use(used, now)
        self._looked_at, self._is_late = now, False
        self.look_at = min(self._next_steps(used, now), default=math.inf)
        self._is_stale = True
        return changed

    def succeeded(self, member: Member) -> None:
        """Take note that a connect to ``member``, or a pooled request, has succeeded."""
        member.health.succeeded()

    def failed(self, member: Member, reason: str, now: float) -> bool:
        """Take note that one has failed.

        :param reason: why, in one line.
        :returns: True if other members are used than before.
        """
        if not member.health.failed(reason, now):
            return False
        self._went_down(member)
        return self._look_if_ours(member, now)

    def checked(self, member: Member, problem: str | None, now: float) -> bool:
        """Take note of the end of a check.

        :param problem: why it has failed, in one line; None if it has passed.
        :returns: True if other members are used than before.
        """
        if problem is None:
            if not member.health.check_passed(now):
                return False
            self._came_up(member, now)
        elif member.health.check_failed(problem, now):
            self._went_down(member)
        elif not member.is_used or member.health.is_up:
            return False  # it is refuted only once more, or still up
        return self._look_if_ours(member, now)

    def drain(self, address: Address, is_drained: bool, now: float) -> bool:
        """Have what is, or will be, the member of that address get nothing new, or as before.

        :returns: False if it is so already.
        """
        if (address in self._drained) is is_drained:
            return False
        if is_drained:
            self._drained[address] = None
            self._forget_drained()
        else:
            del self._drained[address]
        self._note_steered()
        self.look(now)
        return True

    def hold(self, address: Address, is_held: bool) -> None:
        """Take note that what is new for an address waits, or does so no longer; it need not be a member's."""
        (self._held_addresses.add if is_held else self._held_addresses.discard)(address)
        self._note_steered()

    # Showing

    def show(self) -> list[dict[str, Any]]:
        """The members, fit for JSON."""
        return [
            {
                "target": str(member.address),
                "up": member.health.is_up,
                "connections": member.connections,
                "weight": member.weight,
                "drained": member.is_drained,
                "reason": member.health.reason or None,
            }
            for member in self.members.values()
        ]

    # How members come and go

    def _new(self, entry: Entry, since: float) -> Member:
        return Member(entry, self.spec.weight, Health(self.spec.health), since, self.spec.name)

    def _forget_drained(self) -> None:
        if len(self._drained) > MOST_DRAINED:
            gone = next((address for address in self._drained if address not in self.members), None)
            if gone is not None:
                del self._drained[gone]

    def _came_up(self, member: Member, now: float) -> None:
        member.since = now
        self._report(f"cluster {self.spec.name}: {member.address} is up")

    def _went_down(self, member: Member) -> None:
        self._report(f"cluster {self.spec.name}: {member.address} is down: {member.health.reason}")

    def _note_steered(self) -> None:
        for member in self.members.values():
            member.is_drained = member.address in self._drained
            member.is_held = member.address in self._held_addresses
        self._held = sum(member.is_held for member in self.members.values())

    def _look_if_ours(self, member: Member, now: float) -> bool:
        """Decide anew, unless ``member`` has left the cluster meanwhile.

        Where that costs much and was done just now, it is done soon.
        """
        if self.members.get(member.address) is not member:
            return False
        next_look = self._looked_at + PAUSE
        if len(self.members) <= MANY or now >= next_look:
            return self.look(now)
        if not member.health.is_up:
            member.is_used, self._is_late = False, True
        self.look_at = min(self.look_at, next_look)
        return False

    def _spared(self, eligible: list[Member], now: float) -> list[Member]:
        """Members that are suspected to be down, no check having confirmed it, and are too many to be ejected.

        Those that were ejected first are used again first.
        """
        suspects = [each for each in eligible if not (each.health.is_up or each.health.is_refuted)]
        excess = len(suspects) - math.floor(self.spec.max_ejected * len(eligible) + ROUNDING)
        if excess <= 0:
            return []
        return sorted(suspects, key=lambda each: each.health.down_since)[:excess]

    def _use(self, used: list[Member], now: float) -> bool:
        chosen = set(used)
        changed = False
        for member in self.members.values():
            is_used = member in chosen
            changed |= member.is_used is not is_used
            member.is_used = is_used
            member.share = member.weight * self._grown(member, now)
        return changed

    def _grown(self, member: Member, now: float) -> float:
        """The part of its share that a member gets at this point of its slow start, 1 after it."""
        slow_start = self.spec.slow_start
        if not slow_start or member.since + slow_start <= now:
            return 1.0
        return max(_FIRST_SHARE, (now - member.since) / slow_start)

    def _next_steps(self, used: Iterable[Member], now: float) -> list[float]:
        steps = [
            member.health.retry_at
            for member in self.members.values()
            if not (member.health.is_up or self.spec.health.is_checked)
        ]
        if self.spec.slow_start and any(self._grown(member, now) < 1 for member in used):
            steps.append(now + self.spec.slow_start / _STEPS)
        return steps


def _is_used(member: Member) -> bool:
    return member.is_used

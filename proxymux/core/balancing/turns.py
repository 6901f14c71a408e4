"""Turns: members that take turns by their shares, each at even distances on one line of virtual time.

A member with share *s* has a turn every 1/*s*; the one whose turn is due first gets the next connection.  Members of
the same weight are spread over their common period, in the order of the source: equal ones rotate strictly, and with
the weights 5, 1 and 1 the connections go to ``a b a a a c a``.

Times are whole numbers, so that equal shares stay equal however long it goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from proxymux.core.member import Member

#: The period of a share of 1.
PERIOD: Final = 1 << 40

# A tuple is a third of a named one's cost where they are made for every connection.
#: When it is due, its place in the source, its period, and whose it is; the least is the next.
Turn = tuple[int, int, int, Member]


def set_turns(members: Sequence[Member], used: Sequence[Member], now: int, before: Mapping[Member, Turn]) -> list[Turn]:
    """Return the next turn of each member that is used.

    A member that has a turn keeps it, as near as a change of the members lets it be.  One that is new or comes back has
    its first after ``now``, where its turns would be had it never been away; so coming and going gets it no more than
    its share.  While it has less than its weight, what is left of its period is longer by that, and shrinks and grows
    with each change: from one turn to the next its shares over the time between come to one, in however many steps.
    When it has its whole weight it goes to its place among the others, as one that comes back.

    A period that is made longer has no places of its own: processes that have run for equally long are in the same of
    their first few long periods, and all of them would come to its end together.

    :param now: when the last turn was due.
    :param before: the turns so far.
    """
    sizes = Counter(member.weight for member in members)
    ranks: Counter[int] = Counter()
    turns: list[Turn] = []
    kept = set(used)
    for place, member in enumerate(members):
        weight = member.weight
        rank = ranks[weight]
        ranks[weight] = rank + 1
        if member not in kept:
            continue
        whole, period = int(PERIOD / weight), period_of(member)
        offset = whole * (2 * rank + 1) // (2 * sizes[weight])
        last = before.get(member)
        if last is not None and member.share < weight:
            due = now + (last[0] - now) * period // last[2]
        elif last is not None and last[2] == period:
            due = offset + (last[0] - offset + period // 2) // period * period
        else:
            # The place nearest to the turn that it had may have passed: it would be had at once, and the next soon.
            left = whole - (now - offset) % whole
            due = now + left * period // whole
        turns.append((due, place, period, member))
    return turns


def period_of(member: Member) -> int:
    """The time between two turns of a member."""
    return int(PERIOD / member.share)

"""Members for the tests of balancing, and what comes of choices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from proxymux.core.balancing import Allowed, Balancer
from proxymux.core.health import Health, HealthRules
from proxymux.core.member import Member, parse_entry


def member(text: str, share: float | None = None) -> Member:
    """A member, as a source names it.

    :param share: if it is less than its weight.
    """
    made = Member(parse_entry(text), 1, Health(HealthRules()), 0.0)
    if share is not None:
        made.share = share
    return made


def members(*weights: int) -> list[Member]:
    """One of each weight, with the names a, b, c ... or, of more than 26, numbers."""
    letters = "abcdefghijklmnopqrstuvwxyz" if len(weights) <= 26 else ()
    return [
        member(f"10.0.{number >> 8}.{number & 255}:80 weight={weight} name={letters[number] if letters else number}")
        for number, weight in enumerate(weights)
    ]


def in_use(balancer: Balancer, some: Sequence[Member]) -> None:
    """Update the balancer; those are used who say so, and whose share is not 0."""
    balancer.update(some, [each for each in some if each.is_used and each.share])


def choose(balancer: Balancer, key: bytes = b"", allowed: Allowed | None = None) -> Member:
    """A choice, of which there has to be one."""
    chosen = balancer.choose(key, allowed)
    assert chosen is not None
    return chosen


def sequence(balancer: Balancer, count: int) -> str:
    """The names of those who are chosen one after another, for connections that end at once."""
    return "".join(choose(balancer).label for _ in range(count))


def connect(balancer: Balancer, count: int) -> Counter[str]:
    """Have connections begin that do not end; how many each member gets."""
    names: Counter[str] = Counter()
    for _ in range(count):
        chosen = choose(balancer)
        chosen.connections += 1
        names[chosen.label] += 1
    return names


def place(balancer: Balancer, keys: Iterable[bytes]) -> dict[bytes, Member]:
    """Whose each key is while nobody is connected."""
    return {key: choose(balancer, key) for key in keys}


def start_slowly(balancer: Balancer, some: Sequence[Member], number: int, between: int) -> list[tuple[int, float]]:
    """Have a member come back and grow in the steps of a cluster, all connections ending at once.

    All weights are 1.

    :param number: which one of ``some``; it is not used before.
    :param between: how many choices there are between two steps.
    :returns: for each step, how many the member gets, and how many are its share.
    """
    starter = some[number]
    starter.is_used = True
    gets = []
    for step in range(25):  # the whole share comes with the 20th
        starter.share = min(1.0, max(0.1, step / 20))
        in_use(balancer, some)
        got = sum(choose(balancer) is starter for _ in range(between))
        gets.append((got, between * starter.share / (len(some) - 1 + starter.share)))
    return gets


def slow_starts(make: Callable[[], Balancer], count: int, between: int) -> Iterable[list[tuple[int, float]]]:
    """What :func:`start_slowly` returns for one of many members, from every point of their round.

    :param count: how many members there are.
    """
    for before in range(count):
        balancer, some = make(), members(*[1] * count)
        number = count // 3
        some[number].is_used = False
        in_use(balancer, some)
        for _ in range(before):
            choose(balancer)
        yield start_slowly(balancer, some, number, between)

"""What SRV records (RFC 2782) say, as members of a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from proxymux.core.member import MAX_WEIGHT, Entry
from proxymux.core.target import InetTarget, parse_address


class ServiceRecord(NamedTuple):
    """One SRV record.

    :param priority: the lowest number comes first.
    :param target: a host name, with or without the dot at its end.
    """

    priority: int
    weight: int
    port: int
    target: str


def entries_of(records: Iterable[ServiceRecord]) -> tuple[Entry, ...]:
    """The members that records name, in an order that does not depend on that of the records.

    Only those of the best priority, the lowest number that there is, are members: to which number a record belongs is
    for the name's owner to change when those of the best are out of order.  The weights are the records'.  One of 0
    beside others counts as 1, which is its chance in RFC 2782's own way to choose; where all are 0 there is nothing to
    choose by, and the cluster's ``weight=`` holds.  Records with the same target and port are one, with the sum of
    their weights.

    :returns: none, if the target of all is the root (``.``).
    :raises BadAddress: if a target is no host name, or its port is 0.
    """
    offered = [record for record in records if record.target.removesuffix(".")]
    best = min((record.priority for record in offered), default=0)
    weights: dict[InetTarget, int] = {}
    for record in offered:
        if record.priority == best:
            # An address, and no target: a name server must not lead anybody to a Unix socket of this machine.
            address = parse_address(f"{record.target.removesuffix('.').lower()}:{record.port}")
            weights[address] = min(MAX_WEIGHT, weights.get(address, 0) + record.weight)
    is_weighted = any(weights.values())
    return tuple(Entry(address, max(1, weights[address]) if is_weighted else None) for address in sorted(weights))

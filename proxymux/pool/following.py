"""Follows the clusters of a pool: which slots it is to have, as members come, go, and are down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, count
from typing import Final, NamedTuple, Protocol

from twisted.logger import Logger

from proxymux.core.pool_target import PoolTarget
from proxymux.core.target import ClusterName, Target

#: The most slots of all workers together; the last connections of targets that may have several are left out first.
MAX_SLOTS: Final = 10_000


class Offer(NamedTuple):
    """A target that a pool may have.

    :param target: an address, with its TLS.
    :param connections: how many there may be to it.
    :param is_usable: it is up, and the operator has not drained it; else it keeps its slots, which get nothing new.
    """

    target: PoolTarget
    connections: int = 1
    is_usable: bool = True


class WorkerShare(NamedTuple):
    """Which of several workers this process is.

    :param worker: its number, from 1.
    :param workers: how many there are.
    """

    worker: int
    workers: int


#: The share of a process without other workers.
WHOLE: Final = WorkerShare(1, 1)


class SlotsWanted(NamedTuple):
    """The slots that a pool is to have.

    :param targets: one for each slot.
    :param down: those of them that get nothing new.
    :param is_whole: all clusters are known; else more targets are to come.
    """

    targets: tuple[PoolTarget, ...] = ()
    down: frozenset[Target] = frozenset()
    is_whole: bool = False


class SlotsListener(Protocol):
    """Is told of the slots that are wanted.  The LeasingRunner implements it."""

    def follow(self, wanted: SlotsWanted) -> None:
        """Have these slots from now on."""


class TargetFollowing:
    """Keeps the slots of a pool as its targets are, some of which are clusters.

    Whoever knows the clusters calls :meth:`changed` for each of :attr:`clusters`, when it is first known and whenever
    it has changed.

    :param targets: what ``--target`` names, also more than once.
    :param listener: is told of the slots, for the first time by :meth:`start`.
    :param share: of all slots, this process has its share.
    """

    def __init__(self, targets: Sequence[PoolTarget], listener: SlotsListener, share: WorkerShare, log: Logger) -> None:
        self._targets = targets
        self._listener = listener
        self._share = share
        self._log = log
        #: What is known of each cluster; None is nothing yet.
        self._members: dict[ClusterName, tuple[Offer, ...] | None] = {
            each.address: None for each in targets if isinstance(each.address, ClusterName)
        }
        self._connections: list[tuple[PoolTarget, int]] = []
        self._is_cut = False
        self._wanted = SlotsWanted()

    @property
    def clusters(self) -> tuple[ClusterName, ...]:
        """The clusters whose changes it has to be told of."""
        return tuple(self._members)

    def start(self) -> None:
        """Tell of the targets that are no clusters."""
        self._tell()

    def changed(self, cluster: ClusterName, members: Iterable[Offer]) -> None:
        """Take note of all members that ``cluster`` has now, in whatever order; none are an empty cluster."""
        self._members[cluster] = tuple(members)
        self._tell()

    def _tell(self) -> None:
        offers = list(chain.from_iterable(map(self._offers, self._targets)))
        connections = [(each.target, each.connections) for each in offers]
        targets = self._wanted.targets
        if connections != self._connections:
            self._connections = connections
            targets = share_of_slots(offers, self._share)
            self._warn(sum(each.connections for each in offers))
        self._wanted = SlotsWanted(targets, down_of(offers), None not in self._members.values())
        self._listener.follow(self._wanted)

    def _warn(self, slots: int) -> None:
        """Warn when there begin to be more slots than there may be."""
        was_cut, self._is_cut = self._is_cut, slots > MAX_SLOTS
        if self._is_cut and not was_cut:
            self._log.warn(
                "the targets may have {slots} connections, and {most} are made; lower connections= of --cluster",
                slots=slots,
                most=MAX_SLOTS,
            )

    def _offers(self, target: PoolTarget) -> tuple[Offer, ...]:
        if isinstance(target.address, ClusterName):
            return self._members[target.address] or ()
        return (Offer(target),)


def down_of(offers: Iterable[Offer]) -> frozenset[Target]:
    """The targets that get nothing new: those of which no offer is usable."""
    offers = list(offers)
    usable = {each.target.address for each in offers if each.is_usable}
    return frozenset(each.target.address for each in offers) - usable


def share_of_slots(offers: Iterable[Offer], share: WorkerShare) -> tuple[PoolTarget, ...]:
    """The targets of one worker's slots, each as often as this worker may have a connection to it.

    Of all slots in the order of their targets' texts, worker *k* of *N* takes each *N*-th from the *k*-th on: the
    workers agree, as all know the same targets, in whatever order.  One that would have none takes one that another
    has, too: a worker has at least one slot, if there is any.  The first connection to each target comes first.
    """
    in_order = sorted(offers, key=lambda each: str(each.target.address))
    slots = sorted(_rounds(in_order), key=lambda each: str(each.address))
    mine = slots[share.worker - 1 :: share.workers]
    if not mine and slots:
        mine = [slots[(share.worker - 1) % len(slots)]]
    return tuple(_rounds(Offer(target, count) for target, count in Counter(mine).items()))


def _rounds(offers: Iterable[Offer]) -> list[PoolTarget]:
    """Each target as often as it may have a connection: first each of them once, then those again that may have two …

    There are at most :data:`MAX_SLOTS`.
    """
    slots: list[PoolTarget] = []
    left = [each for each in offers if each.connections > 0]
    for number in count(1):
        slots += [each.target for each in left]
        left = [each for each in left if each.connections > number]
        if not left or len(slots) >= MAX_SLOTS:
            break
    return slots[:MAX_SLOTS]

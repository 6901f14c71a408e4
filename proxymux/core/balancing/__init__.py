"""Balancing: which member of a cluster gets the next connection.  There is a module for each policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxymux.core.balancing.bounded_hash import BoundedHash
from proxymux.core.balancing.ketama import Ketama
from proxymux.core.balancing.least_connections import LeastConnections
from proxymux.core.balancing.modula import Modula
from proxymux.core.balancing.policy import Allowed, Balancer
from proxymux.core.balancing.round_robin import RoundRobin
from proxymux.core.balancing.two_choices import TwoChoices
from proxymux.core.cluster_spec import ClusterSpec

__all__ = ["Allowed", "Balancer", "make_balancer"]

Random = Callable[[], float]
#: How each of :data:`~proxymux.core.cluster_spec.POLICIES` is made.
_POLICIES: Final[dict[str, Callable[[ClusterSpec, Random], Balancer]]] = {
    "round-robin": lambda spec, random: RoundRobin(),
    "least-connections": lambda spec, random: LeastConnections(),
    "random": lambda spec, random: TwoChoices(random),
    "hash": lambda spec, random: BoundedHash(),
    "ketama": lambda spec, random: Ketama(spec.hash_name, spec.hash_tag),
    "modula": lambda spec, random: Modula(spec.hash_name, spec.hash_tag),
}


def make_balancer(spec: ClusterSpec, random: Random) -> Balancer:
    """Make the balancer of a cluster.

    :param random: returns a random number from 0 to below 1.
    """
    return _POLICIES[spec.policy](spec, random)

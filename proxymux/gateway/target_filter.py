"""The target filter: checks every address that a token leads to before the gateway connects to it."""

from __future__ import annotations

import functools
import socket
from collections.abc import Sequence

from proxymux.core.admission import parse_ip_address
from proxymux.core.target import InetTarget, Target
from proxymux.gateway.target_rules import TargetRules, reached_by


class TargetFilter:
    """A :data:`~proxymux.net.happy_eyeballs.TargetCheck`: the operator's rules, and never the gateway itself.

    Tokens that lead to the gateway would have it connect to itself in a loop.

    :param rules: what the operator allows and denies.
    """

    def __init__(self, rules: TargetRules) -> None:
        self._rules = rules
        #: The addresses that the gateway listens on; more are added as its ports open.
        self.own: Sequence[Target] = ()
        # Cached, as the answer for a target does not change and targets are few.
        self._cached_problem = functools.lru_cache(maxsize=1024)(self._problem)

    def __call__(self, target: InetTarget) -> str | None:
        """Why connecting to ``target``, an IP address, is forbidden; None if it is allowed."""
        return self._cached_problem(target, len(self.own))

    def _problem(self, target: InetTarget, own_count: int) -> str | None:
        """Judge a target.

        :param own_count: how many of its addresses the gateway knows; part of the cache's key.
        """
        problem = self._rules.problem(target.host, target.port)
        if problem is None and any(self._is_at(target, own) for own in self.own[:own_count]):
            return "the gateway itself"
        return problem

    def _is_at(self, target: InetTarget, own: Target) -> bool:
        if not isinstance(own, InetTarget) or own.port != target.port:
            return False
        place = parse_ip_address(own.host)
        assert place is not None
        if place.is_unspecified:
            return _is_local(target.host)
        return reached_by(target.host) == place


def _is_local(host: str) -> bool:
    """True if the address is one of this machine's, so that it can be bound to."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        where = socket.getaddrinfo(host, 0, family, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)[0][4]  # reads zones
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind(where)
    except OSError:
        return False
    return True

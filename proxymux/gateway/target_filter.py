"""The target filter: looks at every address that a token leads to before it is connected to."""

from __future__ import annotations

import functools
import socket
from collections.abc import Sequence

from proxymux.core.admission import parse_ip_address
from proxymux.core.target import InetTarget, Target
from proxymux.gateway.target_rules import TargetRules, reached_by


class TargetFilter:
    """Lets through what the rules allow, and never the gateway itself, or tokens could be nested without end.

    :param rules: what the operator allows and denies.
    """

    def __init__(self, rules: TargetRules) -> None:
        self._rules = rules
        #: Where the gateway listens.
        self.own: Sequence[Target] = ()
        # For few targets it is asked again and again, and the answer does not change.
        self._judge = functools.lru_cache(maxsize=1024)(self._look)

    def __call__(self, target: InetTarget) -> str | None:
        """Why ``target``, an IP address, is none to connect to; None if it is one."""
        return self._judge(target, tuple(self.own))

    def _look(self, target: InetTarget, own_addresses: tuple[Target, ...]) -> str | None:
        problem = self._rules.problem(target.host, target.port)
        if problem is None and any(self._is_at(target, own) for own in own_addresses):
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
    """True if this machine has the address: nobody else can bind to it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        where = socket.getaddrinfo(host, 0, family, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)[0][4]  # zones too
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind(where)
    except OSError:
        return False
    return True

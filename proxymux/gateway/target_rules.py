"""Target rules: where a client may be connected to, whatever it has been given."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from proxymux.core.admission import IPAddress, Network, parse_ip_address, parse_network
from proxymux.errors import BadAddress

_RULE: Final = re.compile(r"(?:\[([^]]+)\]|([0-9.]+(?:/[0-9]+)?))(?::([0-9,-]+))?\Z", re.ASCII)
_LAST_PORT: Final = 65535
#: What the system connects to where it is asked for "any".
_LOOPBACKS: Final = {
    parse_ip_address("0.0.0.0"): parse_ip_address("127.0.0.1"),
    parse_ip_address("::"): parse_ip_address("::1"),
}


@dataclass(frozen=True, slots=True)
class TargetRule:
    """Addresses, and ports of them.

    :param ports: pairs of a first and a last port; empty is all.
    """

    network: Network
    ports: tuple[tuple[int, int], ...] = ()

    def fits(self, address: IPAddress, port: int) -> bool:
        """True if it speaks of this target."""
        return address in self.network and (not self.ports or any(low <= port <= high for low, high in self.ports))


def parse_target_rule(text: str) -> TargetRule:
    """Read ``CIDR`` or ``CIDR:PORTS``: ``10.0.0.0/8``, ``10.0.0.0/8:80,8000-8100``, ``[fd00::/8]:443``, ``fd00::/8``.

    :raises BadAddress: if it is none of them.
    """
    match = _RULE.match(text)
    if match is None:
        return TargetRule(parse_network(text))
    return TargetRule(parse_network(match[1] or match[2]), _ports(text, match[3]) if match[3] is not None else ())


def _ports(text: str, listed: str) -> tuple[tuple[int, int], ...]:
    ports = []
    for each in listed.split(","):
        low, dash, high = each.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise BadAddress(f"{text!r:.80}: {each!r:.20} is not a port or a range of ports such as 8000-8100")
        first, last = int(low), int(high or low)
        if not 1 <= first <= last <= _LAST_PORT:
            raise BadAddress(f"{text!r:.80}: {each!r:.20} is not within 1 to {_LAST_PORT}")
        ports.append((first, last))
    return tuple(ports)


class TargetRules:
    """Judges addresses that targets have turned out to be.

    :param allow: where clients may be connected to; empty is anywhere.
    :param deny: where not; it wins.
    """

    def __init__(self, allow: Iterable[TargetRule] = (), deny: Iterable[TargetRule] = ()) -> None:
        self._allow = tuple(allow)
        self._deny = tuple(deny)

    def problem(self, host: str, port: int) -> str | None:
        """Why ``host``, an IP address, is none to connect to; None if it is one."""
        address = reached_by(host)
        if address is None:
            return "no IP address"
        if any(rule.fits(address, port) for rule in self._deny):
            return "denied (--deny-target)"
        if self._allow and not any(rule.fits(address, port) for rule in self._allow):
            return "not allowed (--allow-target)"
        return None


def reached_by(host: str) -> IPAddress | None:
    """The address that is reached by connecting to ``host``, which may be "any"; None if it is no IP address."""
    address = parse_ip_address(host)  # "any" can be written in more than one way
    return _LOOPBACKS.get(address, address)

"""Target rules: which addresses and ports the operator allows tokens to lead to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from proxymux.core.admission import Network, parse_ip_address, parse_network
from proxymux.core.presence import IPAddress
from proxymux.errors import BadAddress

_RULE: Final = re.compile(r"(?:\[([^]]+)\]|([0-9.]+(?:/[0-9]+)?))(?::([0-9,-]+))?\Z", re.ASCII)
_LAST_PORT: Final = 65535
#: The address that a connect to the unspecified address (0.0.0.0 or ::) reaches.
_LOOPBACKS: Final = {
    parse_ip_address("0.0.0.0"): parse_ip_address("127.0.0.1"),
    parse_ip_address("::"): parse_ip_address("::1"),
}


@dataclass(frozen=True, slots=True)
class TargetRule:
    """A network, and ports on its addresses.

    :param ports: pairs of a first and a last port; empty is every port.
    """

    network: Network
    ports: tuple[tuple[int, int], ...] = ()

    def fits(self, address: IPAddress, port: int) -> bool:
        """True if the rule covers the address and port."""
        return address in self.network and (not self.ports or any(low <= port <= high for low, high in self.ports))


def parse_target_rule(text: str) -> TargetRule:
    """Read ``CIDR`` or ``CIDR:PORTS``: ``10.0.0.0/8``, ``10.0.0.0/8:80,8000-8100``, ``[fd00::/8]:443``, ``fd00::/8``.

    :raises BadAddress: if ``text`` is none of them.
    """
    match = _RULE.match(text)
    if match is None:
        return TargetRule(_network(text))
    return TargetRule(parse_network(match[1] or match[2]), _ports(text, match[3]) if match[3] is not None else ())


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except BadAddress:
        cidr, colon, _ = text.rpartition(":")
        if colon and "/" in cidr:
            shown = f"[{cidr:.60}]:443" if ":" in cidr else "10.0.0.0/8:80,8000-8100"
            raise BadAddress(f"{text!r:.80} is not CIDR:PORTS such as {shown}") from None
        raise


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
    """The operator's rules (``--allow-target``, ``--deny-target``), applied to the addresses of targets.

    :param allow: what may be connected to; empty is everything.
    :param deny: what may not be connected to, whatever ``allow`` says.
    """

    def __init__(self, allow: Iterable[TargetRule] = (), deny: Iterable[TargetRule] = ()) -> None:
        self._allow = tuple(allow)
        self._deny = tuple(deny)

    def problem(self, host: str, port: int) -> str | None:
        """Why connecting to ``host``, an IP address, is forbidden; None if it is allowed."""
        address = reached_by(host)
        if address is None:
            return "no IP address"
        if any(rule.fits(address, port) for rule in self._deny):
            return "denied (--deny-target)"
        if self._allow and not any(rule.fits(address, port) for rule in self._allow):
            return "not allowed (--allow-target)"
        return None


def reached_by(host: str) -> IPAddress | None:
    """The address that a connect to ``host`` reaches: loopback for the unspecified one; None if it is no IP address."""
    address = parse_ip_address(host)  # the unspecified address can be written in more than one way
    return _LOOPBACKS.get(address, address)

"""Admission: who may be a client, by the address and by the number of clients that are connected."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

from proxymux.errors import BadAddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_network(text: str) -> Network:
    """Read a CIDR such as ``10.0.0.0/8`` or ``2001:db8::/32``, or one address.

    :raises BadAddress: if it is neither, or has bits set beyond its prefix.
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        pass
    else:
        return _unmapped(network)
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadAddress(f"{text!r:.80} is not an address or CIDR such as 10.0.0.0/8 or 2001:db8::/32") from None
    raise BadAddress(f"{text!r:.80} has bits set beyond its prefix; {meant} may be meant")


def _unmapped(network: Network) -> Network:
    """``network``; as IPv4 if it is an IPv4 network mapped into IPv6, as :func:`parse_ip_address` has its clients."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < 96:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - 96))


def parse_networks(lines: Iterable[str]) -> tuple[Network, ...]:
    """Read one CIDR a line; ``#`` begins a comment and empty lines do not count.

    :raises BadAddress: naming the line by its number.
    """
    networks = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                networks.append(parse_network(text))
            except BadAddress as error:
                raise BadAddress(f"line {number}: {error}") from None
    return tuple(networks)


def parse_ip_address(text: str) -> IPAddress | None:
    """Read an IP address, whose zone is ignored; one mapped into IPv6 becomes IPv4.  None if ``text`` is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class Networks:
    """A set of networks.  A look-up costs one step for each prefix length, whatever the number of networks."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._by_prefix: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            key = (network.version, shift)
            self._by_prefix.setdefault(key, set()).add(int(network.network_address) >> shift)

    def __contains__(self, address: IPAddress) -> bool:
        number, version = int(address), address.version
        return any(
            version == of_version and number >> shift in prefixes
            for (of_version, shift), prefixes in self._by_prefix.items()
        )

    def __bool__(self) -> bool:
        return bool(self._by_prefix)


class AdmissionSettings(Protocol):
    """The settings that say who may come in."""

    @property
    def allow(self) -> tuple[Network, ...]:
        """Networks that may connect; empty is all."""

    @property
    def deny(self) -> tuple[Network, ...]:
        """Networks that may not; it wins over ``allow``."""

    @property
    def max_connections(self) -> int | None:
        """Clients at once."""

    @property
    def max_per_client(self) -> int | None:
        """Clients at once from one address."""


class Admission:
    """Admits or refuses clients, and counts those that are connected.

    Clients of a Unix socket have no IP address and are under the total limit only: the socket's permissions say who may
    connect.

    :param allow: networks whose clients are admitted; empty is all.
    :param deny: networks whose clients are refused, whatever ``allow`` says.
    :param total: the most clients at once, or None.
    :param per_client: the most clients at once from one address, or None.
    """

    def __init__(
        self,
        allow: Iterable[Network] = (),
        deny: Iterable[Network] = (),
        total: int | None = None,
        per_client: int | None = None,
    ) -> None:
        self._allow = Networks(allow)
        self._total = total
        self._per_client = per_client
        self._present = 0
        self._by_address: Counter[str] = Counter()
        self.deny(deny)

    @classmethod
    def of(cls, settings: AdmissionSettings) -> Admission:
        """The admission that the settings ask for."""
        return cls(settings.allow, settings.deny, settings.max_connections, settings.max_per_client)

    def deny(self, networks: Iterable[Network]) -> None:
        """Replace the denied networks.  Clients that are connected already stay."""
        self._deny = Networks(networks)
        #: There is something to judge an address by.
        self._judges = bool(self._deny or self._allow or self._per_client)

    def arrive(self) -> str | None:
        """Count a connection as it is accepted.

        :returns: None; or why there are too many, in which case it is not counted.
        """
        if self._total is not None and self._present >= self._total:
            return f"more than {self._total} clients (--max-connections)"
        self._present += 1
        return None

    def admit(self, host: str) -> str | None:
        """Admit a client by its address, once that is known for certain, and count it under that address.

        :returns: None; or why the client is refused, in which case it is not counted under the address.
        """
        if not self._judges:
            return None
        address = parse_ip_address(host)
        if address is None:
            return None
        if address in self._deny:
            return "address denied (--deny, --deny-file)"
        if self._allow and address not in self._allow:
            return "address not allowed (--allow)"
        if self._per_client is not None:
            if self._by_address[str(address)] >= self._per_client:
                return f"more than {self._per_client} clients from one address (--max-per-client)"
            self._by_address[str(address)] += 1
        return None

    def leave(self, host: str | None) -> None:
        """Undo an :meth:`arrive` that counted.

        :param host: the address that was admitted, to undo :meth:`admit` too; None if none was.
        """
        self._present -= 1
        address = parse_ip_address(host) if host is not None and self._per_client is not None else None
        if address is not None:
            self._by_address[str(address)] -= 1
            if self._by_address[str(address)] <= 0:
                del self._by_address[str(address)]

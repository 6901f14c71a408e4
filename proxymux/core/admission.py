"""Admission: who may be a client, by the address, by how many are connected and how many have come."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Protocol

from proxymux.core.presence import IPAddress, LocalPresence, Presence
from proxymux.core.rate_limit import ArrivalTimes, LocalTimes, Rate, RateLimit
from proxymux.errors import BadAddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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

    @property
    def max_rate(self) -> Rate | None:
        """New clients from one address, or from one /64 of IPv6."""


class Admission:
    """Admits or refuses clients, and counts those that are connected.

    What is judged first: the total (``--max-connections``), then ``--deny``, ``--allow``, ``--max-per-client``, and
    last the rate, so that whoever is refused by another rule has taken nothing from it.

    Clients of a Unix socket have no IP address and are under the total limit only: the socket's permissions say who may
    connect.

    :param allow: networks whose clients are admitted; empty is all.
    :param deny: networks whose clients are refused, whatever ``allow`` says.
    :param total: the most clients at once, or None.
    :param per_client: the most clients at once from one address, or None.
    :param rate_limit: limits new clients from one address, or None.
    :param presence: counts those that are connected; None counts those of this process.
    """

    def __init__(
        self,
        allow: Iterable[Network] = (),
        deny: Iterable[Network] = (),
        total: int | None = None,
        per_client: int | None = None,
        rate_limit: RateLimit | None = None,
        presence: Presence | None = None,
    ) -> None:
        self._allow = Networks(allow)
        self._total = total
        self._per_client = per_client
        self._rate_limit = rate_limit
        self._presence: Presence = LocalPresence() if presence is None else presence
        self.deny(deny)

    @classmethod
    def of(
        cls,
        settings: AdmissionSettings,
        times: ArrivalTimes | None = None,
        secret: bytes = b"",
        presence: Presence | None = None,
    ) -> Admission:
        """The admission that the settings ask for.

        :param times: where the arrival times of the rate are kept; None keeps them in this process.
        :param presence: counts the clients that are connected; None counts those of this process.
        :param secret: makes the keys of the times, see :func:`~proxymux.core.rate_limit.key_of`.
        """
        rate, limit = settings.max_rate, None
        if rate is not None:
            limit = RateLimit(rate, LocalTimes(rate.seconds) if times is None else times, secret)
        return cls(settings.allow, settings.deny, settings.max_connections, settings.max_per_client, limit, presence)

    def deny(self, networks: Iterable[Network]) -> None:
        """Replace the denied networks.  Clients that are connected already stay."""
        self._deny = Networks(networks)
        #: There is something to judge an address by; otherwise :meth:`admit` need not be called.
        self.judges = bool(self._deny or self._allow or self._per_client or self._rate_limit)

    def arrive(self) -> str | None:
        """Count a connection as it is accepted.

        :returns: None; or why there are too many, in which case it is not counted.
        """
        if self._total is not None and self._presence.total >= self._total:
            return f"more than {self._total} clients (--max-connections)"
        self._presence.enter()
        return None

    def admit(self, host: str, now: float = 0.0) -> str | None:
        """Admit a client by its address, once that is known for certain, and count it under that address.

        :param now: the time in the clock's seconds, by which the rate goes.
        :returns: None; or why the client is refused, in which case it is not counted under the address.
        """
        address = parse_ip_address(host)
        if address is None:
            return None
        if address in self._deny:
            return "address denied (--deny, --deny-file, --deny-cluster)"
        if self._allow and address not in self._allow:
            return "address not allowed (--allow)"
        if self._per_client is not None and self._presence.of(address) >= self._per_client:
            return f"more than {self._per_client} clients from one address (--max-per-client)"
        if self._rate_limit is not None and not self._rate_limit.take(address, now):
            rate, origin = self._rate_limit.rate, "address" if address.version == 4 else "/64"
            return f"more than {rate.most} in {rate.seconds:g} s from one {origin} (--max-rate)"
        if self._per_client is not None:
            self._presence.enter_from(address)
        return None

    def resume(self, host: str | None) -> None:
        """Count a client that another process has admitted and gives to this one.

        :param host: the address that was admitted, or None.
        """
        self._presence.enter()
        address = parse_ip_address(host) if host is not None and self._per_client is not None else None
        if address is not None:
            self._presence.enter_from(address)

    def leave(self, host: str | None) -> None:
        """Undo an :meth:`arrive` that counted.

        :param host: the address that was admitted, to undo :meth:`admit` too; None if none was.
        """
        self._presence.leave()
        address = parse_ip_address(host) if host is not None and self._per_client is not None else None
        if address is not None:
            self._presence.leave_from(address)

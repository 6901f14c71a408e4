"""The connector: gets an upstream for a Forward decision, by as many attempts as the decision allows."""

from __future__ import annotations

from collections.abc import Mapping

from proxymux.core.decision import Forward
from proxymux.core.identity import Client, SocketAddress
from proxymux.core.proxy_protocol import encode
from proxymux.core.proxy_protocol.of_tls import with_tls
from proxymux.errors import BadHeader
from proxymux.net.connecting import Connecting, ConnectListener, ConnectParts
from proxymux.net.driver import Driver
from proxymux.net.happy_eyeballs import Dialler, TargetCheck
from proxymux.net.holding import HoldQueue
from proxymux.net.member_attempts import NO_CLUSTERS, TargetCluster
from proxymux.settings import Settings


class Connector:
    """Connects to the targets of decisions.

    :param driver: dials addresses.
    :param settings: hold where the decision does not say.
    :param check: called with every IP address before it is tried; None allows all.
    :param holds: the targets that are held; None where they are held otherwise.
    :param clusters: the clusters that decisions may name, by their names.
    """

    def __init__(
        self,
        driver: Driver,
        settings: Settings,
        check: TargetCheck | None = None,
        holds: HoldQueue | None = None,
        clusters: Mapping[str, TargetCluster] = NO_CLUSTERS,
    ) -> None:
        #: Begins attempts to connect to addresses.
        self.dialler = Dialler(driver.reactor, driver.timers, driver.dial, check)
        self._parts = ConnectParts(driver.timers, self.dialler, driver.client_tls, holds, clusters)
        self._settings = settings

    def connect(self, forward: Forward, client: Client, listener: ConnectListener) -> Connecting:
        """A connect as ``forward`` says, on behalf of ``client``; the caller starts it by :meth:`Connecting.start`."""
        limit = forward.connect_timeout or self._settings.connect_timeout
        return Connecting(self._parts, limit, self._header(forward, client), forward, client.address[0], listener)

    def _header(self, forward: Forward, client: Client) -> bytes:
        version = self._settings.send_proxy if forward.send_proxy is None else forward.send_proxy
        if not version:
            return b""
        ends = _header_address(client.address), _header_address(client.local)
        received = client.proxy_protocol
        tlvs = received.tlvs if received is not None else ()
        if client.tls is not None:
            tlvs = tuple(with_tls(client.tls, tlvs))
        try:
            return encode(version, *ends, tlvs, received is not None and received.has_checksum)
        except BadHeader:
            return encode(version, *ends)  # it would be too long: one with addresses where the received one had none


def _header_address(address: SocketAddress) -> tuple[str, int] | None:
    host, port = address
    if host.startswith("unix:"):
        return None  # HAProxy refuses a header with a path, and a client's Unix socket has no name
    return host.partition("%")[0], port

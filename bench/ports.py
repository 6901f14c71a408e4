"""The ports of one run."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ports:
    """Where everything is, on 127.0.0.1.

    :param web: of the proxy, for HTTP.
    :param bulk: of the proxy, for iperf3; the same one where the proxy looks at the first bytes.
    :param origin: of the web server behind it.
    :param sink: of the iperf3 server behind it.
    """

    web: int
    bulk: int
    origin: int
    sink: int


def free_port() -> int:
    """Return a port that nobody uses, below those the kernel gives to outgoing connections.

    One of those could be taken by a connection before the program that is to have it has started.
    """
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, max(lowest_ephemeral, 20_000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

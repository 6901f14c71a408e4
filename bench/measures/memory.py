"""Memory of connections that are joined and idle."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import Final

from bench.figures import Bound, Metric
from bench.measures.base import Measure
from bench.processes import BrokenRun, resident_bytes
from bench.stage import Peer, Proxy, Stage

CONNECTIONS: Final = 5000
SHORT_CONNECTIONS: Final = 500
#: What the first few connections allocate stays, however many follow.
WARM_CONNECTIONS: Final = 10
#: What is done a moment later, such as giving back buffers, is done then.
REST_SECONDS: Final = 0.5

REQUEST: Final = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"


class Memory(Measure):
    """User-space memory that a process has grown by, for each idle connection.

    Every connection has carried one request and its reply, so it is joined. What a proxy reserves at its start for
    connections to come is not growth: nginx does so.
    """

    name = "memory"
    needs_descriptors = 12_000
    kinds = ("haproxy", "nginx-stream", "proxymux", "proxymux-transport")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (Metric("anon", "bytes", "haproxy", bound=Bound(0.7, pure=0.8)), Metric("rss", "bytes", "haproxy"))

    def take(self, stage: Stage, peer: Peer) -> dict[str, float]:
        total = SHORT_CONNECTIONS if stage.short else CONNECTIONS
        with stage.proxy(peer) as proxy, ExitStack() as clients:
            before = _resident_with(proxy, WARM_CONNECTIONS, clients)
            after = _resident_with(proxy, total - WARM_CONNECTIONS, clients)
        rss, anon = ((late - early) / (total - WARM_CONNECTIONS) for early, late in zip(before, after, strict=True))
        return {"rss": rss, "anon": anon}


def _resident_with(proxy: Proxy, more: int, clients: ExitStack) -> tuple[int, int]:
    for _ in range(more):
        client = clients.enter_context(socket.create_connection(("127.0.0.1", proxy.ports.web), 10))
        client.sendall(REQUEST)
        if not client.recv(4096).startswith(b"HTTP/1.1 200"):
            raise BrokenRun("an idle connection was not joined")
    time.sleep(REST_SECONDS)
    return resident_bytes(proxy.pid)

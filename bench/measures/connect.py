"""Connections that are new each time."""

from __future__ import annotations

from typing import ClassVar, Final

from bench import load
from bench.figures import Bound, Metric
from bench.measures.base import Measure
from bench.stage import Peer, Stage

#: Enough that the proxy always has something to do, few enough that they are no measure of memory.
AT_ONCE: Final = 50


class Connect(Measure):
    """CPU time of a connection from accept to close, with one small request and reply on it.

    The origin closes first, so TIME_WAIT stays with listening ports and no ephemeral port is held by it.
    """

    name = "connect"
    needs_load = True
    kinds: ClassVar[tuple[str, ...]] = ("haproxy-lua", "nginx-njs", "proxymux", "proxymux-transport")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (
            Metric("cpu", "µs/connection", "haproxy-lua", bound=Bound(1.08, pure=1.4)),
            Metric("rate", "connections/s", "haproxy-lua", more=True),
            Metric("p99", "µs", "haproxy-lua"),
        )

    def take(self, stage: Stage, peer: Peer) -> dict[str, float]:
        with stage.proxy(peer) as proxy:
            result = load.fresh(stage, proxy, AT_ONCE)
        return {"cpu": result.cpu_us, "rate": result.rate, "p99": result.p99_us}


class ConnectTwo(Connect):
    """The same with two threads of HAProxy, and two workers of the others."""

    name = "connect-2"
    kinds = ("haproxy-lua-2", "nginx-njs-2", "proxymux-2")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (
            Metric("cpu", "µs/connection", "haproxy-lua-2", bound=Bound(1.1)),
            Metric("rate", "connections/s", "haproxy-lua-2", bound=Bound(0.95), more=True),
            Metric("p99", "µs", "haproxy-lua-2"),
        )

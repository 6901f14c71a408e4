"""Connections that are new each time."""

from __future__ import annotations

from typing import Final

from bench import load
from bench.figures import Metric
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

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (
            Metric("cpu", "µs/connection", "haproxy-lua", at_most=1.4),
            Metric("rate", "connections/s", "haproxy-lua"),
            Metric("p99", "µs", "haproxy-lua"),
        )

    def take(self, stage: Stage, peer: Peer) -> dict[str, float]:
        with stage.proxy(peer) as proxy:
            result = load.fresh(stage, proxy, AT_ONCE)
        return {"cpu": result.cpu_us, "rate": result.rate, "p99": result.p99_us}

"""Latency when there is time left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bench import load
from bench.figures import Metric
from bench.measures.base import Measure
from bench.processes import Unavailable
from bench.stage import Peer, Stage

CONNECTIONS: Final = 50


class Latency(Measure):
    """Latency at half the rate that HAProxy can do, the same rate for every peer.

    Requests come at random moments, the same ones for all, and a late one counts from the moment it was due.
    """

    name = "latency"
    needs_load = True

    def __init__(self) -> None:
        self._rate = 0.0

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (
            Metric("p50", "µs", "haproxy"),
            Metric("p99", "µs", "haproxy", at_most=1.3),
            Metric("rate", "requests/s", "haproxy"),
        )

    def prepare(self, stage: Stage, peers: Mapping[str, Peer]) -> dict[str, float]:
        if "haproxy" not in peers:
            raise Unavailable("half load is half of what haproxy can do, and it is not among the peers")
        with stage.proxy(peers["haproxy"]) as proxy:
            most = load.kept(stage, proxy, CONNECTIONS).rate
        self._rate = most / 2
        assert stage.direct
        direct = load.paced(stage, stage.direct, CONNECTIONS, self._rate)
        return {
            "haproxy at most, requests/s": most,
            "rate, requests/s": self._rate,
            "p50 without a proxy, µs": direct.p50_us,
            "p99 without a proxy, µs": direct.p99_us,
        }

    def take(self, stage: Stage, peer: Peer) -> dict[str, float]:
        with stage.proxy(peer) as proxy:
            result = load.paced(stage, proxy, CONNECTIONS, self._rate)
        return {"p50": result.p50_us, "p99": result.p99_us, "rate": result.rate}

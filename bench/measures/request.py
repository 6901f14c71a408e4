"""Requests and replies on connections that are kept."""

from __future__ import annotations

from typing import Final

from bench import load
from bench.figures import Metric
from bench.measures.base import Measure
from bench.stage import Peer, Stage

CONNECTIONS: Final = 50


class Request(Measure):
    """CPU time of a round trip, and how many there are a second, with 50 connections."""

    name = "request"
    programs = ("wrk",)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (
            Metric("cpu", "µs/request", "haproxy", at_most=1.10),
            Metric("rate", "requests/s", "haproxy"),
            Metric("p50", "µs", "haproxy"),
            Metric("p99", "µs", "haproxy"),
        )

    def take(self, stage: Stage, peer: Peer) -> dict[str, float]:
        with stage.proxy(peer) as proxy:
            result = load.wrk(stage, proxy, CONNECTIONS)
        return {"cpu": result.cpu_us, "rate": result.rate, "p50": result.p50_us, "p99": result.p99_us}

"""Latency when there is time left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from bench import load
from bench.figures import Bound, Metric
from bench.measures.base import Distributions, Measure
from bench.processes import Unavailable
from bench.stage import Peer, Stage

CONNECTIONS: Final = 50
#: Parts of what HAProxy can do at most, in percent.
LOADS: Final = (10, 50, 80)
#: The one that has the bounds, for these.
JUDGED_LOAD: Final = 50
JUDGED: Final = ("p50", "p99")


class Latency(Measure):
    """Latency at 10, 50 and 80 % of the rate that HAProxy can do, the same rates for every peer.

    Requests come at random moments, the same ones for all, and a late one counts from the moment it was due.
    """

    name = "latency"
    needs_load = True
    repeats = 3
    kinds = ("haproxy", "proxymux", "proxymux-transport")

    def __init__(self) -> None:
        self._most = 0.0
        self._taken: dict[str, dict[str, Counter[int]]] = {}

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(
            Metric(
                f"{key} at {percent} %",
                "µs",
                "haproxy",
                bound=Bound(1.0, pure=1.1) if percent == JUDGED_LOAD and key in JUDGED else None,
            )
            for percent in LOADS
            for key in ("p50", "p99", "p99.9")
        )

    def prepare(self, stage: Stage, peers: Mapping[str, Peer]) -> dict[str, float]:
        if "haproxy" not in peers:
            raise Unavailable("loads are parts of what haproxy can do, and it is not among the peers")
        with stage.proxy(peers["haproxy"]) as proxy:
            self._most = load.kept(stage, proxy, CONNECTIONS).rate
        assert stage.direct
        facts = {"haproxy at most, requests/s": self._most}
        for percent in LOADS:
            direct = load.paced(stage, stage.direct, CONNECTIONS, self._most * percent / 100)
            facts[f"p50 without a proxy at {percent} %, µs"] = direct.p50_us
            facts[f"p99 without a proxy at {percent} %, µs"] = direct.p99_us
        return facts

    def take(self, stage: Stage, peer: Peer) -> dict[str, float]:
        values: dict[str, float] = {}
        with stage.proxy(peer) as proxy:
            for percent in LOADS:
                result = load.paced(stage, proxy, CONNECTIONS, self._most * percent / 100)
                keys = {"p50": result.p50_us, "p99": result.p99_us, "p99.9": result.p999_us}
                values |= {f"{key} at {percent} %": value for key, value in keys.items()}
                taken = self._taken.setdefault(peer.name, {})
                taken.setdefault(f"{percent} %", Counter()).update(result.buckets)
        return values

    def distributions(self) -> Distributions:
        return {peer: {at: dict(sorted(of.items())) for at, of in each.items()} for peer, each in self._taken.items()}

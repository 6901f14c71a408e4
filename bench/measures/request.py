"""Requests and replies on connections that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bench import load
from bench.figures import Bound, Metric
from bench.measures.base import Measure
from bench.stage import Peer, Stage

#: Connections, all of them busy.
COUNTS: Final = (1, 50, 1000, 3000, 10_000)
SHORT_COUNTS: Final = (50, 1000)
#: At this count the rate and the latency are shown, too.
USUAL: Final = 50


class Request(Measure):
    """CPU time of a round trip, with few and with many connections that ask again at once.

    One process has first few connections and then ever more.
    """

    name = "request"
    needs_load = True
    kinds = ("haproxy", "proxymux", "proxymux-transport")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        bound = Bound(1.0, pure=1.05)
        return (
            *(Metric(f"cpu {count}", "µs/request", "haproxy", bound=bound) for count in COUNTS),
            Metric("rate", "requests/s", "haproxy", more=True),
            Metric("p99", "µs", "haproxy"),
        )

    def prepare(self, stage: Stage, peers: Mapping[str, Peer]) -> dict[str, float]:
        most = stage.most_connections
        return {f"connections of cpu {count}": most for count in COUNTS if count > most}

    def take(self, stage: Stage, peer: Peer) -> dict[str, float]:
        values = {}
        with stage.proxy(peer) as proxy:
            for count in SHORT_COUNTS if stage.short else COUNTS:
                result = load.kept(stage, proxy, min(count, stage.most_connections))
                values[f"cpu {count}"] = result.cpu_us
                if count == USUAL:
                    values |= {"rate": result.rate, "p99": result.p99_us}
        return values

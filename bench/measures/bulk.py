"""Many bytes through few connections."""

from __future__ import annotations

from typing import Final

from bench import load
from bench.figures import Metric
from bench.measures.base import Measure
from bench.stage import Peer, Stage

STREAMS: Final = (1, 8)


class Bulk(Measure):
    """Bytes a second, and CPU time for them."""

    name = "bulk"
    programs = ("iperf3",)
    only_peers = (*Measure.only_peers, "haproxy-splice")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        rates = (Metric(f"rate {streams}", "Gbit/s", "haproxy", at_least=1.2) for streams in STREAMS)
        costs = (Metric(f"cpu {streams}", "s/GB", "haproxy") for streams in STREAMS)
        return (*rates, *costs)

    def take(self, stage: Stage, peer: Peer) -> dict[str, float]:
        values = {}
        with stage.proxy(peer) as proxy:
            if not stage.short:
                load.iperf(stage, proxy, 1, stage.warm_seconds)
            for streams in STREAMS[:1] if stage.short else STREAMS:
                result = load.iperf(stage, proxy, streams, stage.seconds)
                values[f"rate {streams}"] = result.rate * 8 / 1e9
                values[f"cpu {streams}"] = result.cpu / result.done * 1e9
        return values

"""What a request costs where many connections are kept."""

from __future__ import annotations

from typing import Final

from bench import load
from bench.figures import Metric
from bench.measures.base import Measure
from bench.stage import Peer, Stage

#: All of them are busy.
COUNTS: Final = (10, 50, 100, 1000, 5000)
BASE: Final = 50


class Scale(Measure):
    """CPU time of a round trip with few and with many connections, each of them busy."""

    name = "scale"
    needs_descriptors = 12_000
    needs_load = True
    only_peers = ("haproxy", "proxymux", "proxymux-beside", "proxymux-transport")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return tuple(
            Metric(
                f"cpu {count}",
                "µs/request",
                against_key=f"cpu {BASE}",
                at_most=1.2 if count == max(COUNTS) else None,
            )
            for count in COUNTS
        )

    def take(self, stage: Stage, peer: Peer) -> dict[str, float]:
        values = {}
        for count in (BASE, 1000) if stage.short else COUNTS:
            with stage.proxy(peer) as proxy:
                values[f"cpu {count}"] = load.kept(stage, proxy, count).cpu_us
        return values

"""Many bytes through few connections."""

from __future__ import annotations

from typing import Final

from bench import load
from bench.figures import Bound, Metric, both
from bench.measures.base import Measure
from bench.stage import Peer, Stage

STREAMS: Final = (1, 8)
#: Of the rate to that of HAProxy where it splices everything.
SPLICED: Final = Bound(1.0)


class Bulk(Measure):
    """Bytes a second, and CPU time for them."""

    name = "bulk"
    programs = ("iperf3",)
    kinds = ("haproxy", "haproxy-splice", "proxymux", "proxymux-transport")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (
            *(Metric(f"rate {streams}", "Gbit/s", "haproxy", bound=both(1.4), more=True) for streams in STREAMS),
            *(Metric(f"rate {streams}", "Gbit/s", "haproxy-splice", bound=SPLICED, more=True) for streams in STREAMS),
            *(Metric(f"cpu {streams}", "s/GB", "haproxy") for streams in STREAMS),
        )

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

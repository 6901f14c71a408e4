"""Small requests beside many bytes."""

from __future__ import annotations

from typing import Final

from bench import load
from bench.figures import Metric, both
from bench.measures.base import Measure
from bench.processes import BrokenRun
from bench.stage import Peer, Stage

CHATTY: Final = 100
#: Of all paced connections together: so few that alone none of them waits.
RATE: Final = 2000.0


class Fairness(Measure):
    """Latency of 100 chatty connections alone, and beside one bulk flow through the same process.

    "busy" ones ask again at once, "paced" ones 2,000 times a second in all. Both have the target: the busy ones wait
    for each other when they are alone, so their ratio is the smaller one. What the bulk flow still carries stands
    beside, for a proxy that starves it has the best latency of all.
    """

    name = "fairness"
    programs = ("iperf3",)
    needs_load = True
    kinds = ("haproxy", "haproxy-splice", "proxymux", "proxymux-transport")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (
            *_metrics("busy"),
            *_metrics("paced"),
            Metric("busy rate alone", "requests/s", "haproxy", more=True),
            Metric("busy rate beside", "requests/s", "haproxy", more=True),
        )

    def take(self, stage: Stage, peer: Peer) -> dict[str, float]:
        with stage.proxy(peer) as proxy:
            busy, paced = load.kept(stage, proxy, CHATTY), load.paced(stage, proxy, CHATTY, RATE)
            with load.bulk_flow(proxy):
                busy_beside, paced_beside = load.kept(stage, proxy, CHATTY), load.paced(stage, proxy, CHATTY, RATE)
        values = {"busy rate alone": busy.rate, "busy rate beside": busy_beside.rate}
        for kind, alone, beside in (("busy", busy, busy_beside), ("paced", paced, paced_beside)):
            if not beside.sunk:
                raise BrokenRun("the bulk flow stood still")
            values[f"{kind} p99 alone"] = alone.p99_us
            values[f"{kind} p99 beside"] = beside.p99_us
            values[f"{kind} bulk"] = beside.sunk * 8 / 1e9 / beside.seconds
        return values


def _metrics(kind: str) -> tuple[Metric, ...]:
    return (
        Metric(f"{kind} p99 alone", "µs", "haproxy"),
        Metric(f"{kind} p99 beside", "µs", against_key=f"{kind} p99 alone", bound=both(5.0)),
        Metric(f"{kind} bulk", "Gbit/s", "haproxy", more=True),
    )

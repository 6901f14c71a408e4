"""What it takes until a process that was started serves."""

from __future__ import annotations

import time

from bench.figures import Metric
from bench.measures.base import Measure
from bench.processes import resident_bytes
from bench.stage import Peer, Stage


class Start(Measure):
    """Time from the start of a process to the first connection that it takes, its CPU time until then, its memory.

    ``twisted`` is what Python and Twisted take of it: their own port forwarder, which does not look at the bytes.
    """

    name = "start"
    kinds = ("haproxy", "nginx-stream", "twisted", "proxymux")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (
            Metric("wall", "ms", "twisted"),
            Metric("cpu", "ms", "twisted"),
            Metric("rss", "MiB", "twisted"),
        )

    def take(self, stage: Stage, peer: Peer) -> dict[str, float]:
        began = time.monotonic()
        with stage.proxy(peer) as proxy:
            wall, cpu, rss = time.monotonic() - began, proxy.cpu(), resident_bytes(proxy.pid)[0]
        return {"wall": wall * 1e3, "cpu": cpu * 1e3, "rss": rss / (1 << 20)}

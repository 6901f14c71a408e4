"""What bench/pool.py measures, and how good it has to be."""

from __future__ import annotations

from typing import Final

from bench.figures import Bound, Metric
from bench.heads import HEADS

#: Upstream connections of the modes that have several.
UPSTREAMS: Final = 8
#: The loads of redis-benchmark: the command, and how many requests it sends at once.
REDIS_LOADS: Final = {"get": ("get", 1), "set": ("set", 1), "get -P 16": ("get", 16), "set -P 16": ("set", 16)}
#: The modes of a pool: how many upstream connections and which options.
MODES: Final[dict[str, tuple[int, tuple[str, ...]]]] = {
    "fifo": (1, ()),
    "funnel": (UPSTREAMS, ()),
    "async": (UPSTREAMS, ("--async",)),
}
#: Of each mode without and with -P 16.
BOUNDS: Final = {
    "fifo": (Bound(1.0, pure=0.85), Bound(1.5, pure=1.0)),
    "funnel": (Bound(0.65), Bound(1.1)),
    "async": (Bound(0.95), Bound(1.4)),
}
UNIT: Final = "requests/CPU s"
REDIS_METRICS: Final = (
    *(Metric(load, UNIT, more=True) for load in REDIS_LOADS),
    *(
        Metric(f"{mode} {load}", UNIT, "nutcracker", load, BOUNDS[mode][depth > 1], more=True)
        for mode in MODES
        for load, (_, depth) in REDIS_LOADS.items()
    ),
)
HTTP_METRICS: Final = tuple(Metric(head, UNIT, "haproxy", bound=Bound(0.8), more=True) for head in HEADS)

"""What is measured, in the order in which it is."""

from __future__ import annotations

from typing import Final

from bench.measures.base import Measure
from bench.measures.bulk import Bulk
from bench.measures.connect import Connect, ConnectTwo
from bench.measures.fairness import Fairness
from bench.measures.latency import Latency
from bench.measures.memory import Memory
from bench.measures.request import Request
from bench.measures.start import Start

ALL: Final[tuple[type[Measure], ...]] = (Request, Bulk, Connect, ConnectTwo, Memory, Latency, Start, Fairness)
#: What is measured unless --only says otherwise.  Latency beside bulk takes as long as all else of that.
USUAL: Final[tuple[type[Measure], ...]] = tuple(kind for kind in ALL if kind is not Fairness)

__all__ = ["ALL", "USUAL", "Measure"]

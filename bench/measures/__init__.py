"""What is measured, in the order in which it is."""

from __future__ import annotations

from typing import Final

from bench.measures.base import Measure
from bench.measures.bulk import Bulk
from bench.measures.connect import Connect
from bench.measures.fairness import Fairness
from bench.measures.latency import Latency
from bench.measures.memory import Memory
from bench.measures.request import Request
from bench.measures.scale import Scale

ALL: Final[tuple[type[Measure], ...]] = (Request, Bulk, Connect, Memory, Latency, Scale, Fairness)

__all__ = ["ALL", "Measure"]

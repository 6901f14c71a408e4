"""The table of metrics and that of the admin endpoint's paths, made from the code when the docs are built.

In a page, ``.. metrics::`` and ``.. paths::`` stand for them.
"""

from __future__ import annotations

import re

from proxymux.admin.counters import CONNECTION_BOUNDS, PHASE_BOUNDS
from proxymux.admin.metrics import FAMILIES
from proxymux.admin.routes import ROUTES

_DIRECTIVE = re.compile(r"^\.\. (metrics|paths|bounds)::$", re.MULTILINE)


def expand(page: str) -> str:
    """Return the source of a page with what is made from the code in the places of the directives."""
    makers = {"metrics": metrics, "paths": paths, "bounds": bounds}
    return _DIRECTIVE.sub(lambda found: makers[found[1]](), page)


def metrics() -> str:
    """The table of metrics."""
    rows = [
        (f"``{family.name}``", family.type, ", ".join(f"``{label}``" for label in family.labels), family.text)
        for family in FAMILIES.values()
    ]
    return _table("36 12 20 40", ("Metric", "Type", "Labels", "What it says"), *rows)


def paths() -> str:
    """The table of paths."""
    rows = [(route.method, f"``{route.shown}``", route.says) for route in ROUTES]
    return _table("10 30 60", ("Method", "Path", "What is there"), *rows)


def bounds() -> str:
    """The buckets of the histograms, in words."""
    phases, connections = (", ".join(f"{bound:g}" for bound in each) for each in (PHASE_BOUNDS, CONNECTION_BOUNDS))
    return f"The buckets of phases end at {phases} seconds, those of whole connections at {connections} seconds."


def _table(widths: str, *rows: tuple[str, ...]) -> str:
    head = f".. list-table::\n   :header-rows: 1\n   :widths: {widths}\n"
    return "\n".join([head, *("\n".join(_cells(row)) for row in rows), ""])


def _cells(row: tuple[str, ...]) -> list[str]:
    return [f"   {'* ' if not number else '  '}- {cell}".rstrip() for number, cell in enumerate(row)]

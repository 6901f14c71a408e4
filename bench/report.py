"""The table and the JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bench.figures import Row, Sample

HEADINGS: Final = ("measure", "peer", "median", "min .. max", "unit", "ratio", "to", "target", "met")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text in columns."""
    cells = [HEADINGS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    # A blank line where the figure changes, so that the peers stand together.
    for index in range(len(rows) - 1, 0, -1):
        if (rows[index].measure, rows[index].metric) != (rows[index - 1].measure, rows[index - 1].metric):
            lines.insert(index + 2, "")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"{row.measure} {row.metric}",
        row.peer,
        _number(row.median),
        f"{_number(row.low)} .. {_number(row.high)}",
        row.unit,
        "" if row.ratio is None else f"{row.ratio:.3f}",
        row.reference or "",
        row.target or "",
        "" if row.met is None else "yes" if row.met else "NO",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def write_json(
    file: Path,
    machine: dict[str, Any],
    options: dict[str, Any],
    facts: dict[str, dict[str, float]],
    skipped: Iterable[str],
    rows: Sequence[Row],
    samples: Sequence[Sample],
) -> None:
    """Write all that a reader needs to judge, the raw rounds included.

    :param file: where to.
    :param machine: what it ran on.
    :param options: of this run.
    :param facts: by measure, what it found out before its rounds.
    :param skipped: one line for each thing that could not be run.
    :param rows: the conclusions.
    :param samples: every value of every round.
    """
    content = {
        "machine": machine,
        "options": options,
        "notes": [
            "cpu: user and system time of all threads of the proxy's working process, from /proc/PID/task/*/schedstat",
            "ratio: the median over the rounds of the ratio within a round",
            "every measurement is of a fresh process",
        ],
        "facts": facts,
        "skipped": list(skipped),
        "rows": [asdict(row) for row in rows],
        "samples": [asdict(sample) for sample in samples],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")

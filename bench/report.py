"""The table and the JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.figures import Metric, Row, Sample, conclude
from bench.machine import Description
from bench.measures.base import Distributions

HEADINGS: Final = ("measure", "peer", "build", "median", "unit", "ratio", "min .. max", "to", "bound", "met")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text in columns."""
    cells = [HEADINGS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    # A blank line where the figure changes, so that the peers stand together.
    for index in range(len(rows) - 1, 0, -1):
        one, other = rows[index], rows[index - 1]
        if (one.measure, one.metric, one.reference) != (other.measure, other.metric, other.reference):
            lines.insert(index + 2, "")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"{row.measure} {row.metric}",
        row.peer,
        row.build or "",
        number(row.median),
        row.unit,
        "" if row.ratio is None else f"{row.ratio:.3f}",
        f"{min(row.ratios):.3f} .. {max(row.ratios):.3f}" if row.ratios else "",
        row.reference or "",
        "" if row.bound is None else f"{'≥' if row.more else '≤'} {row.bound:.2f}",
        "" if row.met is None else "yes" if row.met else "NO",
    )


def number(value: float) -> str:
    """Return a value with about three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


@dataclass
class Findings:
    """What a run has found.

    :param rows: the conclusions.
    :param samples: every value of every round.
    :param facts: by measure, what it found out before its rounds.
    :param skipped: one line for each thing that could not be run.
    :param distributions: what single requests took.
    """

    rows: Sequence[Row]
    samples: Sequence[Sample]
    facts: dict[str, dict[str, float]] = field(default_factory=dict)
    skipped: Sequence[str] = ()
    distributions: Distributions = field(default_factory=dict)


def publish(
    file: Path,
    machine: Description,
    options: dict[str, Any],
    metrics: Mapping[str, Sequence[Metric]],
    samples: Sequence[Sample],
    skipped: Sequence[str] = (),
) -> None:
    """Conclude, write the JSON, and print the table.

    :param file: see ``write_json``.
    :param metrics: the figures, by measure.
    :param skipped: one line for each thing that could not be run.
    """
    rows: list[Row] = []
    for measure, its in metrics.items():
        rows += conclude(measure, its, [sample for sample in samples if sample.measure == measure])
    write_json(file, machine, options, Findings(rows, samples, skipped=skipped))
    print(f"{table(rows)}\n\n{machine['words']}\nwrote {file}")


def write_json(file: Path, machine: Description, options: dict[str, Any], found: Findings) -> None:
    """Write all that a reader needs to judge, the raw rounds included.

    :param file: where to.
    :param machine: what it ran on.
    :param options: of this run.
    """
    content = {
        "machine": machine,
        "options": options,
        "notes": [
            "cpu: user and system time of all threads of the proxy's processes, from /proc/PID/task/*/schedstat",
            "ratio: the median over the rounds of the ratio within a round",
            "every measurement is of a fresh process",
        ],
        "facts": found.facts,
        "skipped": list(found.skipped),
        "rows": [asdict(row) for row in found.rows],
        "samples": [asdict(sample) for sample in found.samples],
        "distributions": found.distributions,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(_compact(json.dumps(content, indent=1, ensure_ascii=False)) + "\n")


def _compact(text: str) -> str:
    """Return JSON with what holds only numbers on one line: so many lines would be of no use to a reader."""
    return re.sub(r"[\[{][^\[\]{}a-zA-Z]*[\]}]", lambda found: " ".join(found[0].split()), text)

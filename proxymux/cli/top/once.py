"""``proxymux top --once``: everything as text, or as JSON for scripts."""

from __future__ import annotations

import json

from proxymux.cli.top.samples import Shown
from proxymux.cli.top.tables import TABLES, Table, arranged
from proxymux.cli.top.units import duration
from proxymux.printable import printable


def as_json(shown: Shown) -> str:
    """One line of JSON, whose characters are ASCII."""
    return json.dumps(shown) + "\n"


def as_text(shown: Shown, name: str) -> str:
    """All tables that are not empty, below each other.

    :param name: of the endpoint.
    """
    up = duration(shown.get("uptime_seconds"))
    parts = [f"proxymux {printable(str(shown.get('version')))} at {name}, up {up}\n"]
    for table in TABLES:
        rows = _rows(table, shown)
        if len(rows) > 1:
            parts.append(f"{table.title}\n" + "".join(f"  {row}\n" for row in rows))
    return "\n".join(parts)


def _rows(table: Table, shown: Shown) -> list[str]:
    items = arranged(table, shown, table.sorted_by, False, "")
    lines = [[column.title for column in table.columns]]
    lines += [[column.text(item) for column in table.columns] for item in items]
    widths = [max(len(line[at]) for line in lines) for at in range(len(table.columns))]
    return [
        "  ".join(
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(line, widths, table.columns, strict=True)
        ).rstrip()
        for line in lines
    ]

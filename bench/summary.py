"""Print the bounded figures of a run as a table for docs/performance.rst: what they are compared with, and both builds.

    python bench/summary.py [RESULTS]

RESULTS is the directory that the benchmarks wrote to.  A ratio that misses its bound is set in bold type.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.compare import read
from bench.options import RESULTS
from bench.report import number

HEADINGS: Final = ("What", "Beside", "its figure", "compiled", "bound", "pure", "bound")

Row = Mapping[str, Any]


def lines(contents: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return a line of cells for each figure that has a bound.

    :param contents: of the files of one run.
    """
    every: list[Row] = [row for content in contents for row in content["rows"] if not row["peer"].endswith("-beside")]
    bounded = [row for row in every if row["bound"] is not None]
    found = []
    for measure, metric, reference in dict.fromkeys(map(_what, bounded)):
        same = [row for row in every if _what(row) == (measure, metric, reference)]
        builds = {row["build"]: row for row in same if row["ratio"] is not None}
        cells = [cell for build in ("compiled", "pure") for cell in _cells(builds.get(build))]
        found.append([f"{measure} {metric}", reference, _beside(builds), *cells])
    return found


def _what(row: Row) -> tuple[str, str, str]:
    return row["measure"], row["metric"], row["reference"]


def _beside(builds: Mapping[str | None, Row]) -> str:
    """The figure of the reference: that of a build by its ratio, as rows of others may have another name for it."""
    row = next(row for build, row in builds.items() if build)
    return f"{number(row['median'] / row['ratio'])} {row['unit']}"


def _cells(row: Row | None) -> tuple[str, str]:
    if row is None:
        return ("", "")
    ratio = f"{row['ratio']:.2f}"
    if row["bound"] is None:
        return (ratio, "")
    return (ratio if row["met"] else f"**{ratio}**", f"{'≥' if row['more'] else '≤'} {row['bound']:.2f}")


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return lines of cells as a simple table of reStructuredText."""
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    border = "  ".join("=" * width for width in widths)
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (HEADINGS, *rows)]
    return "\n".join([border, text[0].rstrip(), border, *(line.rstrip() for line in text[1:]), border])


def main() -> int:
    """Print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS, metavar="RESULTS", help="[bench/results]")
    options = parser.parse_args()
    try:
        contents = read(options.results)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(table(lines(contents)))
    for words in dict.fromkeys(content["machine"]["words"] for content in contents):
        print(words)
    return 0


if __name__ == "__main__":
    sys.exit(main())

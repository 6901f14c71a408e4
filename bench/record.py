"""Add the medians of a run to the table by commit in docs/performance.rst.

    python bench/record.py [RESULTS]

RESULTS is the directory that the benchmarks wrote to.  There is one row for each build; a row of the same commit and
build is replaced.  The commit is that of these programs when they ran, with a plus if files had been changed; --commit
names another one, of which the builds were.
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

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "performance.rst"
#: The comment that the rows end at.
END: Final = ".. bench/record.py puts the next rows above this line\n"
#: The columns, each with measure, figure and reference.
COLUMNS: Final = {
    "trip 50": ("request", "cpu 50", "haproxy"),
    "trip 1,000": ("request", "cpu 1000", "haproxy"),
    "trip 10,000": ("request", "cpu 10000", "haproxy"),
    "connect": ("connect", "cpu", "haproxy-lua"),
    "connect 2": ("connect-2", "cpu", "haproxy-lua-2"),
    "bulk": ("bulk", "rate 1", "haproxy"),
    "idle": ("memory", "anon", "haproxy"),
    "p50": ("latency", "p50 at 50 %", "haproxy"),
    "p99": ("latency", "p99 at 50 %", "haproxy"),
    "start": ("start", "wall", "twisted"),
    "gateway": ("gateway", "handshakes", "go"),
    "FIFO": ("redis", "fifo get", "nutcracker get"),
    "FIFO -P": ("redis", "fifo get -P 16", "nutcracker get -P 16"),
    "Funnel": ("redis", "funnel get", "nutcracker get"),
    "async": ("redis", "async get", "nutcracker get"),
    "HTTP": ("http", "curl", "haproxy"),
}
HEADINGS: Final = ("commit", "date", "build", "others", *COLUMNS)


def is_used(content: Mapping[str, Any]) -> bool:
    """Whether the table has figures of a file: TLS is measured by itself, and of another commit perhaps."""
    return bool({row["measure"] for row in content["rows"]} & {measure for measure, _, _ in COLUMNS.values()})


def rows(contents: Sequence[Mapping[str, Any]], commit: str | None = None) -> list[list[str]]:
    """Return a row of cells for each build that was measured.

    :param contents: of the files of one run.
    :param commit: of the builds, if it is not that of the benchmarks.
    :raises ValueError: if they are not of one commit.
    """
    machines = [content["machine"] for content in contents]
    commits = {commit} if commit else set(map(_commit, machines))
    if len(commits) > 1:
        raise ValueError(f"the results are of several commits: {', '.join(sorted(commits))}")
    date = max(machine["date"] for machine in machines)[:10]
    others = f"{max(machine['others'] for machine in machines):.0%}"
    medians = {
        (row["build"], row["measure"], row["metric"], row["reference"]): row["ratio"]
        for content in contents
        for row in content["rows"]
        if row["build"] and row["ratio"] is not None and not row["peer"].endswith("-beside")
    }
    found = []
    for build in ("pure", "compiled"):
        if any(key[0] == build for key in medians):
            ratios = [medians.get((build, *column)) for column in COLUMNS.values()]
            found.append(
                [*commits, date, build, others, *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios)]
            )
    return found


def _commit(machine: Mapping[str, Any]) -> str:
    return (machine["commit"] or "unknown")[:7] + ("+" if machine["changed_files"] else "")


def added(page: str, new: Sequence[Sequence[str]]) -> str:
    """Return a page with rows added to its table, or put in the place of those of the same commit and build."""
    lines = page.splitlines(keepends=True)
    for cells in new:
        line = f"   {', '.join(cells)}".rstrip() + "\n"
        same = [number for number, each in enumerate(lines) if _told(each) == (cells[0], cells[2])]
        if same:
            lines[same[0]] = line
        else:
            end = lines.index(END)
            lines.insert(end - 1, line)
    return "".join(lines)


def _told(line: str) -> tuple[str, str] | None:
    cells = [cell.strip() for cell in line.split(",")]
    return (cells[0], cells[2]) if len(cells) == len(HEADINGS) else None


def main() -> int:
    """Change the page, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS, metavar="RESULTS", help="[bench/results]")
    parser.add_argument("--page", type=Path, default=PAGE, help="[default: docs/performance.rst]")
    parser.add_argument("--commit", help="of the builds [default: that of the benchmarks]")
    options = parser.parse_args()
    try:
        new = rows([content for content in read(options.results) if is_used(content)], options.commit)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    options.page.write_text(added(options.page.read_text(), new))
    for cells in new:
        print(", ".join(cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())

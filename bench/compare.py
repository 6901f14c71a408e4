"""Compare the results of two runs, and tell a regression from noise.

    python bench/compare.py OLD NEW

Each is a directory of results or one of its files.  What both have is compared: the ratio of each figure to that of the
peer in the same round, new to old.  "regression" and "gain" are changes of at least the threshold, such as chance makes
in one comparison of twenty at most; "same" is a figure that has not changed by as much; of "noise" nothing can be said
with so few rounds, and it says how many would do.  With one argument the build that was measured with --beside is OLD.

Exits with 1 if there is a regression, and with 2 if there is nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.machine import IDLE
from bench.verdicts import Figures, Verdict, Word, compare, figures

#: What of the machine has to be the same.
MACHINE: Final = ("cpu", "cores", "kernel", "haproxy", "nutcracker", "go")
HEADINGS: Final = ("measure", "peer", "to", "new/old", "low .. high", "verdict")


def read(place: Path) -> list[dict[str, Any]]:
    """Read a file of results, or all in a directory.

    :raises ValueError: if there is none, or it is no such file; the text is one line.
    """
    files = sorted(place.glob("*.json")) if place.is_dir() else [place]
    if not files:
        raise ValueError(f"{place}: there are no results")
    try:
        contents: list[dict[str, Any]] = [json.loads(file.read_text()) for file in files]
    except OSError as error:
        raise ValueError(f"{place}: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{place}: not JSON") from None
    return contents


def doubts(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[str]:
    """Say what makes a comparison of two runs doubtful, one line for each: another machine, or a busy one."""
    before, after = old[0]["machine"], new[0]["machine"]
    found = [
        f"not the same {name}: {before.get(name)} before, {after.get(name)} now"
        for name in MACHINE
        if before.get(name) != after.get(name)
    ]
    for which, contents in (("old", old), ("new", new)):
        others = max(content["machine"].get("others", 0.0) for content in contents)
        if others >= IDLE:
            found.append(f"{which}: other programs used {others:.0%} of the machine")
    return found


def table(verdicts: Sequence[Verdict], threshold: float) -> str:
    """Return the verdicts as text in columns, the worst first."""
    order = list(Word)
    lines = [HEADINGS]
    for each in sorted(verdicts, key=lambda verdict: order.index(verdict.word)):
        measure, metric, peer, reference = each.key
        interval = f"{each.low:.3f} .. {each.high:.3f}"
        lines.append((f"{measure} {metric}", peer, reference, f"{each.times:.3f}", interval, each.said(threshold)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def both(options: argparse.Namespace) -> tuple[Figures, Figures]:
    """Return the figures of the two runs; prints what makes the comparison doubtful.

    :raises ValueError: if they cannot be compared; the text is one line.
    """
    old = read(options.old)
    new = read(options.new) if options.new else old
    for line in doubts(old, new):
        print(line, file=sys.stderr)
    return figures(old, beside=options.new is None, every=options.all), figures(new, every=options.all)


def main() -> int:
    """Print the verdicts, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, metavar="OLD")
    parser.add_argument("new", type=Path, metavar="NEW", nargs="?")
    parser.add_argument("--threshold", type=float, default=3.0, help="the least change that matters, %% [default: 3]")
    parser.add_argument("--all", action="store_true", help="figures without a bound, too: it takes more rounds then")
    options = parser.parse_args()
    try:
        old, new = both(options)
        verdicts = compare(old, new, options.threshold / 100)
        if not verdicts:
            raise ValueError("the two have no figure of proxymux in common")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(table(verdicts, options.threshold / 100))
    return 1 if any(each.word is Word.REGRESSION for each in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())

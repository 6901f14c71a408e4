"""Run the benchmarks that have bounds, one after the other.

    python bench/everything.py --pure A/bin/twistd --compiled B/bin/twistd

Seven rounds of both builds take about 25 minutes on an idle machine with two cores.  With ``--minutes`` each benchmark
gets its part of the time and does as many rounds as fit.  The figure is drawn with the results of all; they are in one
directory, for ``compare.py`` and ``record.py``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.builds import add_options, chosen
from bench.options import add_rounds
from bench.processes import exit_at_term

HERE: Final = Path(__file__).resolve().parent
#: The parts of the time: so much that each does about as many rounds. ``run.py`` is the last, as it draws.
PARTS: Final = {"gateway.py": 0.09, "pool.py": 0.21, "run.py": 0.7}


def commands(options: argparse.Namespace) -> list[list[str]]:
    """Return the command of each benchmark."""
    builds = [["--pure", options.pure], ["--compiled", options.compiled]]
    named = [str(word) for option in builds if option[1] for word in option] or ["--twistd", str(options.twistd)]
    found = []
    for name, part in PARTS.items():
        much = ["--minutes", f"{options.minutes * part:g}"] if options.minutes else ["--rounds", str(options.rounds)]
        found.append([sys.executable, str(HERE / name), "--out", str(options.out), *much, *named])
    return found


def main() -> int:
    """Run them, and return the exit status: that of the first that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_rounds(parser, rounds=7)
    add_options(parser)
    options = parser.parse_args()
    chosen(parser, options)
    exit_at_term()
    statuses = list(map(_run, commands(options)))
    return next(filter(None, statuses), 0)


def _run(command: list[str]) -> int:
    with subprocess.Popen(command) as process:
        try:
            return process.wait()
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())

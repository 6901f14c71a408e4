"""Options that all benchmarks have: how much is measured, and where the results go."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

#: Where results are written, unless an option says otherwise.
RESULTS: Final = Path(__file__).resolve().with_name("results")


def add_rounds(parser: argparse.ArgumentParser, rounds: int, seconds: float | None = None) -> None:
    """Add the options.

    :param rounds: default.
    :param seconds: default, of one measurement; with None there is no such option.
    """
    parser.add_argument("--rounds", type=int, default=rounds, help=f"[default: {rounds}]")
    parser.add_argument("--minutes", type=float, help="in place of --rounds: as many as fit, one at least")
    if seconds:
        parser.add_argument("--seconds", type=float, default=seconds, help=f"of one measurement [default: {seconds:g}]")
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory of the results [default: bench/results]")


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """Return those of the options that say how something was measured; paths of this machine do not."""
    return {key: value for key, value in vars(options).items() if not isinstance(value, Path)}

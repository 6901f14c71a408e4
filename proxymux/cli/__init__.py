"""The console script ``proxymux``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from proxymux.core.decision import MAX_SECONDS
from proxymux.version import __version__


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the commands; the exit status is 0 if all is well, 1 if not, 2 for a command line that is wrong."""
    options = _parser().parse_args(arguments)
    options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="proxymux", description="Tools for proxymux, the TCP proxy run by twistd.")
    parser.add_argument("--version", action="version", version=f"proxymux {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="load a router and try it on recorded first bytes",
        description=(
            "Load a router and, for each sample of a connection's first bytes, print what it decides and whether"
            " every way of splitting the sample leads to the same. Exits with 1 if not."
        ),
    )
    check.add_argument("router", help="router file, or package.module[:attribute]")
    check.add_argument(
        "--sample", metavar="FILE", nargs="+", action="extend", default=[], help="files of recorded first bytes"
    )
    check.add_argument(
        "--timeout", metavar="S", type=_seconds, default=30.0, help="seconds for one async decision [default: 30]"
    )
    check.set_defaults(run=_check)
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= MAX_SECONDS:
        raise ValueError
    return value


def _check(options: argparse.Namespace) -> None:
    from twisted.internet.task import react

    from proxymux.cli.check import check_router

    def run(reactor: Any) -> Any:
        checking = check_router(reactor, options.router, options.sample, options.timeout, sys.stdout, sys.stderr)
        return checking.addCallback(_exit)

    react(run)


def _exit(good: bool) -> None:
    if not good:
        raise SystemExit(1)

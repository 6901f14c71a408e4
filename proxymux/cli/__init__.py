"""The console script ``proxymux``: parses its command line.  Each command is in a module of its own."""

from __future__ import annotations

import argparse
import functools
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from proxymux.core.decision import MAX_SECONDS
from proxymux.core.excerpt import excerpt
from proxymux.version import __version__

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from proxymux.net.reactor.twisted_types import Reactor

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: with status 0 for success, 1 for a failure, 2 for a wrong command line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # otherwise an ASCII one refuses what is no ASCII
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
        "--timeout",
        metavar="S",
        type=_seconds,
        default=5.0,
        help="seconds that an async router may take for all splits of a sample together [default: 5]",
    )
    check.set_defaults(run=_check)
    _add_connect(commands)
    _add_token(commands)
    return parser


def _add_connect(commands: _Commands) -> None:
    connect = commands.add_parser(
        "connect",
        help="join standard input and output to the target of a token, through a gateway",
        description=(
            "Show a token to a gateway and join standard input and output to its target, as OpenSSH's ProxyCommand"
            " wants it. Exits with 1 if the gateway does not connect, and says its status."
        ),
    )
    connect.add_argument("gateway", metavar="HOST:PORT", help="where the gateway listens")
    connect.add_argument("token", metavar="TOKEN", help="the token, or @FILE for the first line of a file")
    connect.set_defaults(run=_connect)


def _add_token(commands: _Commands) -> None:
    token = commands.add_parser("token", help="make tokens for the gateway, and see what is in them")
    actions = token.add_subparsers(required=True, metavar="ACTION")
    seal = actions.add_parser("seal", help="print a token", description="Print a token for a target.")
    seal.add_argument(
        "--target", metavar="HOST:PORT", action="append", required=True, help="repeat it for several, tried in order"
    )
    seal.add_argument("--expires-in", metavar="S", type=_whole_seconds, help="seconds that the token is good for")
    seal.add_argument("--not-before-in", metavar="S", type=_whole_seconds, help="seconds until it is good")
    seal.add_argument("--client", metavar="CIDR", help="where the client must come from")
    seal.add_argument("--audience", metavar="NAME", help="which gateways are meant")
    seal.add_argument("--once", action="store_true", help="it opens a gateway one time")
    seal.add_argument("--legacy", action="store_true", help="a token of the old form")
    seal.set_defaults(run=functools.partial(_token, "seal"))
    explain = actions.add_parser(
        "open",
        help="say what is in a token",
        description="Open a token and print what it says. Whether it is expired is for you to see.",
    )
    explain.add_argument("token", metavar="TOKEN")
    explain.set_defaults(run=functools.partial(_token, "open_"))
    for action in (seal, explain):
        action.add_argument("--key-file", metavar="FILE", help="keys of sealed tokens")
        action.add_argument(
            "--secret-file", metavar="FILE", help="secret of old tokens [default: the variable PROXYMUX_SECRET]"
        )
        action.add_argument("--digest", choices=("md5", "sha256", "pbkdf2"), help="of old tokens [default: md5]")


def _whole_seconds(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{excerpt(text)} is not a whole number of seconds from 0 to {MAX_SECONDS}")
    return value


def _connect(options: argparse.Namespace) -> None:
    from proxymux.cli.connect import connect  # here for the start-up time of the other commands

    status = connect(options.gateway, options.token)
    sys.stdout.flush()
    os._exit(status)  # not sys.exit(): a thread may be waiting for standard input


def _token(action: str, options: argparse.Namespace) -> None:
    from proxymux.cli import token  # here for start-up time: it imports OpenSSL

    raise SystemExit(getattr(token, action)(options))


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{excerpt(text)} is not a number of seconds above 0, up to {MAX_SECONDS}")
    return value


def _check(options: argparse.Namespace) -> None:
    # Here for start-up time, and so that the other commands install no reactor.  A router may want asyncio's.
    from twisted.internet import asyncioreactor

    asyncioreactor.install()

    from twisted.internet.task import deferLater, react

    from proxymux.cli.check import check_router
    from proxymux.net.clock import monotonic

    def run(reactor: Reactor) -> Deferred[None]:
        clock = monotonic(reactor)
        arguments = (options.router, options.sample, options.timeout, sys.stdout, sys.stderr)
        running: Deferred[None] = deferLater(clock, 0, lambda: None)  # asyncio's loop does not run before
        return running.addCallback(lambda _: check_router(clock, *arguments)).addCallback(_exit)

    react(run)


def _exit(good: bool) -> None:
    if not good:
        raise SystemExit(1)

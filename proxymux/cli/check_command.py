"""The command line of ``proxymux check``."""

from __future__ import annotations

import argparse
import functools
import random
import sys
import time
from typing import TYPE_CHECKING

from proxymux.cli.fuzz.budget import Budget, read_budget
from proxymux.cli.numbers import IN_SECONDS, seconds, whole_number
from proxymux.core.excerpt import excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime

    from proxymux.net.reactor.twisted_types import Reactor


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    check = commands.add_parser(
        "check",
        help="load a router and try it on recorded first bytes",
        description=(
            "Load a router and, for each sample of a connection's first bytes, print what it decides and whether"
            " every way of splitting the sample leads to the same. Exits with 1 if not, if a sample of --replay is"
            " decided otherwise, or if --fuzz finds something."
        ),
    )
    check.add_argument("router", help="router file, or package.module[:attribute]")
    check.add_argument(
        "--sample", metavar="FILE", nargs="+", action="extend", default=[], help="files of recorded first bytes"
    )
    check.add_argument(
        "--replay",
        metavar="DIR",
        help="folder of --capture; list each of its samples that the router decides about otherwise than was recorded",
    )
    check.add_argument(
        "--against", metavar="ROUTER", help="compare the samples of --replay with another router's decisions instead"
    )
    check.add_argument(
        "--timeout",
        metavar="S",
        type=seconds,
        default=5.0,
        help=f"{IN_SECONDS} that an async router may take for all splits of a sample together [default: 5]",
    )
    check.add_argument(
        "--codec", metavar="NAME", help="the router is a pool's, with route(request), and the samples are its requests"
    )
    _add_fuzz(check)
    check.set_defaults(run=_check, parser=check)


def _add_fuzz(check: argparse.ArgumentParser) -> None:
    check.add_argument(
        "--fuzz",
        metavar="N|TIME",
        nargs="?",
        type=_budget,
        const=Budget(),
        help=(
            "try N mutations of the samples and of how known protocols begin, or as many as there is TIME for, such as"
            f" 30s or 5m; exits with 1 if one is found on which the router fails [default: {Budget()}]"
        ),
    )
    check.add_argument(
        "--seed",
        metavar="N",
        type=functools.partial(whole_number, least=0, most=2**32 - 1),
        help="of --fuzz: the same has the same mutations [default: by chance, and printed]",
    )
    check.add_argument(
        "--fuzz-out",
        metavar="DIR",
        help="folder that gets a test for pytest for each thing that --fuzz finds [default: fuzz_found]",
    )


def _budget(text: str) -> Budget:
    try:
        return read_budget(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{excerpt(text)} is {error}") from None


def _check(options: argparse.Namespace) -> None:
    # Here for start-up time, and so that the other commands install no reactor.  A router may want asyncio's.
    from twisted.internet import asyncioreactor

    if options.against is not None and options.replay is None:
        options.parser.error("--against: is for --replay; name a folder of samples")
    if options.codec is not None and options.replay is not None:
        options.parser.error("--replay: is for routers of connections, not with --codec")
    for option, value in (("--seed", options.seed), ("--fuzz-out", options.fuzz_out)):
        if value is not None and options.fuzz is None:
            options.parser.error(f"{option}: is for --fuzz; give that, too")
    asyncioreactor.install()

    from twisted.internet.defer import ensureDeferred
    from twisted.internet.task import react

    react(lambda reactor: ensureDeferred(_check_and_fuzz(reactor, options)))


async def _check_and_fuzz(reactor: Reactor, options: argparse.Namespace) -> None:
    from twisted.internet.task import deferLater

    from proxymux.cli.check import check_router
    from proxymux.cli.check_requests import check_requests
    from proxymux.net.clock import monotonic

    clock = monotonic(reactor)
    fuzzing = None if options.fuzz is None else _fuzzing(clock, options)
    common = (options.sample, options.timeout, sys.stdout, sys.stderr)
    await deferLater(clock, 0)  # asyncio's loop does not run before
    if options.codec is not None:
        good = await check_requests(clock, options.router, options.codec, *common)
    else:
        good = await check_router(clock, options.router, *common, options.replay, options.against)
    if fuzzing is not None:
        good = await fuzzing() and good
    if not good:
        raise SystemExit(1)


def _fuzzing(clock: IReactorTime, options: argparse.Namespace) -> Callable[[], Coroutine[Deferred[None], None, bool]]:
    """Load the router for --fuzz, and return what tries it."""
    from proxymux.cli.fuzz.running import FuzzOptions, fuzz_router, load_subject

    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    folder = "fuzz_found" if options.fuzz_out is None else options.fuzz_out
    asked = FuzzOptions(options.router, options.sample, options.codec, options.timeout, options.fuzz, seed, folder)
    subject = load_subject(clock, time.perf_counter, asked, sys.stderr)
    if subject is None:
        raise SystemExit(1)
    return functools.partial(fuzz_router, clock, subject, asked, sys.stdout, sys.stderr)

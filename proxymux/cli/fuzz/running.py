"""The command ``proxymux check --fuzz``: loads the router, tells what is found, and writes a test for it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Final

from twisted.internet.interfaces import IReactorTime

from proxymux.cli.fuzz.budget import Budget
from proxymux.cli.fuzz.campaign import Campaign
from proxymux.cli.fuzz.finding import Finding
from proxymux.cli.fuzz.literals import literals
from proxymux.cli.fuzz.pytest_file import pytest_source
from proxymux.cli.fuzz.subject import ConnectionSubject, RequestSubject, Subject
from proxymux.cli.progress import Progress
from proxymux.errors import ConfigError, RouterError
from proxymux.hooks.interruption import interrupting
from proxymux.printable import printable
from proxymux.testing import STUCK
from proxymux.user_code import source_of

#: The most bytes of a sample or a source that are read.
_MOST_READ: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FuzzOptions:
    """What the user has asked for.

    :param router: as ``--router`` has it.
    :param samples: names of files of recorded first bytes, or of requests.
    :param codec: the router is one of requests; None is one of connections.
    :param timeout: the most seconds that the router may keep waiting about one input.
    :param folder: gets a test for each finding; it is made when there is one.
    """

    router: str
    samples: Sequence[str]
    codec: str | None
    timeout: float
    budget: Budget
    seed: int
    folder: str


def load_subject(
    clock: IReactorTime, monotonic: Callable[[], float], options: FuzzOptions, err: IO[str]
) -> Subject | None:
    """Load the router.

    :param clock: for the timeout.
    :param monotonic: a clock in seconds, for how long a call of the router blocks.
    :param err: is told why it cannot be loaded; the result is None then.
    """
    try:
        if options.codec is not None:
            return RequestSubject(clock, options.router, options.codec, options.timeout, monotonic)
        return ConnectionSubject(clock, options.router, options.timeout, monotonic)
    except (ConfigError, RouterError) as error:
        print(printable(f"proxymux: {error}"), file=err)
        return None


async def fuzz_router(clock: IReactorTime, subject: Subject, options: FuzzOptions, out: IO[str], err: IO[str]) -> bool:
    """Try a router on mutated samples.

    :param clock: for the budget.
    :param out: for what is found.
    :param err: for a folder that cannot be written to, and on a terminal for the progress.
    :returns: True if nothing was found.
    """
    print(f"fuzz: seed {options.seed}, which --seed repeats", file=out)
    progress = Progress(clock, err)
    report = _Report(options, progress, out, err)
    samples = [data for data in map(_read, options.samples) if data is not None]
    tokens = literals(_read(subject.filename) or b"")
    campaign = Campaign(clock, subject, samples, tokens, options.budget, options.seed, progress, report.found)
    with interrupting(STUCK):
        summary = await campaign.run()
    progress.clear()
    if campaign.is_fickle:
        print("fuzz: it does not always act alike on the same bytes, so splits could not be compared", file=out)
    print(f"fuzz: {summary}", file=out)
    return not campaign.count


def _read(name: str) -> bytes | None:
    try:
        with open(name, "rb") as file:
            return file.read(_MOST_READ)
    except OSError:
        return None  # of a sample, the check that came before has told the reason


class _Report:
    """Tells each finding, and writes its test."""

    def __init__(self, options: FuzzOptions, progress: Progress, out: IO[str], err: IO[str]) -> None:
        self._options = options
        self._progress = progress
        self._out = out
        self._err = err
        self._writes = True

    def found(self, finding: Finding) -> None:
        self._progress.clear()
        print(printable(f"  {finding.kind.value}: {finding.told}"), file=self._out)
        for detail in finding.details:
            print(printable(f"    {detail}"), file=self._out)
        if self._writes:
            self._write(finding)
        self._out.flush()

    def _write(self, finding: Finding) -> None:
        options = self._options
        path = os.path.join(options.folder, f"test_fuzz_{finding.name}.py")
        codec = "" if options.codec is None else f" --codec {shlex.quote(options.codec)}"
        again = f"{shlex.quote(os.path.basename(options.router))}{codec} --fuzz --seed {options.seed}"
        text = pytest_source(finding, self._router_expression(), again, options.codec, options.timeout)
        try:
            os.makedirs(options.folder, exist_ok=True)
            is_new = not os.path.exists(path)
            if is_new:
                with open(path, "x", encoding="utf-8") as file:
                    file.write(text)
        except OSError as error:
            self._writes = False
            problem = f"{options.folder}: {error.strerror}; name a folder that can be written to"
            print(printable(f"proxymux: --fuzz-out: {problem}"), file=self._err)
            return
        print(printable(f"    {path}{'' if is_new else ' is there already'}"), file=self._out)

    def _router_expression(self) -> str:
        """The router as a test finds it: a file beside it from where it is, wherever pytest is called."""
        path = source_of(self._options.router).file
        if path is None:
            return repr(self._options.router)
        return f"str(Path(__file__).parent / {os.path.relpath(path, self._options.folder)!r})"

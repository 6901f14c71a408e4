"""Short connections through one proxy: what each costs it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.processes import BrokenRun, cpu_seconds

HERE: Final = Path(__file__).parent
#: How many clients connect at once.
CLIENTS: Final = 32
#: Seconds before what is made counts.
WARM_UP: Final = 0.5


class Cost(NamedTuple):
    """What was measured.

    :param rate: connections a second.
    :param cpu: the proxy's CPU time in microseconds for each.
    """

    rate: float
    cpu: float


def compile_load(place: Path) -> Path:
    """Compile the load, which is the echo too, and return its path."""
    load = place / "load"
    subprocess.run(["cc", "-O2", "-pthread", "-o", load, HERE / "gateway_load.c"], check=True)
    return load


def measure(load: Path, name: str, port: int, pids: Sequence[int], seconds: float, token: Sequence[str] = ()) -> Cost:
    """Make short connections to a proxy for some seconds.

    :param load: the compiled load.
    :param name: of the proxy, for the error.
    :param pids: of its processes.
    :param token: what each client begins with, if anything.
    :raises BrokenRun: if a connection failed, or none was made.
    """
    command = [str(load), "run", str(port), str(CLIENTS), str(seconds), str(WARM_UP), *token]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        before = sum(map(cpu_seconds, pids))
        process.stdin.write("\n")
        process.stdin.flush()
        made, failed = map(int, process.stdout.readline().split())
        used = sum(map(cpu_seconds, pids)) - before
    if failed or not made:
        raise BrokenRun(f"{name}: {failed} connections failed, {made} did not")
    return Cost(made / seconds, used / made * 1e6)

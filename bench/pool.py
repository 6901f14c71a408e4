"""Measure the pool: Redis through FIFO and Funnel beside nutcracker, HTTP through Funnel beside HAProxy.

    python bench/pool.py

Rounds are interleaved.  No two requests of HTTP have the same head.  CPU time is that of the proxy's process; proxy,
load and server share the machine's cores.  The figures and every raw value are written to ``results/pool.json``.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench import heads, nginx, report  # noqa: E402
from bench.builds import Build, add_options, chosen  # noqa: E402
from bench.figures import Metric  # noqa: E402
from bench.machine import Machine  # noqa: E402
from bench.options import add_rounds, settings  # noqa: E402
from bench.pool_metrics import HTTP_METRICS, MODES, REDIS_LOADS, REDIS_METRICS, UPSTREAMS  # noqa: E402
from bench.ports import free_port  # noqa: E402
from bench.processes import BrokenRun, await_listener, cpu_seconds, exit_at_term, run_for_output, running  # noqa: E402
from bench.rounds import Tries, numbers, turned  # noqa: E402

CLIENTS: Final = 50
#: Seconds that a load may take.
LONGEST: Final = 60.0
NUTCRACKER: Final = """\
redis:
  listen: 127.0.0.1:{port}
  redis: true
  distribution: ketama
  timeout: 10000
  server_connections: {connections}
  backlog: 1024
  servers:
   - 127.0.0.1:{upstream}:1
"""
HAPROXY: Final = """\
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    http-reuse always
frontend web
    bind 127.0.0.1:{port}
    default_backend origin
backend origin
    server origin 127.0.0.1:{upstream} maxconn {connections}
"""


#: Loads a port, and returns requests a second.
Load = Callable[[int], float]


class Bench:
    """What all rounds share.

    :param place: a directory of its own.
    """

    def __init__(self, place: Path, requests: int, seconds: float) -> None:
        self.place = place
        self._requests = requests
        #: wrk takes whole ones.
        self._seconds = math.ceil(seconds)
        self.redis, self.web = free_port(), free_port()

    @contextmanager
    def upstreams(self) -> Iterator[None]:
        """Run Redis and the web server."""
        where = ["--port", str(self.redis), "--bind", "127.0.0.1", "--dir", str(self.place)]
        with ExitStack() as stack:
            redis = running(["redis-server", *where, "--save", ""], self.place / "redis.log")
            await_listener(self.redis, stack.enter_context(redis))
            web = running(nginx.origin(self.place, self.web, "x" * 100), self.place / "web.log")
            await_listener(self.web, stack.enter_context(web))
            yield

    def pool(self, build: Build, port: int, upstream: int, codec: str, count: int, *more: str) -> list[str]:
        """The command of a pool with ``count`` connections."""
        targets = [f"--target=127.0.0.1:{upstream}"] * count
        return [
            str(build.twistd), "--pidfile", str(self.place / f"{port}.pid"), "-n", "proxymux-pool",
            f"--listen=tcp:{port}:interface=127.0.0.1", f"--codec={codec}", *targets, *more,
        ]  # fmt: skip

    def nutcracker(self, port: int, count: int) -> list[str]:
        """The command of nutcracker."""
        conf, stats = self.place / f"{port}.yml", free_port()
        conf.write_text(NUTCRACKER.format(port=port, upstream=self.redis, connections=count))
        return ["nutcracker", "-c", str(conf), "-s", str(stats), "-a", "127.0.0.1", "-m", "16384"]

    def haproxy(self, port: int) -> list[str]:
        """The command of HAProxy."""
        conf = self.place / f"{port}.cfg"
        conf.write_text(HAPROXY.format(port=port, upstream=self.web, connections=UPSTREAMS))
        return ["haproxy", "-q", "-db", "-f", str(conf)]

    def redis_load(self, port: int, command: str, depth: int, *more: str) -> float:
        """Requests a second of redis-benchmark.

        :param more: further options of its own.
        """
        requests = self._requests * (4 if depth > 1 else 1)
        argv = ["redis-benchmark", "-p", str(port), "-c", str(CLIENTS), "-n", str(requests), "-P", str(depth), *more]
        said = run_for_output([*argv, "-t", command, "--csv"], LONGEST)
        self.done = requests
        match = re.search(rf'"{command.upper()}","([0-9.]+)"', said)
        if match is None:
            raise BrokenRun(f"redis-benchmark said {said!r}")
        return float(match[1])

    def web_load(self, port: int, head: str) -> float:
        """Requests a second of wrk.

        :param head: a key of ``HEADS``.
        """
        script = self.place / f"{head}.lua"
        script.write_text(heads.script(head))
        url = f"http://127.0.0.1:{port}/"
        argv = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{self._seconds:g}s", "-s", str(script), url]
        said = run_for_output(argv, self._seconds + LONGEST)
        if "Non-2xx" in said or "Socket errors" in said:
            raise BrokenRun(f"wrk said {said}")
        match = re.search(r"(\d+) requests in ([0-9.]+)(ms|s|m)", said)
        assert match is not None
        self.done = int(match[1])
        return self.done / self._seconds

    def take(self, contender: Contender, loads: dict[str, Load]) -> dict[str, float]:
        """Load a fresh process: requests for each of its CPU seconds, and a second, by the load."""
        port = free_port()
        values = {}
        with running(contender.command(port), self.place / f"{port}.log") as pid:
            await_listener(port, pid)
            for name, load in loads.items():
                load(port)
                before = cpu_seconds(pid)
                rate = load(port)
                values[f"{contender.prefix}{name}"] = self.done / (cpu_seconds(pid) - before)
                values[f"{contender.prefix}{name}, requests/s"] = rate
        return values


@dataclass(frozen=True)
class Contender:
    """A program in one of its modes.

    :param peer: its name in the table.
    :param prefix: what the names of its figures begin with.
    :param command: that runs it at a port.
    """

    peer: str
    prefix: str
    command: Callable[[int], list[str]]

    @property
    def name(self) -> str:
        """What tells it from all others."""
        return f"{self.prefix}{self.peer}"


@dataclass(frozen=True)
class Group:
    """Contenders under the same loads."""

    name: str
    metrics: tuple[Metric, ...]
    contenders: list[Contender]
    loads: dict[str, Load]


def redis_group(bench: Bench, builds: list[Build]) -> Group:
    """Redis through each mode of the pool, and through nutcracker."""

    def command(build: Build, mode: str) -> Callable[[int], list[str]]:
        count, more = MODES[mode]
        return lambda port: bench.pool(build, port, bench.redis, "resp", count, *more)

    def load(command: str, depth: int) -> Load:
        return lambda port: bench.redis_load(port, command, depth)

    contenders = [Contender("nutcracker", "", lambda port: bench.nutcracker(port, 1))]
    contenders += [Contender(build.peer, f"{mode} ", command(build, mode)) for mode in MODES for build in builds]
    return Group("redis", REDIS_METRICS, contenders, {name: load(*of) for name, of in REDIS_LOADS.items()})


def http_group(bench: Bench, builds: list[Build]) -> Group:
    """HTTP through Funnel, and through HAProxy."""

    def command(build: Build) -> Callable[[int], list[str]]:
        return lambda port: bench.pool(build, port, bench.web, "http", UPSTREAMS)

    contenders = [Contender("haproxy", "", bench.haproxy)]
    contenders += [Contender(build.peer, "", command(build)) for build in builds]
    return Group("http", HTTP_METRICS, contenders, {head: partial(bench.web_load, head=head) for head in heads.HEADS})


def measure(bench: Bench, groups: list[Group], rounds: Iterator[int]) -> Tries:
    """Take each contender once a round, in another order each time."""
    tries = Tries()
    for number in rounds:
        for group in groups:
            contenders = {contender.name: contender for contender in group.contenders}
            for name in turned(list(contenders), number):
                contender = contenders[name]
                tries.take(number, group.name, contender.peer, partial(bench.take, contender, group.loads))
    return tries


def main() -> int:
    """Print the table, write the figures, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_rounds(parser, rounds=7, seconds=2.0)
    parser.add_argument("--requests", type=int, default=40_000, help="of one measurement of Redis [default: 40000]")
    parser.add_argument("--only", choices=["redis", "http"], help="[default: both]")
    add_options(parser)
    options = parser.parse_args()
    builds = chosen(parser, options)
    machine = Machine(builds)
    exit_at_term()
    with tempfile.TemporaryDirectory(prefix="bench-pool-") as place:
        bench = Bench(Path(place), options.requests, options.seconds)
        groups = [redis_group(bench, builds)] if shutil.which("nutcracker") else []
        if shutil.which("haproxy") and shutil.which("wrk"):
            groups.append(http_group(bench, builds))
        groups = [group for group in groups if options.only in (None, group.name)]
        with bench.upstreams():
            tries = measure(bench, groups, numbers(options.rounds, options.minutes))
    about, how = machine.describe(), settings(options)
    metrics = {group.name: group.metrics for group in groups}
    report.publish(options.out / "pool.json", about, how, metrics, tries.samples, tries.skipped)
    return 1 if tries.broken else 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure a pool that routes each request, beside FIFO with one Redis server, and beside nutcracker with four.

    python bench/routing.py

``ketama`` is a cluster that places keys, without a router; ``route`` a router that looks at the key and names that
cluster.  The cluster has FIFO's server, or, with ``x4``, the four of nutcracker: then four servers are woken, and four
connections are written to, for as many requests.  Keys are drawn from 10,000.  All processes live through all rounds,
of which each loads one after the other: a machine that is busy for a while is so for all of them.  CPU time is that of
the proxy's process.  The figures and every raw value are written to ``results/routing.json``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench import report  # noqa: E402
from bench.builds import Build, add_options, chosen  # noqa: E402
from bench.figures import Metric, both  # noqa: E402
from bench.machine import Machine  # noqa: E402
from bench.options import add_rounds, settings  # noqa: E402
from bench.pool import Bench, Contender, Group, Load  # noqa: E402
from bench.pool_metrics import REDIS_LOADS, UNIT  # noqa: E402
from bench.ports import free_port  # noqa: E402
from bench.processes import await_listener, cpu_seconds, exit_at_term, running  # noqa: E402
from bench.rounds import Tries, numbers, turned  # noqa: E402

SERVERS: Final = 4
KEYS: Final = 10_000
NUTCRACKER: Final = """\
redis:
  listen: 127.0.0.1:{port}
  redis: true
  distribution: ketama
  timeout: 10000
  backlog: 1024
  servers:
"""
ROUTER: Final = """\
def route(request):
    key = request.key
    return "cache" if key is not None and key.startswith(b"key:") else None
"""
#: Of each mode: requests for a CPU second, compared with FIFO's with the same server: at 1.15 and 1.5 times its CPU
#: time for a request, one at a time.
OF_FIFO: Final = {"ketama": 1 / 1.15, "route": 1 / 1.5}
#: The same compared with nutcracker, by whether requests are pipelined.
OF_NUTCRACKER: Final = {False: 0.7, True: 0.8}


def metrics() -> Iterator[Metric]:
    """The figures, and how good they have to be."""
    for load, (_, depth) in REDIS_LOADS.items():
        yield Metric(load, UNIT, more=True)
        yield Metric(f"fifo {load}", UNIT, more=True)
        for mode, bound in OF_FIFO.items():
            yield Metric(f"{mode} {load}", UNIT, None, f"fifo {load}", both(bound) if depth == 1 else None, more=True)
            of_peer = both(OF_NUTCRACKER[depth > 1]) if mode == "ketama" else None
            yield Metric(f"{mode} x{SERVERS} {load}", UNIT, "nutcracker", load, of_peer, more=True)
            yield Metric(f"{mode} x{SERVERS} {load}", UNIT, None, f"fifo {load}", more=True)


class RoutingBench(Bench):
    """What all rounds share."""

    def __init__(self, place: Path, requests: int) -> None:
        super().__init__(place, requests, 1.0)
        self.servers = [self.redis, *(free_port() for _ in range(SERVERS - 1))]
        self.router = place / "router.py"
        self.router.write_text(ROUTER)

    @contextmanager
    def upstreams(self) -> Iterator[None]:
        """Run the Redis servers."""
        with ExitStack() as stack:
            for port in self.servers:
                where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.place)]
                redis = running(["redis-server", *where, "--save", ""], self.place / f"{port}.log")
                await_listener(port, stack.enter_context(redis))
            yield

    def burst(self, port: int, pid: int, key: str, load: Load) -> dict[str, float]:
        """Load a process: requests for each of its CPU seconds."""
        before = cpu_seconds(pid)
        load(port)
        return {key: self.done / (cpu_seconds(pid) - before)}

    def sharded_nutcracker(self, port: int) -> list[str]:
        """The command of nutcracker over all servers."""
        conf = self.place / f"{port}.yml"
        servers = "".join(f"   - 127.0.0.1:{each}:1\n" for each in self.servers)
        conf.write_text(NUTCRACKER.format(port=port) + servers)
        return ["nutcracker", "-c", str(conf), "-s", str(free_port()), "-a", "127.0.0.1", "-m", "16384"]

    def routing(self, build: Build, port: int, count: int, *more: str) -> list[str]:
        """The command of a pool with a cluster over the first ``count`` servers."""
        members = ",".join(f"127.0.0.1:{each}" for each in self.servers[:count])
        cluster = [f"--cluster=cache={members};policy=ketama", "--target=cache"]
        return self.pool(build, port, self.redis, "resp", 0, *cluster, *more)


def group_of(bench: RoutingBench, builds: list[Build]) -> Group:
    """Each build in each mode, and nutcracker."""

    def routing(build: Build, count: int, *more: str) -> Callable[[int], list[str]]:
        return lambda port: bench.routing(build, port, count, *more)

    def fifo(build: Build) -> Callable[[int], list[str]]:
        return lambda port: bench.pool(build, port, bench.redis, "resp", 1)

    def load(command: str, depth: int) -> Load:
        return lambda port: bench.redis_load(port, command, depth, "-r", str(KEYS))

    contenders = [Contender("nutcracker", "", bench.sharded_nutcracker)] if shutil.which("nutcracker") else []
    for build in builds:
        contenders.append(Contender(build.peer, "fifo ", fifo(build)))
        for count, shown in ((1, ""), (SERVERS, f"x{SERVERS} ")):
            for mode, more in {"ketama": [], "route": [f"--router={bench.router}"]}.items():
                contenders.append(Contender(build.peer, f"{mode} {shown}", routing(build, count, *more)))
    return Group("routing", tuple(metrics()), contenders, {name: load(*of) for name, of in REDIS_LOADS.items()})


def measure(bench: RoutingBench, group: Group, rounds: Iterator[int]) -> Tries:
    """Load each contender once a round, in another order each time."""
    tries = Tries()
    with ExitStack() as stack:
        ports: dict[str, tuple[int, int]] = {}
        for contender in group.contenders:
            port = free_port()
            pid = stack.enter_context(running(contender.command(port), bench.place / f"{port}.log"))
            await_listener(port, pid)
            ports[contender.name] = port, pid
        contenders = {contender.name: contender for contender in group.contenders}
        for load in group.loads.values():  # a warm-up
            for port, _ in ports.values():
                load(port)
        for number in rounds:
            for name, load in group.loads.items():
                for each in turned(list(contenders), number):
                    contender = contenders[each]
                    taken = partial(bench.burst, *ports[each], f"{contender.prefix}{name}", load)
                    tries.take(number, group.name, contender.peer, taken)
    return tries


def main() -> int:
    """Print the table, write the figures, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_rounds(parser, rounds=15)
    parser.add_argument("--requests", type=int, default=20_000, help="of one measurement [default: 20000]")
    add_options(parser)
    options = parser.parse_args()
    builds = chosen(parser, options)
    machine = Machine(builds)
    exit_at_term()
    with tempfile.TemporaryDirectory(prefix="bench-routing-") as place:
        bench = RoutingBench(Path(place), options.requests)
        group = group_of(bench, builds)
        with bench.upstreams():
            tries = measure(bench, group, numbers(options.rounds, options.minutes))
    about, how = machine.describe(), settings(options)
    report.publish(options.out / "routing.json", about, how, {group.name: group.metrics}, tries.samples, tries.skipped)
    return 1 if tries.broken else 0


if __name__ == "__main__":
    sys.exit(main())

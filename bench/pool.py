"""Measure the pool: Redis through FIFO and Funnel beside nutcracker, HTTP through Funnel beside HAProxy.

    python bench/pool.py

Rounds are interleaved.  CPU time is that of the proxy's process; proxy, load and server share the machine's cores.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench import nginx  # noqa: E402
from bench.ports import free_port  # noqa: E402
from bench.processes import await_listener, cpu_seconds, running  # noqa: E402

CLIENTS: Final = 50
#: Upstream connections of the modes that have several.
UPSTREAMS: Final = 8
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


class Bench:
    """What all rounds share.

    :param place: a directory of its own.
    """

    def __init__(self, place: Path, twistd: Path, requests: int, seconds: float) -> None:
        self.place = place
        self._twistd = twistd
        self._requests = requests
        self._seconds = seconds
        self.redis, self.web = free_port(), free_port()

    def pool(self, port: int, upstream: int, codec: str, count: int, *more: str) -> list[str]:
        """The command of a pool with ``count`` connections."""
        targets = [f"--target=127.0.0.1:{upstream}"] * count
        return [
            str(self._twistd), "--pidfile", str(self.place / f"{port}.pid"), "-n", "proxymux-pool",
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

    def redis_load(self, port: int, command: str, depth: int) -> float:
        """Requests a second of redis-benchmark."""
        requests = self._requests * (4 if depth > 1 else 1)
        argv = ["redis-benchmark", "-p", str(port), "-c", str(CLIENTS), "-n", str(requests), "-P", str(depth)]
        done = subprocess.run([*argv, "-t", command, "--csv"], capture_output=True, text=True, check=True)
        self.done = requests
        match = re.search(rf'"{command.upper()}","([0-9.]+)"', done.stdout)
        if match is None:
            raise SystemExit(f"redis-benchmark said {done.stdout!r} {done.stderr!r}")
        return float(match[1])

    def web_load(self, port: int) -> float:
        """Requests a second of wrk."""
        argv = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{self._seconds:g}s", f"http://127.0.0.1:{port}/"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
            raise SystemExit(f"wrk said {done.stdout}")
        match = re.search(r"(\d+) requests in ([0-9.]+)(ms|s|m)", done.stdout)
        assert match is not None
        self.done = int(match[1])
        return self.done / self._seconds

    def take(self, command: list[str], port: int, load: Callable[[int], float]) -> tuple[float, float]:
        """Requests a second of one peer, and its CPU time in microseconds for each."""
        with running(command, self.place / f"{port}.log") as pid:
            await_listener(port, pid)
            load(port)
            before = cpu_seconds(pid)
            rate = load(port)
            return rate, (cpu_seconds(pid) - before) / self.done * 1e6


def measures(bench: Bench) -> dict[str, tuple[str, Callable[[int], list[str]], Callable[[int], float]]]:
    """Of each thing to measure: what it is compared with, the command, and the load."""
    found: dict[str, tuple[str, Callable[[int], list[str]], Callable[[int], float]]] = {}
    for depth in (1, 16):
        for command in ("get", "set"):

            def load(port: int, command: str = command, depth: int = depth) -> float:
                return bench.redis_load(port, command, depth)

            what = f"{command} -P {depth}"
            first = f"{what} nutcracker"
            found[first] = (first, lambda port: bench.nutcracker(port, 1), load)
            found[f"{what} fifo"] = (first, lambda port: bench.pool(port, bench.redis, "resp", 1), load)
            found[f"{what} funnel"] = (first, lambda port: bench.pool(port, bench.redis, "resp", UPSTREAMS), load)
            found[f"{what} funnel async"] = (
                first, lambda port: bench.pool(port, bench.redis, "resp", UPSTREAMS, "--async"), load
            )  # fmt: skip
    if shutil.which("haproxy") and shutil.which("wrk"):
        found["http haproxy"] = ("http haproxy", bench.haproxy, bench.web_load)
        found["http funnel"] = (
            "http haproxy", lambda port: bench.pool(port, bench.web, "http", UPSTREAMS), bench.web_load
        )  # fmt: skip
    return found


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="[default: 5]")
    parser.add_argument("--requests", type=int, default=100_000, help="of one measurement [default: 100000]")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement of HTTP [default: 3]")
    parser.add_argument("--only", default="", help="only measures that have this in their names")
    parser.add_argument("--twistd", type=Path, default=Path(sys.executable).with_name("twistd"))
    options = parser.parse_args()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-pool-")))
        bench = Bench(place, options.twistd, options.requests, options.seconds)
        redis = ["redis-server", "--port", str(bench.redis), "--bind", "127.0.0.1", "--save", "", "--dir", str(place)]
        await_listener(bench.redis, stack.enter_context(running(redis, place / "redis.log")))
        origin = nginx.origin(place, bench.web, "x" * 100)
        await_listener(bench.web, stack.enter_context(running(origin, place / "web.log")))
        chosen = {name: of for name, of in measures(bench).items() if options.only in name}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in chosen}
        for _ in range(options.rounds):
            for name, (_, command, load) in chosen.items():
                port = free_port()
                taken[name].append(bench.take(command(port), port, load))
    print(f"{'measure':<24}  {'requests/s':>10}  {'CPU µs each':>11}  {'requests per CPU s':>18}")
    for name, results in taken.items():
        first = taken.get(chosen[name][0], results)
        ratio = statistics.median(theirs[1] / ours[1] for ours, theirs in zip(results, first, strict=True))
        rates, costs = zip(*results, strict=True)
        print(f"{name:<24}  {statistics.median(rates):>10,.0f}  {statistics.median(costs):>11.2f}  {ratio:>18.2f}")
    print("requests per CPU second: compared with nutcracker or HAProxy, the median of the rounds' ratios")


if __name__ == "__main__":
    main()

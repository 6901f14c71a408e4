"""The load generators: iperf3 and load.c."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, cast

from bench.processes import BrokenRun, Unavailable, end, run_for_output
from bench.stage import Proxy, Stage

#: iperf3 serves one test at a time, and the last one may not have ended for it yet.
ATTEMPTS: Final = 5
RETRY_SECONDS: Final = 0.3
#: After these a bulk flow has found its speed.
FLOW_SECONDS: Final = 1.0
SOURCE: Final = Path(__file__).with_name("load.c")


@dataclass(frozen=True)
class Load:
    """What came of a load.

    :param done: requests that were answered, or bytes that arrived.
    :param seconds: how long it took.
    :param cpu: seconds of the proxy.
    :param p50_us: median latency.
    :param p99_us: 99th percentile of the latency.
    :param p999_us: 99.9th percentile of the latency.
    :param buckets: how many answers took how long, by the number of the bucket (see ``bucket_us``).
    :param sunk: bytes that reached the iperf3 server meanwhile.
    """

    done: float
    seconds: float
    cpu: float
    p50_us: float = 0.0
    p99_us: float = 0.0
    p999_us: float = 0.0
    buckets: dict[int, int] = field(default_factory=dict)
    sunk: int = 0

    @property
    def rate(self) -> float:
        """Done a second."""
        return self.done / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds for one."""
        return self.cpu / self.done * 1e6


def bucket_us(number: int) -> float:
    """Return the microseconds that nothing in a bucket of load.c reaches; 16 buckets make an octave."""
    return (2 ** ((number + 1) / 16) - 1) / 10


def slower(buckets: dict[int, int]) -> list[tuple[float, float]]:
    """Return points of a distribution: which part of the requests took longer, and than how many µs."""
    left = total = sum(buckets.values())
    points = []
    for number, count in sorted(buckets.items()):
        left -= count
        if left:
            points.append((left / total, bucket_us(number)))
    return points or [(1.0, bucket_us(max(buckets)))]


def read_report(report: dict[str, Any], cpu: float, sunk: int = 0) -> Load:
    """Return what load.c has said.

    :param report: its JSON.
    :param cpu: seconds of the proxy.
    :param sunk: bytes that reached the iperf3 server meanwhile.
    :raises BrokenRun: if requests failed, or none was answered.
    """
    if report["errors"] or not report["done"]:
        raise BrokenRun(f"{report['errors']} requests failed, {report['done']} did not")
    return Load(
        report["done"],
        report["seconds"],
        cpu,
        report["p50_us"],
        report["p99_us"],
        report["p999_us"],
        {int(number): int(count) for number, count in report["buckets"]},
        sunk,
    )


def compile_load(directory: Path) -> Path:
    """Compile load.c."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise Unavailable("no C compiler for bench/load.c")
    program = directory / "load"
    done = subprocess.run([compiler, "-O2", "-o", program, SOURCE, "-lm"], capture_output=True, text=True)
    if done.returncode:
        raise Unavailable(f"bench/load.c does not compile here: {done.stderr.partition(chr(10))[0]}")
    return program


def _iperf_client(proxy: Proxy, streams: int, seconds: float) -> list[str]:
    where = ["--client", "127.0.0.1", "--port", str(proxy.ports.bulk)]
    return ["iperf3", *where, "--time", str(max(1, math.ceil(seconds))), "--parallel", str(streams), "--json"]


def iperf(stage: Stage, proxy: Proxy, streams: int, seconds: float) -> Load:
    """Push bytes to the iperf3 server through a number of connections."""
    argv = _iperf_client(proxy, streams, seconds)
    left = ATTEMPTS
    while True:
        left -= 1
        before = proxy.cpu()
        try:
            report = json.loads(run_for_output(argv, seconds + 20))
        except BrokenRun:
            if not left:
                raise
            time.sleep(RETRY_SECONDS)
            continue
        received = report["end"]["sum_received"]
        return Load(received["bytes"], received["seconds"], proxy.cpu() - before)


@contextmanager
def bulk_flow(proxy: Proxy) -> Iterator[None]:
    """Keep one connection full of bytes."""
    for attempt in range(ATTEMPTS):
        before = proxy.cpu()
        process = subprocess.Popen(
            _iperf_client(proxy, 1, 3600), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=os.setpgrp
        )
        try:
            time.sleep(FLOW_SECONDS)
            if process.poll() is None and proxy.cpu() - before > FLOW_SECONDS / 10:
                yield
                if process.poll() is not None:
                    raise BrokenRun("the bulk flow ended early")
                return
        finally:
            end(process)
        time.sleep(RETRY_SECONDS * (attempt + 1))
    raise BrokenRun("no bulk flow through the proxy")


def kept(stage: Stage, proxy: Proxy, connections: int) -> Load:
    """Ask over kept connections as fast as the answers come, without set-up and tear-down in the CPU time."""
    with _generator(stage, proxy.ports.web, "kept", connections) as generator:
        return generator.measure(stage, proxy)


def fresh(stage: Stage, proxy: Proxy, at_once: int) -> Load:
    """Ask each time over a new connection, with a number of them at once."""
    with _generator(stage, proxy.ports.web, "fresh", at_once) as generator:
        return generator.measure(stage, proxy)


def paced(stage: Stage, proxy: Proxy, connections: int, rate: float) -> Load:
    """Ask at a fixed mean rate over kept connections, however long the answers take."""
    with _generator(stage, proxy.ports.web, "paced", connections, rate) as generator:
        return generator.measure(stage, proxy)


@dataclass
class _Generator:
    process: subprocess.Popen[str]

    def say(self) -> None:
        cast("IO[str]", self.process.stdin).write("go\n")
        cast("IO[str]", self.process.stdin).flush()

    def hear(self) -> str:
        line = cast("IO[str]", self.process.stdout).readline()
        if not line:
            errors = cast("IO[str]", self.process.stderr).read().strip()
            raise BrokenRun(errors or "the load generator ended without a word")
        return line

    def measure(self, stage: Stage, proxy: Proxy) -> Load:
        before, sunk = proxy.cpu(), stage.sunk()
        self.say()
        report: dict[str, Any] = json.loads(self.hear())
        return read_report(report, proxy.cpu() - before, stage.sunk() - sunk)


@contextmanager
def _generator(stage: Stage, port: int, mode: str, connections: int, rate: float = 0.0) -> Iterator[_Generator]:
    """Run the load generator until it has warmed up."""
    if stage.load is None:
        raise Unavailable("no C compiler for bench/load.c")
    numbers = [port, connections, stage.seconds, stage.warm_seconds, rate]
    process = subprocess.Popen(
        [stage.load, mode, *map(str, numbers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=os.setpgrp,
    )
    try:
        generator = _Generator(process)
        generator.hear()
        yield generator
    finally:
        cast("IO[str]", process.stdin).close()
        end(process)

"""Replace workers under load, and see that nobody notices; and what workers cost.

    python bench/rollover.py                  # reloads and rollovers for a minute, with 9,954 live connections
    python bench/rollover.py --cost           # workers against a single process: CPU, memory, time to start

In the first, ``wrk`` makes new connections all the time, while idle connections, busy ones and flows of hashed bulk
live on.  It ends with status 1 if a connection was refused, reset or lost, or if a byte was.  Load, proxy and upstreams
share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench.nginx import origin  # noqa: E402
from bench.ports import free_port  # noqa: E402
from bench.processes import (  # noqa: E402
    BrokenRun,
    await_listener,
    cpu_seconds,
    raise_descriptor_limit,
    run_for_output,
    running,
)

ROUTER: Final = """
def proxy(data):
    return {{"remote": "127.0.0.1:{web}" if data.startswith(b"GET ") else "127.0.0.1:{echo}"}}
"""
#: One connection costs the router about 2 ms, so that the load is nothing beside it.
BURNS: Final = """
def proxy(data):
    sum(range(100_000))
    return {"close": b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n"}
"""
BLOCK: Final = hashlib.shake_128(b"bulk").digest(1 << 16)
WRK: Final = ("wrk", "-t1", "-H", "Connection: close")


# The upstream


async def serve_echo(port: int) -> None:
    """Send back what comes, for ever."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


# The load


@dataclass
class Kept:
    """The connections that live through all rollovers."""

    port: int
    is_over: bool = False
    #: Seconds of each busy round trip.
    round_trips: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    bulk_bytes: int = 0

    async def idle(self, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open connections that have said one byte."""
        opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        for start in range(0, count, 100):
            opened += await asyncio.gather(*(self._open() for _ in range(min(100, count - start))))
        return opened

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        await ask(reader, writer, b"i")
        return reader, writer

    async def busy(self) -> None:
        """Go to and fro with 64 bytes, a hundred times a second, until it is over."""
        reader, writer = await self._open()
        with self._noting("a busy connection"):
            while not self.is_over:
                data = os.urandom(64)
                began = time.monotonic()
                await ask(reader, writer, data)
                self.round_trips.append(time.monotonic() - began)
                await asyncio.sleep(0.01)
        writer.close()

    async def bulk(self, rate: float) -> None:
        """Send a flow at ``rate`` bytes a second, and compare the hash of what comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        sent, received = hashlib.sha256(), hashlib.sha256()

        async def send() -> int:
            began, count = time.monotonic(), 0
            while not self.is_over:
                block = count.to_bytes(8, "big") + BLOCK
                writer.write(block)
                sent.update(block)
                count += len(block)
                await writer.drain()
                await asyncio.sleep(max(0.0, began + count / rate - time.monotonic()))
            writer.write_eof()
            return count

        async def receive() -> int:
            count = 0
            while data := await reader.read(1 << 18):
                received.update(data)
                count += len(data)
            return count

        with self._noting("a bulk flow"):
            out, back = await asyncio.gather(send(), receive())
            self.bulk_bytes += back
            if out != back or sent.digest() != received.digest():
                self.problems.append(f"bulk: {out} bytes sent, {back} came back, or other ones")
        writer.close()

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, ValueError) as error:
            self.problems.append(f"{what}: {type(error).__name__}: {error}")


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send bytes and read them back.

    :raises ValueError: if others come back.
    """
    writer.write(data)
    if await reader.readexactly(len(data)) != data:
        raise ValueError("other bytes came back")


def errors_of_wrk(said: str) -> list[str]:
    """What wrk has to complain of."""
    return re.findall(r"Socket errors.*|Non-2xx.*", said)


# The first measurement


async def under_load(arguments: argparse.Namespace, place: Path, twistd: Path, stack: ExitStack) -> int:
    """Reload and roll over under load; the exit status."""
    web, echo, port = origin_of(place, stack), free_port(), free_port()
    echoing = [sys.executable, str(HERE / "rollover.py"), "--echo", str(echo)]
    await_listener(echo, stack.enter_context(running(echoing, place / "echo.log")))
    (place / "router.py").write_text(ROUTER.format(web=web, echo=echo))
    log = place / "proxy.log"
    pid = stack.enter_context(running(command(twistd, port, ["--workers", str(arguments.workers)]), log))
    await_listener(port, pid)
    kept = Kept(port)
    idle = await kept.idle(arguments.idle)
    tasks = [asyncio.ensure_future(kept.busy()) for _ in range(arguments.busy)]
    tasks += [asyncio.ensure_future(kept.bulk(arguments.bulk_rate * 1e6)) for _ in range(arguments.bulk)]
    await asyncio.sleep(2)
    before = list(kept.round_trips)
    kept.round_trips.clear()
    url = f"http://127.0.0.1:{port}/1k"
    load = [*WRK, f"-c{arguments.connections}", f"-d{arguments.seconds}", "--timeout", "10", url]
    wrk = await asyncio.create_subprocess_exec(
        *(load if arguments.connections else ["true"]), stdout=asyncio.subprocess.PIPE
    )
    done = await signals(pid, log, arguments)
    said = (await wrk.communicate())[0].decode()
    kept.is_over = True
    await asyncio.gather(*tasks)
    alive = 0
    for reader, writer in idle:
        with kept._noting("an idle connection"):
            await ask(reader, writer, b"o")
            alive += 1
        writer.close()
    kept.problems += errors_of_wrk(said)
    lines = await lines_of_log(place / "access.log", arguments.idle)
    if lines != arguments.idle:
        kept.problems.append(f"{lines} lines in the access log have the totals of an idle connection's whole life")
    report(arguments, kept, before, said, log.read_text(), done, alive)
    return bool(kept.problems) or done < arguments.rollovers


async def signals(pid: int, log: Path, arguments: argparse.Namespace) -> int:
    """Send HUP and USR2 in turn, evenly, and wait until the last rollover is over; the number of rollovers."""
    began = time.monotonic()
    reloads, rollovers = arguments.reloads, arguments.rollovers
    times = [(at * arguments.seconds / reloads, signal.SIGHUP) for at in range(reloads)]
    times += [(at * arguments.seconds / rollovers, signal.SIGUSR2) for at in range(rollovers)]
    for at, number in sorted(times):
        await asyncio.sleep(max(0.0, began + at - time.monotonic()))
        if number == signal.SIGUSR2:
            while log.read_text().count("replacing ") != log.read_text().count("all workers are replaced"):
                await asyncio.sleep(0.05)
        os.kill(pid, number)
        await asyncio.sleep(0.02)
    while log.read_text().count("all workers are replaced") < rollovers and time.monotonic() < began + 10 * 60:
        await asyncio.sleep(0.1)
    return log.read_text().count("all workers are replaced")


async def lines_of_log(path: Path, count: int) -> int:
    """The number of lines that say two bytes each way, once there are ``count``."""
    for _ in range(100):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        found = sum((each["bytes_in"], each["bytes_out"], each["outcome"]) == (2, 2, "completed") for each in records)
        if found >= count:
            break
        await asyncio.sleep(0.1)
    return found


def report(
    arguments: argparse.Namespace, kept: Kept, before: list[float], said: str, log: str, done: int, alive: int
) -> None:
    """Print what came of it."""
    requests = re.search(r"(\d+) requests in", said)
    moved = [
        (int(count), float(took)) for count, took in re.findall(r"(\d+) sessions were handed over in (\S+) s", log)
    ]
    print(f"{done} rollovers of {arguments.workers} workers, {arguments.reloads} reloads in {arguments.seconds} s")
    print(f"new connections            {requests[1] if requests else 0}, {errors_of_wrk(said) or 'no error'}")
    print(f"idle connections           {alive} of {arguments.idle} alive")
    print(f"bulk                       {kept.bulk_bytes / 1e6:.0f} MB back, hashed")
    print(f"busy round trips           {len(kept.round_trips)}")
    for name, trips in (("before", before), ("meanwhile", kept.round_trips)):
        trips = sorted(trips)
        print(f"  {name:<24} median {trips[len(trips) // 2] * 1e3:.1f} ms, slowest {trips[-1] * 1e3:.1f} ms")
    if moved:
        sessions, times = sum(count for count, _ in moved), [took for _, took in moved]
        print(f"handovers                  {len(moved)} of {sessions} sessions, each {statistics.median(times):.3f} s")
        print(f"  longest                  {max(times):.3f} s; a rollover's together {sum(times) / max(1, done):.3f} s")
    for problem in kept.problems[:20]:
        print(f"PROBLEM: {problem}")


# The second measurement


def cost(arguments: argparse.Namespace, place: Path, twistd: Path, stack: ExitStack) -> int:
    """Compare a single process, one worker and two: interleaved rounds, the median of each."""
    web, kinds = (
        origin_of(place, stack),
        {"single": [], "1 worker": ["--workers", "1"], "2 workers": ["--workers", "2"]},
    )
    figures: dict[str, dict[str, list[float]]] = {name: {} for name in kinds}
    for router in ("plain", "burns"):
        (place / "router.py").write_text(ROUTER.format(web=web, echo=web) if router == "plain" else BURNS)
        for _ in range(arguments.rounds):
            for name, options in kinds.items():
                for key, value in one_round(arguments, place, twistd, options).items():
                    figures[name].setdefault(f"{router} {key}", []).append(value)
    for key in figures["single"]:
        medians = {name: statistics.median(values[key]) for name, values in figures.items()}
        print(f"{key:<36}" + "".join(f"{name}: {value:<12.4g}" for name, value in medians.items()))
    rate, cpu = "burns connections per second", "plain CPU us a connection"
    print("Medians of the rounds' ratios:")
    throughput, of_two = ratio(figures, rate, "2 workers", "1 worker"), ratio(figures, cpu, "2 workers", "1 worker")
    print(f"  two workers against one, throughput with a costly router  {throughput:.2f}")
    print(f"  two workers against one, 2 / (ratio of CPU a connection)  {2 / of_two:.2f}")
    print(
        f"  CPU a connection, one worker against a single process     {ratio(figures, cpu, '1 worker', 'single'):.3f}"
    )
    return 0


def ratio(figures: dict[str, dict[str, list[float]]], key: str, name: str, other: str) -> float:
    """The median of the ratios of a figure in each round: what else the machine does changes from round to round."""
    pairs = zip(figures[name][key], figures[other][key], strict=True)
    return statistics.median(value / of_other for value, of_other in pairs)


def one_round(arguments: argparse.Namespace, place: Path, twistd: Path, options: list[str]) -> dict[str, float]:
    """Start it, make connections, and look at what that has cost."""
    port, wanted = free_port(), int(options[1]) if options else 0
    with running(command(twistd, port, options), place / "proxy.log") as pid:
        await_listener(port, pid)
        pids = workers_of(pid, wanted) if wanted else [pid]
        start = statistics.median(map(cpu_seconds, pids))
        run_for_output((*WRK, "-c8", "-d1", f"http://127.0.0.1:{port}/1k"), 60)
        before, supervisor = sum(map(cpu_seconds, pids)), cpu_seconds(pid)
        said = run_for_output((*WRK, "-c32", f"-d{arguments.round_seconds}", f"http://127.0.0.1:{port}/1k"), 60)
        used = sum(map(cpu_seconds, pids)) - before
        if errors_of_wrk(said):
            raise BrokenRun(" ".join(errors_of_wrk(said)))
        found = re.search(r"(\d+) requests in", said)
        count = int(found[1]) if found else 0
        return {
            "CPU us a connection": used / count * 1e6,
            "connections per second": count / arguments.round_seconds,
            "CPU s to start": start,
            "private MB of each": statistics.median(map(private_bytes, pids)) / 1e6,
            "CPU s of the supervisor": cpu_seconds(pid) - supervisor if wanted else 0.0,
        }


def workers_of(pid: int, count: int) -> list[int]:
    """The workers, once all of them serve."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        pids = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        titles = [Path(f"/proc/{each}/cmdline").read_bytes() for each in pids]
        if sum(b"- worker " in title for title in titles) == count:
            return pids
        time.sleep(0.05)
    raise BrokenRun(f"not {count} workers")


def private_bytes(pid: int) -> int:
    """Memory that a process shares with no other."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


# What both need


def origin_of(place: Path, stack: ExitStack) -> int:
    """Run a web server; its port."""
    port = free_port()
    folder = place / "origin"
    folder.mkdir()
    await_listener(port, stack.enter_context(running(origin(folder, port, "x" * 1024), place / "origin.log")))
    return port


def command(twistd: Path, port: int, options: list[str]) -> list[str]:
    """The command of the router."""
    return [
        str(twistd), "--pidfile=", "-n", "proxymux", "--router", "router.py", "--access-log", "access.log",
        "--listen", f"tcp:{port}:interface=127.0.0.1", *options,
    ]  # fmt: skip


def main() -> int:
    """Measure, and print what came of it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cost", action="store_true", help="compare workers with a single process instead")
    parser.add_argument("--echo", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--idle", type=int, default=9900)
    parser.add_argument("--busy", type=int, default=50)
    parser.add_argument("--bulk", type=int, default=4)
    parser.add_argument("--bulk-rate", type=float, default=5.0, help="MB/s of each bulk flow (5)")
    parser.add_argument("--connections", type=int, default=32, help="of wrk at once, 0 for none (32)")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--rollovers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7, help="of --cost (7)")
    parser.add_argument("--round-seconds", type=int, default=3)
    parser.add_argument("--twistd", type=Path, default=Path(sys.executable).with_name("twistd"))
    arguments = parser.parse_args()
    raise_descriptor_limit()
    if arguments.echo:
        asyncio.run(serve_echo(arguments.echo))
    with tempfile.TemporaryDirectory(prefix="proxymux-rollover-") as folder, ExitStack() as stack:
        if arguments.cost:
            return cost(arguments, Path(folder), arguments.twistd, stack)
        return asyncio.run(under_load(arguments, Path(folder), arguments.twistd, stack))


if __name__ == "__main__":
    raise SystemExit(main())

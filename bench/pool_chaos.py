"""A pool whose upstreams are killed and restarted while many clients ask; every byte of every reply is looked at.

    python bench/pool_chaos.py

It ends with status 1 if a byte was wrong, if what a client saw and what the access log says of it differ, or if an
upstream was back for longer than --recovery before it was asked again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench.ports import free_port  # noqa: E402
from bench.processes import await_listener, cpu_seconds, raise_descriptor_limit, resident_bytes, running  # noqa: E402
from bench.tagged import CODECS, Plan, Result, ask  # noqa: E402

#: Bytes of a message, and how often it has so many.
SIZES: Final = ((100, 600), (1000, 300), (5000, 80), (16_384, 15), (65_537, 4), (1 << 20, 1))


class Upstream:
    """A server that can be killed."""

    def __init__(self, codec: str) -> None:
        self.port = free_port()
        #: Seconds from each start but the first until a request was answered.
        self.recoveries: list[float] = []
        self._codec = codec
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.answered = asyncio.Event()

    async def start(self, is_first: bool = False) -> None:
        """Start it; it listens afterwards."""
        listens = asyncio.Event()
        self.answered = asyncio.Event()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "tagged.py"), str(self.port), self._codec), stdout=asyncio.subprocess.PIPE
        )
        self._reading = asyncio.ensure_future(self._read(self._process, listens, is_first))
        await listens.wait()

    async def _read(self, process: asyncio.subprocess.Process, listens: asyncio.Event, is_first: bool) -> None:
        assert process.stdout is not None
        since = 0.0
        async for line in process.stdout:
            word, moment = line.split()
            if word == b"listens":
                since = float(moment)
                listens.set()
            else:
                if not is_first:
                    self.recoveries.append(float(moment) - since)
                self.answered.set()

    async def kill(self) -> None:
        """Kill it."""
        assert self._process is not None
        assert self._reading is not None
        self._process.kill()
        await self._process.wait()
        await self._reading


class Chaos:
    """One run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._random = random.Random(options.seed)
        self.upstreams = [Upstream(options.codec) for _ in range(options.upstreams)]
        self.port = free_port()
        self.results: list[Result] = []
        self.kills = 0
        self._is_over = False

    def command(self, access_log: Path) -> list[str]:
        """The pool's."""
        more = ["--async"] if self._options.mode == "async" else []
        return [
            str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "proxymux-pool",
            f"--listen=tcp:{self.port}:interface=127.0.0.1", f"--codec={self._options.codec}", "--mode=funnel", *more,
            *(f"--target=127.0.0.1:{each.port}" for each in self.upstreams), f"--access-log={access_log}",
        ]  # fmt: skip

    async def run(self) -> None:
        """Have clients ask and upstreams die until the time is over."""
        clients = [asyncio.ensure_future(self._client(number)) for number in range(self._options.clients)]
        killer = asyncio.ensure_future(self._killer())
        # A byte that is wrong ends it at once.
        await asyncio.gather(killer, *clients)

    async def _client(self, number: int) -> None:
        source = random.Random(f"{self._options.seed} {number}")
        sizes, weights = zip(*SIZES, strict=True)
        first = 0
        await asyncio.sleep(source.random())
        while not self._is_over:
            count = source.randint(1, 20)
            each = list(
                zip(source.choices(sizes, weights, k=count), source.choices(sizes, weights, k=count), strict=True)
            )
            result = await ask(self.port, self._options.codec, Plan(number, first, each, source.choice((1, 4))))
            first += count
            self.results.append(result)
            # Who has failed waits a little, as a client should.
            await asyncio.sleep(source.random() * (0.5 if result.failure else 0.05))

    async def _killer(self) -> None:
        end = time.monotonic() + self._options.seconds
        await asyncio.sleep(self._options.kill_every / 2)
        while self.kills < 3 or time.monotonic() + self._options.kill_every < end:
            began = time.monotonic()
            self.kills += 1
            # Each fifth time all of them.
            victims = self.upstreams if self.kills % 5 == 2 else [self._random.choice(self.upstreams)]
            await asyncio.gather(*(each.kill() for each in victims))
            await asyncio.sleep(self._random.uniform(0.1, self._options.kill_every / 2))
            await asyncio.gather(*(each.start() for each in victims))
            await asyncio.gather(*(asyncio.wait_for(each.answered.wait(), 30) for each in victims))
            await asyncio.sleep(max(0.0, began + self._options.kill_every - time.monotonic()))
        await asyncio.sleep(max(0.0, end - time.monotonic()))
        self._is_over = True

    def disagreements(self, records: list[dict[str, object]]) -> Iterator[str]:
        """Where the clients and the access log do not say the same."""
        seen: dict[int, list[Result]] = defaultdict(list)
        logged: dict[int, list[dict[str, object]]] = defaultdict(list)
        for result in self.results:
            seen[result.port].append(result)
        for record in sorted(records, key=lambda record: str(record["session"]).zfill(12)):
            logged[int(str(record["client"]).rpartition(":")[2])].append(record)
        for port in seen.keys() | logged.keys():
            if len(seen[port]) != len(logged[port]):
                yield f"port {port}: {len(seen[port])} connections, {len(logged[port])} lines"
                continue
            for result, record in zip(seen[port], logged[port], strict=True):
                if (result.failure is None) != (record["outcome"] == "completed"):
                    yield f"the client: {result.failure}; the log: {record['outcome']}, {record['reason']}"


def report(chaos: Chaos, records: list[dict[str, object]], used: float, memory: int, seconds: float) -> None:
    """Print what came of it.

    :param used: CPU time of the pool, in seconds.
    :param memory: what it had at the end, in bytes.
    :param seconds: how long the clients asked.
    """
    good = sum(result.good for result in chaos.results)
    waits = sorted(wait for result in chaos.results for wait in result.waits)
    outcomes = Counter(str(record["outcome"]) for record in records)
    recoveries = [each for upstream in chaos.upstreams for each in upstream.recoveries]
    print(
        f"requests answered rightly: {good:,} ({good / seconds:,.0f} a second), {used / good * 1e6:.0f} µs of CPU each"
    )
    print(f"connections: {len(chaos.results):,}; outcomes: {dict(outcomes)}")
    print(f"reasons: {dict(Counter(str(each['reason']) for each in records if each['outcome'] != 'completed'))}")
    p50, p99 = (waits[int(len(waits) * part)] * 1000 for part in (0.5, 0.99))
    print(f"waits: p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {waits[-1] * 1000:.0f} ms; memory {memory >> 20} MiB")
    print(
        f"kills: {chaos.kills}, restarts: {len(recoveries)}; from a restart to the first answer: median"
        f" {statistics.median(recoveries or [0]):.2f} s, longest {max(recoveries, default=0):.2f} s"
    )


async def _run(chaos: Chaos, place: Path) -> list[dict[str, object]]:
    access_log = place / "access.log"
    for each in chaos.upstreams:
        await each.start(is_first=True)
    try:
        with ExitStack() as stack:
            pid = stack.enter_context(running(chaos.command(access_log), place / "pool.log"))
            await asyncio.get_running_loop().run_in_executor(None, await_listener, chaos.port, pid)
            began = time.monotonic()
            await chaos.run()
            seconds = time.monotonic() - began
            used, memory = cpu_seconds(pid), resident_bytes(pid)[0]
            await asyncio.sleep(1)  # for lines that are still to come
    finally:
        for each in chaos.upstreams:
            await each.kill()
    lines = [json.loads(line) for line in access_log.read_text().splitlines()]
    # The first one was await_listener.
    report(chaos, lines[1:], used, memory, seconds)
    return lines[1:]


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="[default: 60]")
    parser.add_argument("--kill-every", type=float, default=5.0, help="seconds [default: 5]")
    parser.add_argument("--clients", type=int, default=1000, help="at once [default: 1000]")
    parser.add_argument("--upstreams", type=int, default=8, help="[default: 8]")
    parser.add_argument("--codec", choices=list(CODECS), default="resp", help="[default: resp]")
    parser.add_argument("--mode", choices=["funnel", "async"], default="funnel", help="[default: funnel]")
    parser.add_argument("--recovery", type=float, default=1.0, help="seconds that it may take [default: 1]")
    parser.add_argument("--seed", type=int, default=1, help="[default: 1]")
    options = parser.parse_args()
    raise_descriptor_limit()
    chaos = Chaos(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="pool-chaos-") as place:
        records = asyncio.run(_run(chaos, Path(place)))
        log = (Path(place) / "pool.log").read_text()
    problems = list(chaos.disagreements(records))[:10]
    if "Traceback" in log:
        problems.append(f"the log has a traceback: {log[log.index('Traceback') :][:2000]}")
    slow = [each for upstream in chaos.upstreams for each in upstream.recoveries if each > options.recovery]
    if slow:
        problems.append(f"recovery took {', '.join(f'{each:.2f}' for each in slow)} s")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure what a cluster costs: short connections to one target, to a cluster of one, and to one of a thousand.

    python bench/clusters.py

All three are proxymux with the same router but for the target's name, in interleaved rounds; each connection sends 64
bytes, has them back, and is closed.  All of it uses the cores that the load and the echo use too.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench.ports import free_port  # noqa: E402
from bench.processes import BrokenRun, await_listener, running  # noqa: E402
from bench.short_connections import compile_load, measure  # noqa: E402

MEMBERS: Final = 1000
POLICIES: Final = ("round-robin", "least-connections", "random", "hash")


class Bench:
    """What all rounds share.

    :param place: a directory of its own.
    :param seconds: of one measurement.
    """

    def __init__(self, place: Path, seconds: float, twistd: Path) -> None:
        self.place = place
        self._seconds = seconds
        self._twistd = twistd
        self.load = compile_load(place)
        self.echo = free_port()

    def commands(self) -> dict[str, list[str]]:
        """The commands of all variants, with PORT for the port."""
        one = f"127.0.0.1:{self.echo}"
        # The echo listens on all addresses of this machine, and all of 127.0.0.0/8 are its.
        many = ",".join(f"127.0.{number // 250}.{number % 250 + 1}:{self.echo}" for number in range(MEMBERS))
        commands = {"one target": self._command("one", one, [])}
        for policy in POLICIES:
            for name, members in (("one", one), (f"{MEMBERS:,}", many)):
                option = f"users={members};policy={policy}"
                commands[f"{policy}, {name}"] = self._command("users", "users", ["--cluster", option])
        return commands

    def _command(self, name: str, remote: str, options: list[str]) -> list[str]:
        router = self.place / f"{name}.py"
        router.write_text(f"def proxy(data):\n    return {{'remote': {remote!r}}}\n")
        pid_file = str(self.place / "twistd.pid")
        start = [str(self._twistd), "--pidfile", pid_file, "-n", "proxymux", "--router", str(router)]
        return [*start, "--listen", "tcp:PORT:interface=127.0.0.1", *options]

    def take(self, command: list[str]) -> float:
        """The CPU time of one variant in microseconds for each connection."""
        port = free_port()
        with running([word.replace("PORT", str(port)) for word in command], self.place / "proxymux.log") as pid:
            await_listener(port, pid)
            return measure(self.load, "proxymux", port, [pid], self._seconds).cpu


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="[default: 7]")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement [default: 2]")
    parser.add_argument("--twistd", type=Path, default=Path(sys.executable).with_name("twistd"))
    options = parser.parse_args()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-clusters-")))
        bench = Bench(place, options.seconds, options.twistd)
        echo = stack.enter_context(running([str(bench.load), "echo", str(bench.echo)], place / "echo.log"))
        await_listener(bench.echo, echo)
        commands = bench.commands()
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(options.rounds):
            names = list(commands)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                try:
                    taken[name].append(bench.take(commands[name]))
                except BrokenRun as error:
                    raise SystemExit(str(error)) from None
    print(f"{'connections to':<26}  {'CPU µs each':>11}  {'to one target':>13}  {'to a cluster of one':>19}")
    for name, costs in taken.items():
        policy, _, members = name.partition(", ")
        of_one = taken[f"{policy}, one"] if members else costs
        ratios = [_median_ratio(costs, base) for base in (taken["one target"], of_one)]
        print(f"{name:<26}  {statistics.median(costs):>11.1f}  {ratios[0]:>13.3f}  {ratios[1]:>19.3f}")
    print("ratios: the median of the rounds' ratios")


def _median_ratio(costs: list[float], base: list[float]) -> float:
    return statistics.median(ours / theirs for ours, theirs in zip(costs, base, strict=True))


if __name__ == "__main__":
    main()

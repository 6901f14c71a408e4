"""Measure the gateway: handshake, 64 bytes there and back, close; 32 clients at once.

    python bench/gateway.py

Beside it, in interleaved rounds: HAProxy as a plain TCP proxy, which has no handshake, and a gateway in Go of the same
design where Go is installed.  All of them use the cores that the load and the echo use too.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench.ports import free_port  # noqa: E402
from bench.processes import await_listener, cpu_seconds, running  # noqa: E402
from proxymux.core.token.legacy import seal_legacy  # noqa: E402

SECRET: Final = "bench"
CLIENTS: Final = 32
HAPROXY: Final = """\
global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen echo
    bind 127.0.0.1:{port} backlog 4096
    server echo 127.0.0.1:{echo}
"""


class Bench:
    """What all rounds share.

    :param place: a directory of its own.
    """

    def __init__(self, place: Path, seconds: float, twistd: Path) -> None:
        self.place = place
        self._seconds = seconds
        self._twistd = twistd
        self._load = place / "load"
        self.echo = free_port()
        subprocess.run(["cc", "-O2", "-pthread", "-o", self._load, HERE / "gateway_load.c"], check=True)

    @contextmanager
    def echoing(self) -> Iterator[None]:
        """Run the echo."""
        with running([str(self._load), "echo", str(self.echo)], self.place / "echo.log") as pid:
            await_listener(self.echo, pid)
            yield

    def peers(self) -> dict[str, list[str]]:
        """The commands of all that can be run here, with PORT for the port."""
        peers = {
            "proxymux": [
                str(self._twistd), "--pidfile", str(self.place / "twistd.pid"), "-n", "proxymux-gateway",
                "--secret-file", str(self._written("secret", SECRET)), "--addr", "127.0.0.1:PORT",
                "--gateway-pidfile", "off",
            ]
        }  # fmt: skip
        if shutil.which("haproxy"):
            peers["haproxy"] = ["haproxy", "-q", "-db", "-f", str(self.place / "haproxy.cfg")]
        if shutil.which("go"):
            program = self.place / "gateway_peer"
            source = shutil.copy(HERE / "gateway_peer.go", self.place)
            subprocess.run(["go", "build", "-o", program, source], check=True)
            peers["go"] = [str(program), "PORT", SECRET]
        return peers

    def take(self, name: str, command: list[str]) -> tuple[float, float]:
        """Connections a second of one peer, and its CPU time in microseconds for each."""
        port = free_port()
        self._written("haproxy.cfg", HAPROXY.format(port=port, echo=self.echo))
        argv = [word.replace("PORT", str(port)) for word in command]
        token = seal_legacy(f"127.0.0.1:{self.echo}", SECRET.encode(), "md5", b"saltsalt")
        with running(argv, self.place / f"{name}.log") as pid:
            await_listener(port, pid)
            load = [str(self._load), "run", str(port), str(CLIENTS), str(self._seconds), "0.5"]
            load += [token] if name != "haproxy" else []
            with subprocess.Popen(load, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdout.readline()
                before = cpu_seconds(pid)
                process.stdin.write("\n")
                process.stdin.flush()
                made, failed = map(int, process.stdout.readline().split())
                used = cpu_seconds(pid) - before
        if failed or not made:
            raise SystemExit(f"{name}: {failed} connections failed, {made} did not")
        return made / self._seconds, used / made * 1e6

    def _written(self, name: str, text: str) -> Path:
        path = self.place / name
        path.write_text(text)
        return path


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="[default: 5]")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement [default: 3]")
    parser.add_argument("--twistd", type=Path, default=Path(sys.executable).with_name("twistd"))
    options = parser.parse_args()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-gateway-")))
        bench = Bench(place, options.seconds, options.twistd)
        stack.enter_context(bench.echoing())
        peers = bench.peers()
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in peers}
        for number in range(options.rounds):
            names = list(peers)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                taken[name].append(bench.take(name, peers[name]))
    print(f"{'peer':<10}  {'connections/s':>13}  {'ratio':>6}  {'CPU µs each':>11}  {'ratio':>6}")
    for name, results in taken.items():
        rates, costs = zip(*results, strict=True)
        by_rate = statistics.median(
            ours / theirs[0] for (ours, _), theirs in zip(taken["proxymux"], results, strict=True)
        )
        by_cost = statistics.median(
            ours / theirs[1] for (_, ours), theirs in zip(taken["proxymux"], results, strict=True)
        )
        print(
            f"{name:<10}  {statistics.median(rates):>13,.0f}  {by_rate:>6.2f}"
            f"  {statistics.median(costs):>11.1f}  {by_cost:>6.2f}"
        )
    print("ratio: proxymux to that peer, the median of the rounds' ratios")


if __name__ == "__main__":
    main()

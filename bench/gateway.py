"""Measure the gateway: handshake, 64 bytes there and back, close; 32 clients at once.

    python bench/gateway.py

Beside it, in interleaved rounds: HAProxy as a plain TCP proxy, which has no handshake, and where Go is installed a
gateway of the same design in Go.  That uses all cores, as proxymux does with ``--workers 2``; load and echo are on them
too.  The figures and every raw value are written to ``results/gateway.json``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench import report  # noqa: E402
from bench.builds import Build, add_options, chosen  # noqa: E402
from bench.figures import Bound, Metric  # noqa: E402
from bench.machine import Machine  # noqa: E402
from bench.options import add_rounds, settings  # noqa: E402
from bench.ports import free_port  # noqa: E402
from bench.processes import await_listener, await_rest, children, exit_at_term, running  # noqa: E402
from bench.rounds import Tries, numbers, turned  # noqa: E402
from bench.short_connections import compile_load, measure  # noqa: E402
from proxymux.core.token.legacy import seal_legacy  # noqa: E402

SECRET: Final = "bench"
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
#: What follows the names of the figures with two workers.
TWO: Final = " --workers 2"
METRICS: Final = (
    Metric("handshakes", "connections/CPU s", "go", bound=Bound(1.05, pure=0.85), more=True),
    Metric(f"rate{TWO}", "connections/s", "go", "rate", bound=Bound(1.0), more=True),
    Metric(f"handshakes{TWO}", "connections/CPU s", "go", "handshakes", more=True),
    Metric("rate", "connections/s", "go", more=True),
)


@dataclass(frozen=True)
class Contender:
    """A program that is measured.

    :param peer: its name in the table.
    :param command: that runs it, with PORT for the port.
    :param workers: how many processes work under the one that is started; 0 if that one works.
    """

    peer: str
    command: list[str]
    workers: int = 0

    @property
    def suffix(self) -> str:
        """What follows the names of its figures."""
        return TWO if self.workers else ""


class Bench:
    """What all rounds share.

    :param place: a directory of its own.
    """

    def __init__(self, place: Path, seconds: float) -> None:
        self.place = place
        self._seconds = seconds
        self._load = compile_load(place)
        self.echo = free_port()

    @contextmanager
    def echoing(self) -> Iterator[None]:
        """Run the echo."""
        with running([str(self._load), "echo", str(self.echo)], self.place / "echo.log") as pid:
            await_listener(self.echo, pid)
            yield

    def contenders(self, builds: Sequence[Build]) -> list[Contender]:
        """All that can be run here."""
        found = []
        secret = ["--secret-file", str(self._written("secret", SECRET)), "--gateway-pidfile", "off"]
        for build in builds:
            start = [str(build.twistd), "--pidfile", str(self.place / "twistd.pid"), "-n", "proxymux-gateway"]
            command = [*start, *secret, "--addr", "127.0.0.1:PORT"]
            found += [Contender(build.peer, command), Contender(build.peer, [*command, "--workers", "2"], workers=2)]
        if shutil.which("haproxy"):
            found.append(Contender("haproxy", ["haproxy", "-q", "-db", "-f", str(self.place / "haproxy.cfg")]))
        if shutil.which("go"):
            program = self.place / "gateway_peer"
            source = shutil.copy(HERE / "gateway_peer.go", self.place)
            subprocess.run(["go", "build", "-o", program, source], check=True)
            found.append(Contender("go", [str(program), "PORT", SECRET]))
        return found

    def take(self, contender: Contender) -> dict[str, float]:
        """Connections a second, and for each second of its CPU time."""
        port = free_port()
        self._written("haproxy.cfg", HAPROXY.format(port=port, echo=self.echo))
        argv = [word.replace("PORT", str(port)) for word in contender.command]
        token = seal_legacy(f"127.0.0.1:{self.echo}", SECRET.encode(), "md5", b"saltsalt")
        said = [] if contender.peer == "haproxy" else [token]
        with running(argv, self.place / f"{contender.peer}.log") as pid:
            await_listener(port, pid)
            pids = [pid]
            if contender.workers:
                pids += children(pid, contender.workers)
                await_rest(pids)
            cost = measure(self._load, contender.peer, port, pids, self._seconds, said)
        return {f"rate{contender.suffix}": cost.rate, f"handshakes{contender.suffix}": 1e6 / cost.cpu}

    def _written(self, name: str, text: str) -> Path:
        path = self.place / name
        path.write_text(text)
        return path


def main() -> int:
    """Print the table, write the figures, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_rounds(parser, rounds=7, seconds=1.5)
    add_options(parser)
    options = parser.parse_args()
    builds = chosen(parser, options)
    machine = Machine(builds)
    exit_at_term()
    tries = Tries()
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as place:
        bench = Bench(Path(place), options.seconds)
        contenders = {f"{each.peer}{each.suffix}": each for each in bench.contenders(builds)}
        with bench.echoing():
            for number in numbers(options.rounds, options.minutes):
                for name in turned(list(contenders), number):
                    tries.take(number, "gateway", contenders[name].peer, partial(bench.take, contenders[name]))
    about, how = machine.describe(), settings(options)
    report.publish(options.out / "gateway.json", about, how, {"gateway": METRICS}, tries.samples, tries.skipped)
    return 1 if tries.broken else 0


if __name__ == "__main__":
    sys.exit(main())

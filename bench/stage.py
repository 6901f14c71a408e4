"""What every measurement stands on: a directory, the two upstreams, and fresh proxies before them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from bench import nginx
from bench.ports import Ports, free_port
from bench.processes import await_listener, await_rest, bytes_read, children, cpu_seconds, running

#: About as long as a small answer of an API is.
BODY: Final = "x" * 100
#: For whatever else a proxy has open.
SPARE_DESCRIPTORS: Final = 600


class Peer(Protocol):
    """A proxy that can be measured."""

    @property
    def name(self) -> str:
        """What it is called in options and tables."""

    @property
    def kind(self) -> str:
        """What measures know it as: the same for all builds of one program."""

    @property
    def routes(self) -> bool:
        """Whether one port serves both upstreams, told apart by the first bytes."""

    @property
    def workers(self) -> int:
        """How many processes work that the one supervises which is started; 0 if this one works itself."""

    def check(self) -> None:
        """Raise Unavailable if it cannot be run here."""

    def prepare(self, directory: Path, ports: Ports) -> list[str]:
        """Write its configuration and return the command that runs it in the foreground."""


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs.

    :param pids: of all its processes; the last one works.
    :param ports: where it listens and what is behind it.
    """

    pids: tuple[int, ...]
    ports: Ports

    @property
    def pid(self) -> int:
        """A process that works."""
        return self.pids[-1]

    def cpu(self) -> float:
        """Return the CPU seconds that all of them have used."""
        return sum(map(cpu_seconds, self.pids))


@dataclass
class Stage:
    """The upstreams, and the settings of this run.

    :param directory: for configurations and logs; the caller removes it.
    :param seconds: of one measurement.
    :param warm_seconds: before each.
    :param load: the compiled load generator, or None without a compiler.
    :param short: whether this run only shows that everything works.
    :param descriptors: how many a process may have.
    :param origin: port of the web server.
    :param sink: port of the iperf3 server.
    :param direct: the web server itself, in the place of a proxy.
    """

    directory: Path
    seconds: float
    warm_seconds: float
    load: Path | None
    short: bool
    descriptors: int
    origin: int = 0
    sink: int = 0
    direct: Proxy | None = None
    _sink_pid: int | None = field(default=None, init=False)
    _started: int = field(default=0, init=False)

    @contextmanager
    def upstreams(self) -> Iterator[None]:
        """Run the web server and the iperf3 server."""
        self.origin, self.sink = free_port(), free_port()
        with ExitStack() as stack:
            place = self._place("origin")
            web = stack.enter_context(running(nginx.origin(place, self.origin, BODY), place / "log"))
            await_listener(self.origin, web)
            self.direct = Proxy(tuple(children(web, 1)), Ports(self.origin, self.sink, self.origin, self.sink))
            if shutil.which("iperf3"):
                # It takes a connection that says nothing for a test, so nobody tries whether it listens.
                argv = ["iperf3", "--server", "--bind", "127.0.0.1", "--port", str(self.sink)]
                self._sink_pid = stack.enter_context(running(argv, self._place("sink") / "log"))
            yield

    @property
    def most_connections(self) -> int:
        """How many connections may be kept through a proxy, which has two descriptors for each."""
        return (self.descriptors - SPARE_DESCRIPTORS) // 2

    def sunk(self) -> int:
        """Return how many bytes the iperf3 server has received so far."""
        return bytes_read(self._sink_pid) if self._sink_pid else 0

    @contextmanager
    def proxy(self, peer: Peer) -> Iterator[Proxy]:
        """Run a fresh process of a peer."""
        web = free_port()
        ports = Ports(web, web if peer.routes else free_port(), self.origin, self.sink)
        place = self._place(peer.name)
        with running(peer.prepare(place, ports), place / "log") as pid:
            await_listener(web, pid)
            pids = (pid, *children(pid, peer.workers)) if peer.workers else (pid,)
            if peer.workers > 1:
                await_rest(pids)
            yield Proxy(pids, ports)

    def _place(self, name: str) -> Path:
        self._started += 1
        place = self.directory / f"{self._started}-{name}"
        place.mkdir()
        return place

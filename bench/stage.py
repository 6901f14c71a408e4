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
from bench.processes import await_listener, bytes_read, cpu_seconds, only_child, running

#: About as long as a small answer of an API is.
BODY: Final = "x" * 100


class Peer(Protocol):
    """A proxy that can be measured."""

    @property
    def name(self) -> str:
        """What it is called in options and tables."""

    @property
    def routes(self) -> bool:
        """Whether one port serves both upstreams, told apart by the first bytes."""

    @property
    def has_master(self) -> bool:
        """Whether the process that is started only supervises the one that works."""

    def check(self) -> None:
        """Raise Unavailable if it cannot be run here."""

    def prepare(self, directory: Path, ports: Ports) -> list[str]:
        """Write its configuration and return the command that runs it in the foreground."""


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs.

    :param pid: of the process that does the work.
    :param ports: where it listens and what is behind it.
    """

    pid: int
    ports: Ports

    def cpu(self) -> float:
        """Return the CPU seconds it has used."""
        return cpu_seconds(self.pid)


@dataclass
class Stage:
    """The upstreams, and the settings of this run.

    :param directory: for configurations and logs; the caller removes it.
    :param seconds: of one measurement.
    :param warm_seconds: before each.
    :param load: the compiled load generator, or None without a compiler.
    :param short: whether this run only shows that everything works.
    :param origin: port of the web server.
    :param sink: port of the iperf3 server.
    :param direct: the web server itself, in the place of a proxy.
    """

    directory: Path
    seconds: float
    warm_seconds: float
    load: Path | None
    short: bool
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
            self.direct = Proxy(only_child(web), Ports(self.origin, self.sink, self.origin, self.sink))
            if shutil.which("iperf3"):
                # It takes a connection that says nothing for a test, so nobody tries whether it listens.
                argv = ["iperf3", "--server", "--bind", "127.0.0.1", "--port", str(self.sink)]
                self._sink_pid = stack.enter_context(running(argv, self._place("sink") / "log"))
            yield

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
            yield Proxy(only_child(pid) if peer.has_master else pid, ports)

    def _place(self, name: str) -> Path:
        self._started += 1
        place = self.directory / f"{self._started}-{name}"
        place.mkdir()
        return place

"""A real Redis Cluster: Debian's redis-server, in processes of this machine."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import until
from tests.system.conftest import answers, free_port, need

HOST = "127.0.0.1"


@dataclass
class RedisNodes:
    """Nodes of one cluster, each with its files in a folder of its own.

    :param password: that clients and nodes have to show; may be empty.
    """

    folder: Path
    password: str = ""
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, port: int | None = None) -> int:
        """Start a node, and wait until it listens.

        :param port: of one that has run before; None is a new one.
        :returns: its port.
        """
        port = free_port() if port is None else port
        place = self.folder / str(port)
        place.mkdir(exist_ok=True)
        options = ["--port", str(port), "--bind", HOST, "--dir", str(place), "--save", "", "--appendonly", "no"]
        options += ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"]
        options += ["--repl-diskless-sync-delay", "0"]
        if not (place / "nodes.conf").exists():
            (place / "bus").write_text(str(free_port()))  # without it that would be the port + 10000
        options += ["--cluster-port", (place / "bus").read_text()]
        if self.password:
            options += ["--requirepass", self.password, "--masterauth", self.password]
        with open(place / "log", "ab") as log:
            self.processes[port] = subprocess.Popen(["redis-server", *options], stdout=log, stderr=log)
        until(lambda: answers(port), "Redis to listen")
        return port

    def create(self, primaries: int, replicas: int) -> list[int]:
        """Start nodes and make a cluster of them.

        :param replicas: of each primary.
        :returns: their ports, those of the primaries first.
        """
        ports = [self.start() for _ in range(primaries * (1 + replicas))]
        addresses = [f"{HOST}:{port}" for port in ports]
        self.cluster("create", *addresses, "--cluster-replicas", str(replicas))
        until(lambda: all("cluster_state:ok" in self.ask(port, "CLUSTER", "INFO") for port in ports), "a whole cluster")
        count = primaries * replicas
        until(lambda: self.ask(ports[0], "CLUSTER", "NODES").count(" slave ") == count, "the replicas")
        # One that has no data yet does not take over from a primary that is gone.
        until(lambda: all(map(self.is_in_step, ports[primaries:])), "the replicas' data")
        return ports

    def is_in_step(self, port: int) -> bool:
        """True if a replica has the data of its primary."""
        return "master_link_status:up" in self.ask(port, "INFO", "replication")

    def ask(self, port: int, *words: str) -> str:
        """What a node answers to a command."""
        return self._run(["-h", HOST, "-p", str(port), *words])

    def cluster(self, *words: str) -> str:
        """Have redis-cli manage the cluster."""
        return self._run(["--cluster", *words, "--cluster-yes"])

    def id_of(self, port: int) -> str:
        """The id of a node."""
        return self.ask(port, "CLUSTER", "MYID").strip()

    def take_over(self, port: int) -> None:
        """Have a replica become the primary of its slots.

        Redis gives an attempt up without a word where the replica has not caught up in 5 seconds: it is asked again.
        """

        def is_primary() -> bool:
            if self.ask(port, "ROLE").startswith("master"):
                return True
            if self.is_in_step(port):
                self.ask(port, "CLUSTER", "FAILOVER")
            return False

        until(is_primary, f"{port} as a primary", pause=3.0, seconds=120.0)

    def kill(self, port: int) -> None:
        """End a node as a crash does."""
        process = self.processes.pop(port)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def _run(self, arguments: Sequence[str]) -> str:
        login = ["-a", self.password, "--no-auth-warning"] if self.password else []
        done = subprocess.run(
            ["redis-cli", *login, *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextlib.contextmanager
def running_cluster(folder: Path, password: str = "") -> Iterator[RedisNodes]:
    """Nodes until the test is over; the test is skipped where there is no Redis."""
    need("redis-server")
    need("redis-cli")
    nodes = RedisNodes(folder, password)
    try:
        yield nodes
    finally:
        for port in tuple(nodes.processes):
            nodes.kill(port)

"""A real etcd of one member, started by the tests that need one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from proxymux.discovery.etcd.values import encoded
from tests.conftest import until
from tests.services.certificates import Authority, Credentials
from tests.system.conftest import free_port, need

HOST = "127.0.0.1"


@dataclass
class EtcdServer:
    """One etcd, with its data in ``folder``.

    :param authority: of its certificate and its clients'; None for plain HTTP.
    :param own: its certificate.
    """

    folder: Path
    authority: Authority | None = None
    own: Credentials | None = None
    ports: list[int] = field(default_factory=lambda: [free_port() for _ in range(3)])
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where its clients find it, as HOST:PORT."""
        return f"{HOST}:{self.ports[0]}"

    def start(self) -> None:
        """Start it, and wait until it serves.  Its data and its ports are those of before."""
        client, peer, metrics = (f"http://{HOST}:{port}" for port in self.ports)
        arguments = ["--data-dir", str(self.folder / "etcd"), "--log-level", "error", "--name", "one"]
        if self.authority is not None:
            assert self.own is not None
            client = client.replace("http", "https")
            files = {"cert": self.own.file, "key": self.own.file, "trusted-ca": self.authority.file}
            arguments += [word for name, file in files.items() for word in (f"--{name}-file", str(file))]
            arguments += ["--client-cert-auth"]
        arguments += ["--listen-client-urls", client, "--advertise-client-urls", client]
        arguments += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        arguments += ["--initial-cluster", f"one={peer}", "--listen-metrics-urls", metrics]
        arguments += ["--heartbeat-interval", "50", "--election-timeout", "500"]
        with open(self.folder / "etcd.log", "ab") as log:
            self.process = subprocess.Popen(["etcd", *arguments], stdout=log, stderr=log)
        until(lambda: self._is_healthy(metrics), "etcd to serve")

    def kill(self) -> None:
        """End it as a crash does; nothing happens if it does not run."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def control(self, *words: str, stdin: str = "") -> str:
        """Run etcdctl, and return what it prints."""
        scheme, options = "http", []
        if self.authority is not None:
            assert self.own is not None
            scheme = "https"
            options = ["--cacert", str(self.authority.file), "--cert", str(self.own.file), "--key", str(self.own.file)]
        command = ["etcdctl", "--endpoints", f"{scheme}://{self.address}", *options, *words]
        environment = {**os.environ, "ETCDCTL_API": "3"}
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def put_all(self, values: dict[bytes, bytes]) -> None:
        """Set many keys, a hundred at once, of an etcd without TLS and users."""
        items = list(values.items())
        for start in range(0, len(items), 100):
            puts = [{"request_put": {"key": encoded(k), "value": encoded(v)}} for k, v in items[start : start + 100]]
            data = json.dumps({"success": puts}).encode()
            with urllib.request.urlopen(f"http://{self.address}/v3/kv/txn", data, timeout=30) as answer:
                answer.read()

    def _is_healthy(self, metrics: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "etcd.log").read_text()
        try:
            with urllib.request.urlopen(f"{metrics}/health", timeout=5) as answer:
                return b'"true"' in answer.read()
        except OSError:
            return False


@contextlib.contextmanager
def running_etcd(
    folder: Path, authority: Authority | None = None, own: Credentials | None = None
) -> Iterator[EtcdServer]:
    """An etcd that serves, until the test is over; the test is skipped where there is none."""
    need("etcd")
    need("etcdctl")
    server = EtcdServer(folder, authority, own)
    try:
        server.start()
        yield server
    finally:
        server.kill()

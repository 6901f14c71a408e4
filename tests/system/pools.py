"""Pools in front of real servers, and the servers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import until
from tests.system.conftest import Server, Start, Twistd, free_port, need


def pool(start: Start, port: int, count: int, *arguments: str) -> Twistd:
    """A running pool with ``count`` connections to ``port``."""
    targets = [f"--target=127.0.0.1:{port}"] * count
    return start(None, *targets, *arguments, service="proxymux-pool")


def run(*command: str, given: bytes = b"", seconds: float = 120) -> str:
    """What a client that ends well writes; no proxy of whoever runs the tests is in its way."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    path = need(command[0])
    done = subprocess.run([path, *command[1:]], input=given, capture_output=True, timeout=seconds, env=environment)
    out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {out}{err}"
    return out


def redis(server: Server, folder: Path, *arguments: str, port: int | None = None) -> int:
    """A Redis that keeps nothing; its port."""
    port = port or free_port()
    place = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    server(need("redis-server"), *place, "--save", "", "--appendonly", "no", *arguments, port=port)
    return port


def memcached(server: Server, *arguments: str) -> int:
    """A memcached; its port."""
    port = free_port()
    user = ["-u", "root"] if os.geteuid() == 0 else []
    # One thread: of several, each counts its connections when it comes to it.
    server(need("memcached"), *user, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-t", "1", *arguments, port=port)
    return port


class MariaDb:
    """A MariaDB on a data directory of its own.

    :param folder: for the data directory and the socket.
    """

    database, user, password = "shop", "app", "only for tests"

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.log = folder / "log"
        data = folder / "data"
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        install, mariadbd = need("mariadb-install-db"), need("mariadbd")
        need("mariadb")
        how = ["--no-defaults", f"--datadir={data}", *as_root]
        made = subprocess.run(
            [install, *how, "--auth-root-authentication-method=normal", "--skip-test-db"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        (folder / "init.sql").write_text(
            f"CREATE DATABASE {self.database};\n"
            f"CREATE USER '{self.user}'@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL ON *.* TO '{self.user}'@'%';\n"
        )
        options = [
            *(f"--socket={folder / 'socket'}", f"--port={self.port}", "--bind-address=127.0.0.1"),
            *("--skip-name-resolve", "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0"),
            *(f"--init-file={folder / 'init.sql'}", "--max-connections=200"),
        ]
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                [mariadbd, *how, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            # It listens when the init file has been run.
            until(self._is_ready, "MariaDB to be ready", 60)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"MariaDB ended:\n{self.log.read_text(errors='replace')}")
        return "ready for connections" in self.log.read_text(errors="replace")

    def client(self, port: int, *arguments: str) -> list[str]:
        """The command of the client at ``port``, its own or that of a proxy."""
        who = [f"--user={self.user}", f"--password={self.password}"]
        return ["mariadb", "--no-defaults", "--host=127.0.0.1", f"--port={port}", *who, *arguments, self.database]

    def query(self, port: int, text: str, *arguments: str) -> str:
        """What the client prints for a query, without names of columns."""
        return run(*self.client(port, "--batch", "--skip-column-names", *arguments), given=text.encode())

    def sysbench(self, port: int, test: str, *arguments: str) -> list[str]:
        """The command of sysbench at ``port``; the last word is still to come."""
        who = [f"--mysql-user={self.user}", f"--mysql-password={self.password}", f"--mysql-db={self.database}"]
        return ["sysbench", test, "--mysql-host=127.0.0.1", f"--mysql-port={port}", *who, *arguments]


def outcomes(proxy: Twistd, count: int) -> set[str]:
    """How ``count`` sessions, or more, have ended."""
    return {record["outcome"] for record in proxy.records(count)}


def together(commands: Sequence[Sequence[str]]) -> list[str]:
    """What clients that run at once write; each has to end well."""
    running = [
        subprocess.Popen(
            [need(command[0]), *command[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for command in commands
    ]
    out = [each.communicate(timeout=120)[0].decode(errors="replace") for each in running]
    for each, text in zip(running, out, strict=True):
        assert each.returncode == 0, text
    return out

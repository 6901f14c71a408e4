"""Running twistd and real servers."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import until


def need(program: str) -> str:
    """The path of a program; the test is skipped where there is none, but fails in CI."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/lib/git-core")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is not installed, and in CI nothing is skipped")
        pytest.skip(f"{program} is not installed")
    return path


def _ports() -> Iterator[int]:
    """Ports below those that the kernel gives to outgoing connections, which could take one before its server does.

    Of several processes of one run, each has its own; which of them is the first is left to chance, for another run
    beside this one.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    own = range(10_000 + number, max(lowest_ephemeral, 20_000), count)
    first = random.SystemRandom().randrange(len(own))
    yield from itertools.cycle([*own[first:], *own[:first]])


_next_ports = _ports()


def free_port() -> int:
    """A port for a server that cannot choose one by itself, or that nobody listens on."""
    for port in _next_ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is always a next one")


def answers(port: int) -> bool:
    """True if somebody listens on ``port``."""
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Twistd:
    """A running ``twistd -n proxymux``, or another service of ours."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, access_log: Path) -> None:
        self.process = process
        self.folder = folder
        self.access_log = access_log

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        """What it has logged so far, standard error included."""
        files = [self.folder / name for name in ("output", "errors")]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        """Wait for a line that matches ``pattern``."""

        def look() -> re.Match[str] | None:
            found = re.search(pattern, self.log())
            if found is None and self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}:\n{self.log()}")
            return found

        found: re.Match[str] = until(look, f"{pattern!r} in the log")
        return found

    @property
    def port(self) -> int:
        """The port of the first TCP listener."""
        return int(self.wait_for_log(r"listens on \S*:(\d+)").group(1))

    def connect(self) -> socket.socket:
        """A client."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def ask(self, data: bytes) -> bytes:
        """What a client that sends ``data`` and FIN is sent."""
        with self.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return read_all(client)

    def records(self, count: int = 0) -> list[dict[str, Any]]:
        """The access log, once it has at least ``count`` lines."""

        def read() -> list[str]:
            return self.access_log.read_text().splitlines() if self.access_log.exists() else []

        until(lambda: len(read()) >= count, f"{count} lines in the access log")
        return [json.loads(line) for line in read()]

    def title(self) -> str:
        """The process title."""
        return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()

    def memory(self) -> int:
        """Resident bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, once it does not end the process as that has no handler yet: the reactor brings those."""
        until(lambda: self.process.poll() is not None or takes(self.pid, number), f"a handler of {number.name}")
        self.process.send_signal(number)

    def wait(self, seconds: float = 30) -> int:
        """Its exit status."""
        return self.process.wait(seconds)


def takes(pid: int, number: signal.Signals) -> bool:
    """True if a process has a handler for a signal, or nobody has: for KILL, STOP and CONT."""
    if number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT):
        return True
    masks = re.findall(r"^Sig(?:Cgt|Ign):\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


def read_all(client: socket.socket) -> bytes:
    """Everything up to the end."""
    parts: list[bytes] = []
    while True:
        part = client.recv(1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


Start = Callable[..., Twistd]
Server = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a service, ``twistd -n proxymux`` with a router's source unless it is another.

    It listens on loopback, on a port of the system's choice.  Standard error goes to the same file as standard output,
    or, if it is to be ``apart``, to the file ``errors``.
    """
    running: list[Twistd] = []

    def start(
        router: str | Path | None,
        *arguments: str,
        service: str = "proxymux",
        listen: bool = True,
        daemon: bool = False,
        apart: bool = False,
        twistd: Sequence[str] = (),
        descriptors: int | None = None,
        **environment: str,
    ) -> Twistd:
        folder = tmp_path / f"run{len(running)}"
        folder.mkdir()
        access_log = folder / "access.log"
        command = [*twistd_command(), *([] if daemon else ["-n", "--pidfile="]), *twistd, service]
        if isinstance(router, str):
            path = folder / "router.py"
            path.write_text(router)
            router = path
        if router is not None:
            command += ["--router", str(router)]
        if listen:
            command += ["--listen", "tcp:0:interface=127.0.0.1"]
        command += ["--access-log", str(access_log), *arguments]
        if descriptors is not None:
            command = ["sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *command]
        with open(folder / "output", "wb") as output, open(folder / "errors" if apart else os.devnull, "wb") as errors:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors if apart else subprocess.STDOUT,
                env={**os.environ, **environment},
            )
        running.append(Twistd(process, folder, access_log))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what comes, and a FIN for a FIN; each connection has a thread of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:

        def answer(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while data := connection.recv(1 << 16):
                    connection.sendall(data)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=[listener.accept()[0]], daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()


def twistd_command() -> list[str]:
    """The command twistd, of this Python."""
    script = Path(sys.executable).with_name("twistd")
    return [str(script)] if script.exists() else [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Start a real server in the background; it is killed when the test is over."""
    running: list[subprocess.Popen[bytes]] = []

    def start_server(*command: str, port: int | None = None, **options: Any) -> subprocess.Popen[bytes]:
        output = open(tmp_path / f"server{len(running)}.log", "wb")  # noqa: SIM115
        with output:
            process = subprocess.Popen(
                command, **{"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT, **options}
            )
        running.append(process)
        if port is not None:
            until(lambda: answers(port), f"{command[0]} on port {port}")
        return process

    yield start_server
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

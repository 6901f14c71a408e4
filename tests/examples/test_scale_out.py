"""docs/examples/scale_out: HAProxy before two hosts, both of which are this machine, as the example says."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import until
from tests.examples.conftest import EXAMPLES, curl
from tests.system.conftest import Server, answers, free_port, need, read_all, twistd_command

HERE = EXAMPLES / "scale_out"
ALL = sorted(path.name for path in HERE.iterdir() if path.is_file())
TARGETS = ("9001", "9002", "9003")
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
CLIENT = "127.0.0.77"


class Place:
    """The example, copied, with other ports; its commands are run as it shows them."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.token = "token-of-the-test"
        self.ports = {port: free_port() for port in (*TARGETS, "7000", "7001", "7002", "7101", "7102")}
        self.haproxy = need("haproxy")
        for name in ALL:
            text = re.sub(r"\b[79]\d{3}\b", lambda found: str(self.ports[found[0]]), (HERE / name).read_text())
            (folder / name).write_text(text)
        (folder / "token").write_text(self.token)
        (folder / "token").chmod(0o600)
        for port in TARGETS:
            server(sys.executable, "target.py", str(self.ports[port]), cwd=folder, port=self.ports[port])
        # So that host.sh finds the twistd of this Python.
        path = f"{Path(twistd_command()[0]).parent}:{os.environ['PATH']}"
        # Each host in a session of its own, so that all of its processes can be killed at once.
        self.hosts = [
            server(
                *("sh", "host.sh", str(self.ports[f"700{number}"]), str(self.ports[f"710{number}"])),
                cwd=folder,
                env={**os.environ, "PATH": path},
                start_new_session=True,
            )
            for number in (1, 2)
        ]
        until(lambda: all(self.is_ready(number) for number in (1, 2)), "both hosts to be ready", 60)
        server(self.haproxy, "-f", "haproxy.cfg", cwd=folder, port=self.port)

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self.ports["7000"]

    def is_ready(self, number: int) -> bool:
        """What the balancer asks a host, one of 1 and 2."""
        assert self.hosts[number - 1].poll() is None
        return curl("--fail", f"http://127.0.0.1:{self.ports[f'710{number}']}/readyz").returncode == 0

    def drain(self, number: int) -> None:
        token = f"Authorization: Bearer {self.token}"
        url = f"http://127.0.0.1:{self.ports[f'710{number}']}/drain"
        assert curl("--fail", "--request", "POST", "--header", token, url).returncode == 0

    def kill(self, number: int) -> None:
        """Kill all processes of a host, as if the machine had died; it refuses connections afterwards."""
        host = self.hosts[number - 1]
        os.killpg(host.pid, signal.SIGKILL)
        host.wait()
        until(lambda: not answers(self.ports[f"700{number}"]), "the port to be free")

    def ask(self) -> bytes:
        """What a client is answered; nothing if its connection was lost."""
        with socket.create_connection(("127.0.0.1", self.port), 30, (CLIENT, 0)) as client:
            try:
                client.sendall(REQUEST)
                return read_all(client)
            except OSError:
                return b""

    def answered_by(self, answer: bytes) -> int:
        """The port of the target that has answered, which has to have been told of the client's address."""
        found = re.fullmatch(rb"HTTP/1.0 200 OK\r\n\r\ntarget (\d+) serves (\S+)\n", answer)
        assert found is not None, answer
        assert found[2].decode() == CLIENT
        return int(found[1])


class Load(threading.Thread):
    """Clients, one after the other, until it is stopped."""

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True)
        self._place = place
        self.answers: list[bytes] = []
        self.is_over = False
        self.start()

    def run(self) -> None:
        while not self.is_over:
            self.answers.append(self._place.ask())


@pytest.fixture
def place(tmp_path: Path, server: Server) -> Iterator[Place]:
    made = Place(tmp_path, server)
    yield made
    for host in made.hosts:
        if host.poll() is None:
            os.killpg(host.pid, signal.SIGKILL)


def test_every_file_is_in_the_list_and_in_the_docs() -> None:
    assert "`scale_out <scale_out>`_" in (EXAMPLES / "README.rst").read_text()
    page = (EXAMPLES.parent / "scale-out.rst").read_text()
    assert [name for name in ALL if f"examples/scale_out/{name}" not in page] == []


@pytest.mark.slow
def test_all_targets_serve_and_know_the_client_and_no_one_is_lost_when_a_host_dies(place: Place) -> None:
    served = {place.answered_by(place.ask()) for _ in range(30)}
    assert served == {place.ports[port] for port in TARGETS}
    place.kill(1)
    # At once: the balancer does not know yet.
    for _ in range(30):
        place.answered_by(place.ask())


@pytest.mark.slow
def test_no_one_is_lost_when_a_host_is_drained_under_load(place: Place) -> None:
    loads = [Load(place) for _ in range(4)]
    until(lambda: all(len(load.answers) > 20 for load in loads), "the load")
    place.drain(1)
    until(lambda: not place.is_ready(1), "the host to say that it drains")
    before = [len(load.answers) for load in loads]
    until(lambda: all(len(load.answers) > count + 50 for load, count in zip(loads, before, strict=True)), "more load")
    for load in loads:
        load.is_over = True
    for load in loads:
        load.join(30)
        for answer in load.answers:
            place.answered_by(answer)
    assert not answers(place.ports["7001"])

"""Clusters in running processes: targets that die and come back, clients, and the admin endpoint."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import urllib.request
from collections import Counter
from typing import Any, Final

from tests.conftest import until
from tests.system.conftest import Twistd, read_all

TO_USERS: Final = "def proxy(data):\n    return {'remote': 'users'}\n"
TOKEN: Final = "a-token-of-the-tests"


class Target(threading.Thread):
    """A target that says its port to whoever comes, and that can die and come back."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port: int = self.listening.getsockname()[1]
        self.served = 0
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def run(self) -> None:
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                client.settimeout(30)
                if client.recv(100):  # not a check, which says nothing
                    self.served += 1
                    client.sendall(b"%d" % self.port)

    def die(self) -> None:
        """Be there no more; who is being served is served."""
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.join()


class Targets:
    """Targets that are started, killed and brought back."""

    def __init__(self, count: int) -> None:
        self.running: dict[int, Target] = {}
        for _ in range(count):
            target = Target()
            self.running[target.port] = target
        self.ports = list(self.running)

    def __str__(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def kill(self, port: int) -> None:
        self.running.pop(port).die()

    def revive(self, port: int) -> None:
        self.running[port] = Target(port)

    def close(self) -> None:
        for port in list(self.running):
            self.kill(port)


class Load:
    """Clients that ask one after the other, in a thread, and what each was answered."""

    def __init__(self, proxy: Twistd, threads: int = 2) -> None:
        self._port = proxy.port
        self._is_over = False
        self.answers: Counter[bytes] = Counter()
        self._threads = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        for thread in self._threads:
            thread.join()

    def _ask_on(self) -> None:
        while not self._is_over:
            with socket.create_connection(("127.0.0.1", self._port), timeout=30) as client:
                client.sendall(b"hello")
                self.answers[read_all(client)] += 1

    def wait_for(self, count: int) -> None:
        """Wait until so many more were answered."""
        wanted = self.answers.total() + count
        until(lambda: self.answers.total() >= wanted, f"{count} answers")


class Admin:
    """The admin endpoint of a process."""

    def __init__(self, proxy: Twistd) -> None:
        self._url = f"http://127.0.0.1:{proxy.wait_for_log(r'--admin listens on 127.0.0.1:([0-9]+)')[1]}"

    def members(self) -> dict[int, dict[str, Any]]:
        """The members of the cluster by their ports."""
        with urllib.request.urlopen(f"{self._url}/status", timeout=30) as answer:
            status = json.load(answer)
        return {int(each["target"].rpartition(":")[2]): each for each in status["services"][0]["clusters"]["users"]}

    def up(self) -> set[int]:
        return {port for port, each in self.members().items() if each["up"]}

    def steer(self, port: int, verb: str) -> str:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{self._url}/clusters/users/127.0.0.1:{port}/{verb}"
        with urllib.request.urlopen(urllib.request.Request(url, b"", headers), timeout=30) as answer:
            return str(answer.read().decode())


def answered_by(load: Load) -> set[int]:
    """Who has answered; nobody was not answered."""
    assert b"" not in load.answers, load.answers
    return {int(answer) for answer in load.answers}


def all_were_connected(proxy: Twistd, load: Load, kills: int) -> None:
    """See that nobody was without a target.

    :param kills: how often a target has died: each time the kernel resets who waits in its listen queue, which is
        connected and may have sent something.
    """
    outcomes = Counter(record["outcome"] for record in proxy.records(load.answers.total()))
    assert set(outcomes) <= {"completed", "upstream_aborted"}
    assert load.answers[b""] <= 8 * kills

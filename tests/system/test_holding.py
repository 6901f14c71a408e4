"""A hold over workers: it outlives those that die and those that are replaced."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import until
from tests.system.conftest import Start, read_all

ROUTER = """
def proxy(data):
    return {"remote": "127.0.0.1:%d"}
"""


class Admin:
    """Asks the admin endpoint of a process."""

    def __init__(self, address: str, token: str) -> None:
        self._url = f"http://{address}"
        self._token = token

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self._url + path, timeout=30) as answer:
            return json.load(answer)

    def post(self, path: str) -> str:
        shown = {"Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(self._url + path, method="POST", headers=shown)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode().strip())

    def pids(self) -> list[int]:
        """The workers that serve."""
        return sorted(each["pid"] for each in self.get("/status")["workers"] if not each["draining"])

    def holds(self) -> list[Any]:
        return list(self.get("/status")["services"][0]["holds"])


@pytest.mark.slow
def test_a_hold_outlives_a_worker_that_is_killed_and_a_rollover(start: Start, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        port = upstream.getsockname()[1]
        options = ("--workers", "2", "--admin", "tcp:0:interface=127.0.0.1", "--admin-token-file", str(token))
        running = start(ROUTER % port, *options)
        admin = Admin(running.wait_for_log(r"admin.* (127\.0\.0\.1:\d+)").group(1), "secret")
        until(lambda: len(admin.pids()) == 2, "the workers")
        assert admin.post(f"/clusters/-/127.0.0.1:{port}/hold") == f"127.0.0.1:{port} is held"
        first = admin.pids()
        os.kill(first[0], signal.SIGKILL)
        until(lambda: len(set(admin.pids()) - set(first)) == 1, "the worker's successor")
        before = admin.pids()
        admin.post("/rollover")
        until(lambda: len(set(admin.pids()) - set(before)) == 2, "fresh workers")
        clients = [running.connect() for _ in range(8)]
        for client in clients:
            client.sendall(b"x")
        until(lambda: [hold["waiting"] for hold in admin.holds()] == [8], "all clients wait")
        upstream.settimeout(0.05)
        try:
            upstream.accept()
        except TimeoutError:
            pass
        else:
            raise AssertionError("somebody was connected to what is held")
        upstream.settimeout(30)
        admin.post(f"/clusters/-/127.0.0.1:{port}/release")
        for _ in clients:
            upstream.accept()[0].close()
        assert [read_all(client) for client in clients] == [b""] * 8
        for client in clients:
            client.close()
        assert admin.holds() == []

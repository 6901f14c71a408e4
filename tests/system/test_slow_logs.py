"""Logs that cannot be written: no client notices, and what was kept is written when they can be again."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import until
from tests.system.conftest import Start, Twistd, read_all, twistd_command

pytestmark = pytest.mark.slow  # all of it takes long, and each of it is tested in pieces, too

ROUTER = "def proxy(data):\n    return {'close': data}\n"
#: As many that their lines are more than a pipe holds.
MANY = 400


def slowest(proxy: Twistd) -> float:
    """Ask :data:`MANY` times; the seconds of the slowest reply."""
    assert proxy.port  # it has started
    seconds = []
    for number in range(MANY):
        began = time.monotonic()
        assert proxy.ask(b"%d" % number) == b"%d" % number
        seconds.append(time.monotonic() - began)
    return max(seconds)


def numbers(lines: bytes) -> list[int]:
    return [json.loads(line)["session"] for line in lines.splitlines()]


def test_a_fifo_that_nobody_reads_costs_no_client_and_no_line(start: Start, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    proxy = start(ROUTER, "--access-log", str(fifo))
    assert slowest(proxy) < 5
    reads = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    found = b""

    def read() -> bool:
        nonlocal found
        if select.select([reads], [], [], 0)[0]:
            found += os.read(reads, 1 << 20)
        return found.count(b"\n") >= MANY

    until(read, "all lines")
    os.close(reads)
    assert numbers(found) == [*range(1, MANY + 1)]
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0


def test_standard_output_that_nobody_reads_keeps_neither_a_client_nor_the_stop(tmp_path: Path) -> None:
    (tmp_path / "router.py").write_text(ROUTER)
    command = [*twistd_command(), "-n", "--pidfile=", "proxymux", "--router", "router.py", "--log-level", "debug"]
    reads, writes = os.pipe()
    process = subprocess.Popen(
        [*command, "--listen", "tcp:0:interface=127.0.0.1"], cwd=tmp_path, stdout=writes, stderr=writes
    )
    os.close(writes)
    (tmp_path / "output").write_bytes(b"")
    proxy = Twistd(process, tmp_path, tmp_path / "access.log")

    def read_port() -> bool:
        with open(tmp_path / "output", "ab") as output:
            output.write(os.read(reads, 1 << 16))
        return "listens on" in proxy.log()

    until(read_port, "the port")
    assert slowest(proxy) < 5
    proxy.signal(signal.SIGTERM)
    assert proxy.wait(20) == 0
    os.close(reads)


def test_a_full_disk_costs_no_client_and_is_written_on_when_there_is_room(start: Start) -> None:
    proxy = start(ROUTER)
    proxy.ask(b"first")
    proxy.records(1)
    _, hard = resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE, (20_000, hard))
    assert slowest(proxy) < 5
    proxy.wait_for_log(r"--access-log: .*: cannot be written: File too large; up to 4 MiB of records are kept")
    # Each further try may write a part of a line first, which is then taken away.
    until(lambda: proxy.access_log.read_bytes().endswith(b"}\n"), "whole lines")
    resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE, (hard, hard))
    proxy.wait_for_log("written again; 0 records were lost")
    proxy.records(MANY + 1)
    assert numbers(proxy.access_log.read_bytes()) == [*range(1, MANY + 2)]


def test_the_lines_of_a_stop_are_all_written(start: Start) -> None:
    proxy = start(ROUTER, "--log-format", "json")
    clients = [proxy.connect() for _ in range(20)]
    until(lambda: "20/20/20" in proxy.title(), "the clients")
    proxy.signal(signal.SIGTERM)
    for client in clients:
        client.sendall(b"x")
        read_all(client)
        client.close()
    assert proxy.wait() == 0
    assert len(proxy.records()) == 20
    lines = [json.loads(line) for line in (proxy.folder / "output").read_text().splitlines()]
    assert lines[-1]["message"] == "Server Shut Down."


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_tmpfs_is_as_harmless(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", folder], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        path = folder / "access.log"
        proxy = start(ROUTER, "--access-log", str(path))
        assert slowest(proxy) < 5
        proxy.wait_for_log("cannot be written: No space left on device")
        assert path.read_bytes().endswith(b"}\n")
        subprocess.run(["mount", "-o", "remount,size=10m", folder], check=True)
        until(lambda: path.read_bytes().count(b"\n") == MANY, "all lines")
        assert numbers(path.read_bytes()) == [*range(1, MANY + 1)]
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)

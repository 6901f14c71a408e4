"""``--workers``: how it starts, and what does not let it start."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.conftest import until
from tests.system.conftest import Start, Twistd, free_port
from tests.system.workers import ENOUGH, FORWARDS, WAITS, children, crew, echo, roll_over, says

pytestmark = pytest.mark.slow


def test_two_workers_serve_and_end(start: Start) -> None:
    proxy = start(WAITS, "--workers", "2")
    assert proxy.ask(b"x.") == b"done: x."
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    [record] = proxy.records(1)
    assert record["worker"] in (1, 2)


def test_two_workers_serve_and_a_session_lives_through_a_rollover(start: Start) -> None:
    with echo() as server:
        proxy = start(FORWARDS.format(port=server.port), "--workers", "2")
        crew(proxy, 2)
        clients = [proxy.connect() for _ in range(ENOUGH)]
        for number, client in enumerate(clients):
            assert says(client, b"before %02d" % number) == b"before %02d" % number
        roll_over(proxy, 2)
        for number, client in enumerate(clients):
            assert says(client, b"after %02d" % number) == b"after %02d" % number
            client.close()
        records = proxy.records(ENOUGH)
    assert [(record["outcome"], record["bytes_in"], record["bytes_out"]) for record in records] == [
        ("completed", 17, 17)
    ] * ENOUGH
    assert {record["worker"] for record in records} == {1, 2}
    assert len({record["session"] for record in records}) == ENOUGH
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert "Traceback" not in proxy.log()


def refusal(proxy: Twistd) -> str:
    assert proxy.wait() == 1
    return proxy.log()


def test_a_port_that_is_in_use_is_told_in_one_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"
        said = refusal(start(WAITS, "--workers", "2", "--listen", listen))
    assert said == (
        f"proxymux: --listen: {listen}: cannot listen on 127.0.0.1:{other_port(listen)}: Address already in use;"
        " choose an address that is free and that you may use\n"
    )


def other_port(listen: str) -> str:
    return listen.split(":")[1]


def test_a_router_that_cannot_be_loaded_is_told_in_one_line(start: Start) -> None:
    said = refusal(start("def proxy(data):\n    return (\n", "--workers", "2"))
    assert len(said.splitlines()) == 1
    assert said.startswith("proxymux: --router: ")
    assert "router.py:2: " in said


def test_a_bad_number_is_told_in_one_line(start: Start) -> None:
    said = refusal(start(WAITS, "--workers", "0"))
    assert said.startswith("proxymux: --workers: ")
    assert len(said.splitlines()) == 1


def test_more_workers_than_the_pool_has_slots_are_refused(start: Start) -> None:
    target = f"127.0.0.1:{free_port()}"
    options = ("--target", target, "--max-connections", "5", "--workers", "2")
    said = refusal(start(None, *options, service="proxymux-pool"))
    assert said.startswith("proxymux: --workers: ")
    assert len(said.splitlines()) == 1


def test_check_says_ok_and_leaves_nothing(start: Start) -> None:
    proxy = start(WAITS, "--workers", "2", "--check")
    assert proxy.wait() == 0
    assert proxy.log() == "ok\n"
    assert sorted(os.listdir(proxy.folder)) == ["output", "router.py"]


def test_a_daemon_has_a_pid_file_a_log_and_workers_that_end_with_it(start: Start) -> None:
    proxy = start(WAITS, "--workers", "2", daemon=True)
    assert proxy.wait() == 0, proxy.log()
    pid_file, log = proxy.folder / "twistd.pid", proxy.folder / "twistd.log"
    pid = int(pid_file.read_text())
    until(lambda: len(children(pid)) == 2 and "starting on" in log.read_text(), "the workers")
    os.rename(log, log.with_suffix(".1"))
    os.kill(pid, signal.SIGUSR1)
    until(log.exists, "the new log")
    os.kill(pid, signal.SIGHUP)
    until(lambda: log.read_text().count(": reloaded router") == 2, "lines of both workers in the new log")
    workers = children(pid)
    os.kill(pid, signal.SIGTERM)
    until(lambda: not pid_file.exists(), "the daemon to end")
    until(lambda: not any(map(is_there, workers)), "the workers to be gone")


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_daemon_that_cannot_start_says_so_to_who_has_started_it(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"tcp:{other.getsockname()[1]}:interface=127.0.0.1"
        proxy = start(WAITS, "--workers", "2", "--listen", listen, daemon=True)
        assert "cannot listen on" in refusal(proxy)
    assert not (proxy.folder / "twistd.pid").exists()

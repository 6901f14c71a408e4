"""Workers that are ended, killed or told to, one or all, and what becomes of their clients."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import until
from tests.system.conftest import Start, Twistd, answers, read_all
from tests.system.workers import FORWARDS, WAITS, children, crew, echo, is_alive, says, serving

pytestmark = pytest.mark.slow


def undecided(proxy: Twistd, count: int = 1) -> list[socket.socket]:
    """Clients that are known to be in: a first part of what they say was answered by nobody yet."""
    clients = [proxy.connect() for _ in range(count)]
    for client in clients:
        client.sendall(b"a")
    until(lambda: sessions(proxy) >= count, "the clients to be counted")
    return clients


def sessions(proxy: Twistd) -> int:
    """Those that are live, by the titles of the workers."""
    found = 0
    for pid in serving(proxy):
        title = Path(f"/proc/{pid}/cmdline").read_bytes().decode().rstrip("\0 ")
        found += int(title.split(" - ")[-1].split()[0].split("/")[0])
    return found


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_the_status_says_whether_the_drain_had_to_cut(start: Start, workers: list[str]) -> None:
    proxy = start(WAITS, *workers, "--drain-timeout", "0.2")
    assert proxy.ask(b"x.") == b"done: x."
    if workers:
        crew(proxy, 2)
    with proxy.connect() as client:
        client.sendall(b"a")
        proxy.wait_for_log("listens on")
        threading.Event().wait(0.3)  # nothing shows that a single process has read it
        proxy.signal(signal.SIGTERM)
        assert read_all(client) == b""
    assert proxy.wait() == 1
    assert [record["outcome"] for record in proxy.records(2)] == ["rejected", "drained"]


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_a_drain_under_load_resets_nobody(start: Start, workers: list[str]) -> None:
    proxy = start(WAITS, *workers)
    assert proxy.ask(b"x.") == b"done: x."
    if workers:
        crew(proxy, 2)
    address, served = ("127.0.0.1", proxy.port), [0] * 8

    def ask_until_refused(number: int) -> None:
        with contextlib.suppress(ConnectionRefusedError):
            while True:
                with socket.create_connection(address, 30) as client:
                    client.sendall(b"x.")
                    assert read_all(client) == b"done: x."
                    served[number] += 1

    with ThreadPoolExecutor(len(served)) as clients:
        asked = [clients.submit(ask_until_refused, number) for number in range(len(served))]
        until(lambda: all(count > 20 for count in served), "all of them to be served")
        proxy.signal(signal.SIGTERM)
        for each in asked:
            each.result()
    assert proxy.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_to_all_processes_counts_once(start: Start, number: signal.Signals) -> None:
    proxy = start(WAITS, "--workers", "2", "--drain-timeout", "60")
    port = proxy.port
    workers = crew(proxy, 2)
    [client] = undecided(proxy)
    with client:
        for pid in [*workers, proxy.pid]:
            os.kill(pid, number)
        proxy.wait_for_log("stopped accepting")
        until(lambda: not answers(port), "the port to be closed")
        client.sendall(b"b.")
        assert read_all(client) == b"done: ab."
    assert proxy.wait() == 0
    assert not any(map(is_alive, workers))


def test_a_second_term_is_now(start: Start) -> None:
    proxy = start(WAITS, "--workers", "2", "--drain-timeout", "3600")
    crew(proxy, 2)
    [client] = undecided(proxy)
    with client:
        proxy.signal(signal.SIGTERM)
        proxy.wait_for_log("stopped accepting")
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 1
    assert [record["outcome"] for record in proxy.records(1)] == ["drained"]


def test_a_worker_that_does_not_answer_does_not_keep_the_rest_from_ending(start: Start) -> None:
    hangs = "import time\ndef proxy(data):\n    time.sleep(3600)\n"
    proxy = start(hangs, "--workers", "2", "--drain-timeout", "1")
    crew(proxy, 2)
    with proxy.connect() as client:
        client.sendall(b"x")
        threading.Event().wait(0.3)
        proxy.signal(signal.SIGTERM)
        assert proxy.wait(60) == 1
    assert "does not end and is killed" in proxy.log()


def test_term_to_one_worker_has_it_replaced_and_its_sessions_go_on(start: Start) -> None:
    with echo() as server:
        proxy = start(FORWARDS.format(port=server.port), "--workers", "2")
        before = crew(proxy, 2)
        clients = [proxy.connect() for _ in range(8)]
        assert all(says(client, b"one") == b"one" for client in clients)
        told = min(before)
        os.kill(told, signal.SIGTERM)
        after = crew(proxy, 2, {told})
        assert before - after == {told}
        assert all(says(client, b"two") == b"two" for client in clients)
        for client in clients:
            client.close()
        assert {record["bytes_in"] for record in proxy.records(8)} == {6}


def test_a_killed_worker_loses_its_own_connections_only_and_is_replaced(start: Start) -> None:
    with echo() as server:
        proxy = start(FORWARDS.format(port=server.port), "--workers", "2")
        survivors = 0
        for _ in range(5):
            workers = crew(proxy, 2)
            victim = min(workers)
            clients = [proxy.connect() for _ in range(8)]
            assert all(says(client, b"in") == b"in" for client in clients)
            os.kill(victim, signal.SIGSTOP)
            waiting = [proxy.connect() for _ in range(8)]  # half of them in the queue of the one that does nothing
            os.kill(victim, signal.SIGKILL)
            assert all(says(client, b"new") == b"new" for client in waiting)
            survivors += sum(whether_it_lives(client) for client in clients)
            for client in clients + waiting:
                client.close()
            crew(proxy, 2, {victim})
        assert len(proxy.records(survivors + 40)) == survivors + 40
        assert 0 < survivors < 40
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0


def whether_it_lives(client: socket.socket) -> bool:
    try:
        client.sendall(b"?")
        return client.recv(1) == b"?"
    except OSError:
        return False


def test_without_their_supervisor_workers_drain_and_end(start: Start) -> None:
    with echo() as server:
        proxy = start(FORWARDS.format(port=server.port), "--workers", "2", "--drain-timeout", "30")
        port, workers = proxy.port, crew(proxy, 2)
        with proxy.connect() as client:
            assert says(client, b"x") == b"x"
            proxy.signal(signal.SIGKILL)
            proxy.wait()
            until(lambda: not answers(port), "the port to be closed")
            until(lambda: sum(map(is_alive, workers)) == 1, "the idle one to end")
            assert says(client, b"y") == b"y"
        until(lambda: not any(map(is_alive, workers)), "both to end")
    [record] = [record for record in proxy.records(1) if record["bytes_in"]]  # who has looked at the port said nothing
    assert (record["outcome"], record["bytes_in"]) == ("completed", 2)


def test_a_broken_router_keeps_one_worker_from_starting_and_the_others_serve_its_share(start: Start) -> None:
    proxy = start(WAITS, "--workers", "2")
    router = proxy.folder / "router.py"
    victim = min(crew(proxy, 2))
    router.write_text("def proxy(data):\n    return (\n")
    os.kill(victim, signal.SIGKILL)
    proxy.wait_for_log(r"worker \d cannot start: --router: .*router\.py:2: ")
    for _ in range(20):
        assert proxy.ask(b"x.") == b"done: x."
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log(r"worker \d: not reloaded, the old one stays")
    router.write_text(WAITS.replace("done", "new"))
    proxy.signal(signal.SIGHUP)
    crew(proxy, 2, {victim})
    proxy.wait_for_log(r"reloaded router")
    assert {proxy.ask(b"x.") for _ in range(20)} == {b"new: x."}
    assert "Traceback" not in proxy.log()


def test_a_router_that_does_not_load_stops_a_rollover(start: Start) -> None:
    proxy = start(WAITS, "--workers", "2")
    workers = crew(proxy, 2)
    (proxy.folder / "router.py").write_text("import nothing_of_that_name\n")
    proxy.signal(signal.SIGUSR2)
    proxy.wait_for_log(r"error\] the rollover stops, the old workers stay: .*nothing_of_that_name")
    assert crew(proxy, 2) == workers
    assert {proxy.ask(b"x.") for _ in range(10)} == {b"done: x."}
    (proxy.folder / "router.py").write_text(WAITS.replace("done", "new"))
    proxy.signal(signal.SIGUSR2)
    crew(proxy, 2, workers)
    assert {proxy.ask(b"x.") for _ in range(10)} == {b"new: x."}


def test_without_workers_usr2_ends_nothing(start: Start) -> None:
    proxy = start(WAITS)
    assert proxy.port
    proxy.signal(signal.SIGUSR2)
    proxy.wait_for_log("there are no workers to replace; see --workers")
    assert proxy.ask(b"x.") == b"done: x."


TWO = """
from twisted.application.service import Application
from proxymux import Router

application = Application("two")
for number in (0, 1):
    service = Router("router.py", listen="tcp:0:interface=127.0.0.1", workers=2, access_log="access.log")
    service.setServiceParent(application)

    @service.events.on("ended")
    def ended(logger, record, number=number):
        with open(f"ended{number}", "a") as file:
            file.write(record.outcome.value + "\\n")

Router("router.py", listen="tcp:0:interface=127.0.0.1", max_connections=1).setServiceParent(application)
"""


def test_a_tac_file_with_two_services_with_workers_and_one_without(tmp_path: Path) -> None:
    (tmp_path / "router.py").write_text(WAITS)
    (tmp_path / "two.tac").write_text(TWO)
    command = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "-oy", "two.tac"]
    with open(tmp_path / "output", "wb") as output:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=subprocess.STDOUT)
    proxy = Twistd(process, tmp_path, tmp_path / "access.log")
    try:
        workers = crew(proxy, 4)
        proxy.wait_for_log(r"(?s)(listens on .*){3}")
        ports = [int(line.split(" listens on 127.0.0.1:")[1].split()[0]) for line in listening(proxy)]
        for port in ports:
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                client.sendall(b"x.")
                assert read_all(client) == b"done: x."
        for number in (0, 1):
            until(partial(has_text, tmp_path / f"ended{number}", "rejected\n"), "the event")
        proxy.signal(signal.SIGUSR2)
        crew(proxy, 4, workers)
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        assert children(process.pid) == []
        assert "Traceback" not in proxy.log()
    finally:
        process.kill()
        process.wait()


def has_text(file: Path, text: str) -> bool:
    """True if a file is there and has this text."""
    return file.exists() and file.read_text() == text


def listening(proxy: Twistd) -> list[str]:
    return [line for line in proxy.log().splitlines() if " listens on " in line]

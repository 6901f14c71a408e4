"""What signals do to a running twistd."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.conftest import until
from tests.system.conftest import Start, Twistd, answers, free_port, read_all

pytestmark = pytest.mark.slow

WAITS = "def proxy(data):\n    return {'close': b'done: ' + data} if data.endswith(b'.') else None\n"


def reject(word: str) -> str:
    return f"def proxy(data):\n    return {{'close': b'{word}'}}\n"


def opened(proxy: Twistd, data: bytes = b"a") -> socket.socket:
    """A client that is known to be in."""
    assert proxy.port
    before = total(proxy)
    client = proxy.connect()
    client.sendall(data)
    until(lambda: total(proxy) > before, "the client to be counted")
    return client


def total(proxy: Twistd) -> int:
    return int(proxy.title().split(" - ")[-1].split()[0].split("/")[2])


def wait_until_it_refuses(proxy: Twistd, port: int) -> None:
    proxy.wait_for_log("stopped accepting")
    until(lambda: not answers(port), "the port to be closed")


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM, signal.SIGINT])
def test_a_signal_with_nobody_connected_ends_it_at_once_and_well(start: Start, number: signal.Signals) -> None:
    proxy = start(WAITS)
    assert proxy.port
    proxy.signal(number)
    assert proxy.wait() == 0


def test_quit_stops_accepting_and_waits_for_every_client(start: Start) -> None:
    proxy = start(WAITS, "--drain-timeout", "0")
    port = proxy.port
    with opened(proxy) as client:
        proxy.signal(signal.SIGQUIT)
        wait_until_it_refuses(proxy, port)
        client.sendall(b"bc.")
        assert read_all(client) == b"done: abc."
    assert proxy.wait() == 0
    assert [record["outcome"] for record in proxy.records(1)] == ["rejected"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_lets_a_client_that_can_finish_finish(start: Start, number: signal.Signals) -> None:
    proxy = start(WAITS, "--drain-timeout", "60")
    port = proxy.port
    with opened(proxy) as client:
        proxy.signal(number)
        wait_until_it_refuses(proxy, port)
        client.sendall(b"bc.")
        assert read_all(client) == b"done: abc."
    assert proxy.wait() == 0


def test_term_closes_what_is_left_after_its_limit(start: Start) -> None:
    proxy = start(WAITS, "--drain-timeout", "0.2")
    with opened(proxy) as client:
        proxy.signal(signal.SIGTERM)
        assert read_all(client) == b""
    assert proxy.wait() == 1
    [record] = proxy.records(1)
    assert record["outcome"] == "drained"


def test_term_and_the_last_clients_end_at_once_leave_no_unix_socket(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "listening" / "socket"
    path.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        router = f"def proxy(data):\n    return {{'remote': '127.0.0.1:{server.getsockname()[1]}'}}\n"
        proxy = start(router, "--listen", f"unix:{path}", listen=False)
        proxy.wait_for_log("listens on unix:")
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(path))
        client.sendall(b"a")
        server.settimeout(30)
        upstream, _ = server.accept()
        assert upstream.recv(1) == b"a"
        proxy.signal(signal.SIGSTOP)
        proxy.signal(signal.SIGTERM)
        client.close()
        upstream.close()
        proxy.signal(signal.SIGCONT)
    assert proxy.wait() == 0
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("relay", ["fd", "transport"])
def test_a_unix_socket_of_a_killed_process_is_replaced(start: Start, tmp_path: Path, relay: str) -> None:
    path = tmp_path / "listening" / "socket"
    path.parent.mkdir()
    options = ["--listen", f"unix:{path}", "--relay", relay]
    killed = start(WAITS, *options, listen=False)
    killed.wait_for_log("listens on unix:")
    refused = start(WAITS, *options, listen=False)
    assert refused.wait() == 1
    assert refused.log() == (
        f"proxymux: --listen: unix:{path}: cannot listen on {path}: Address already in use;"
        " choose an address that is free and that you may use\n"
    )
    killed.signal(signal.SIGKILL)
    killed.wait()
    assert start(WAITS, *options, "--check", listen=False).wait() == 0
    proxy = start(WAITS, *options, listen=False)
    proxy.wait_for_log("listens on unix:")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"a.")
        assert read_all(client) == b"done: a."
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert list(path.parent.iterdir()) == []


def test_a_second_term_ends_it_now(start: Start) -> None:
    proxy = start(WAITS, "--drain-timeout", "3600")
    port = proxy.port
    with opened(proxy):
        proxy.signal(signal.SIGTERM)
        wait_until_it_refuses(proxy, port)
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 1
    assert [record["outcome"] for record in proxy.records(1)] == ["drained"]


def test_term_after_quit_sets_the_limit(start: Start) -> None:
    proxy = start(WAITS, "--drain-timeout", "0.2")
    port = proxy.port
    with opened(proxy) as client:
        proxy.signal(signal.SIGQUIT)
        wait_until_it_refuses(proxy, port)
        proxy.signal(signal.SIGTERM)
        assert read_all(client) == b""
    assert proxy.wait() == 1


def test_hup_takes_the_new_router_and_leaves_clients_with_theirs(start: Start) -> None:
    proxy = start(WAITS)
    with opened(proxy) as old:
        (proxy.folder / "router.py").write_text(reject("new"))
        proxy.signal(signal.SIGHUP)
        proxy.wait_for_log("reloaded router")
        assert proxy.ask(b"x") == b"new"
        old.sendall(b".")
        assert read_all(old) == b"done: a."


def test_hup_tries_the_new_router_in_the_shadow_first_if_there_are_to_be_canaries(start: Start) -> None:
    proxy = start(reject("old"), "--canary", "2", "--canary-differences", "2")
    assert proxy.ask(b"x") == b"old"
    (proxy.folder / "router.py").write_text(reject("newer"))
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log("canary: the new router runs in the shadow for 2 sessions")
    assert [proxy.ask(b"x"), proxy.ask(b"x"), proxy.ask(b"x")] == [b"old", b"old", b"newer"]
    proxy.wait_for_log("canary: router is taken after 2 sessions, of which it decided 2 otherwise")


def test_hup_reads_what_the_router_imports_too_or_nothing_of_it(start: Start, tmp_path: Path) -> None:
    router, words = tmp_path / "router.py", tmp_path / "words.py"
    router.write_text("import words\n\ndef proxy(data):\n    return {'close': words.WORD}\n")
    words.write_text("WORD = b'old'\n")
    proxy = start(router)
    assert proxy.ask(b"x") == b"old"
    words.write_text("WORD = b'new'\n")  # of the same size, and within the second as like as not
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log(r"reloaded router: read \S+/words\.py, \S+/router\.py")
    assert proxy.ask(b"x") == b"new"
    words.write_text("WORD = b'end' +\n")
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log(r"error\] not reloaded, the old one stays: .*/router\.py:1: SyntaxError: .*words\.py, line 1")
    assert proxy.ask(b"x") == b"new"


def test_hup_with_a_broken_router_is_reported_and_keeps_the_old_one(start: Start) -> None:
    proxy = start(reject("old"))
    assert proxy.port
    (proxy.folder / "router.py").write_text("def proxy(data):\n    return (\n")
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log(r"error\] not reloaded.*router\.py:2: ")
    assert proxy.ask(b"x") == b"old"
    assert "Traceback" not in proxy.log()


def test_hup_reads_deny_files_again(start: Start, tmp_path: Path) -> None:
    denied = tmp_path / "denied"
    denied.write_text("10.0.0.0/8  # nobody here\n")
    proxy = start(reject("in"), "--deny-file", str(denied))
    assert proxy.ask(b"x") == b"in"
    denied.write_text("127.0.0.1\n")
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log("reloaded router")
    with proxy.connect() as client:
        assert refused(client)
    denied.write_text("nonsense\n")
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log(r"not reloaded.*line 1: 'nonsense'")
    assert proxy.records(2)[1]["outcome"] == "refused"


def refused(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_usr1_reopens_the_access_log_and_twistds_log(start: Start) -> None:
    proxy = start(reject("in"))
    proxy.ask(b"x")
    proxy.records(1)
    rotated = proxy.access_log.with_suffix(".1")
    os.rename(proxy.access_log, rotated)
    proxy.signal(signal.SIGUSR1)
    until(proxy.access_log.exists, "the new access log")
    proxy.ask(b"y")
    assert len(proxy.records(1)) == 1
    assert len(rotated.read_text().splitlines()) == 1


def test_usr1_reopens_the_file_that_twistd_logs_to(start: Start) -> None:
    proxy = start(reject("in"), twistd=["--logfile", "text.log"])
    log = proxy.folder / "text.log"
    until(lambda: log.exists() and "listens on" in log.read_text(), "the log")
    os.rename(log, log.with_suffix(".1"))
    proxy.signal(signal.SIGUSR1)
    until(log.exists, "the new log")
    proxy.signal(signal.SIGHUP)
    until(lambda: "reloaded" in log.read_text(), "a line in the new log")


def test_the_title_shows_name_version_address_and_counts(start: Start) -> None:
    proxy = start(WAITS)
    port = proxy.port
    title = "proxymux 0.1.0 - router 127.0.0.1:{} - {} cur/max/tot conns"
    until(lambda: proxy.title() == title.format(port, "0/0/0"), "the title")
    with opened(proxy), opened(proxy):
        assert proxy.title() == title.format(port, "2/2/2")
    until(lambda: proxy.title() == title.format(port, "0/2/2"), "both to be gone")


def test_a_daemon_starts_writes_its_pid_and_stops(start: Start, tmp_path: Path) -> None:
    proxy = start(reject("in"), daemon=True)
    assert proxy.wait() == 0, proxy.log()
    pid_file = proxy.folder / "twistd.pid"
    pid = int(pid_file.read_text())
    log = proxy.folder / "twistd.log"
    until(lambda: "listens on" in log.read_text(), "the daemon to listen")
    os.kill(pid, signal.SIGTERM)
    until(lambda: not pid_file.exists(), "the daemon to end")


def test_a_daemon_that_cannot_listen_tells_who_has_started_it(start: Start) -> None:
    twice = f"tcp:{free_port()}:interface=127.0.0.1"
    proxy = start(reject("in"), "--listen", twice, "--listen", twice, daemon=True)
    assert proxy.wait() == 1
    assert "cannot listen on" in proxy.log()  # twistd passes on a hundred bytes
    assert not (proxy.folder / "twistd.pid").exists()

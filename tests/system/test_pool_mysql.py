"""The pool in Proxy mode in front of a MariaDB, with its client and with sysbench."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import until
from tests.system.conftest import Start, Twistd, need, read_all
from tests.system.pools import MariaDb, outcomes, pool, run, together

pytestmark = pytest.mark.slow  # all of it takes long, and each of it is tested in pieces, too

LISTENERS = """
import time

DENIED = {"127.0.0.66"}

def connected(logger, remote):
    if remote.rpartition(":")[0] in DENIED:
        raise PermissionError(f"{remote} is on the deny list")

def request(logger, data, response):
    began = time.monotonic()

    def answered(reply):
        if data[4:5] == b"\\3":
            query = data[5:].decode(errors="replace")
            logger.info("{query!r} took {ms:.1f} ms", query=query, ms=(time.monotonic() - began) * 1000)

    response.addCallback(answered)
"""


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    running = MariaDb(tmp_path_factory.mktemp("mariadb"))
    yield running
    running.stop()


def proxied(start: Start, db: MariaDb, count: int, *arguments: str) -> Twistd:
    return pool(start, db.port, count, "--mode", "proxy", *arguments)


def connections(db: MariaDb) -> int:
    """How many clients MariaDB has now, without the one that asks."""
    return int(db.query(db.port, "SHOW STATUS LIKE 'Threads_connected'").split()[1]) - 1


def test_the_client_logs_in_and_queries(start: Start, db: MariaDb) -> None:
    proxy = proxied(start, db, 2)
    assert db.query(proxy.port, "SELECT USER(), 6 * 7; SHOW DATABASES LIKE 'shop'") == "app@127.0.0.1\t42\nshop\n"
    assert outcomes(proxy, 1) == {"completed"}


def test_a_wrong_password_is_told(start: Start, db: MariaDb) -> None:
    proxy = proxied(start, db, 2)
    command = db.client(proxy.port, "--password=wrong", "--execute", "SELECT 1")
    done = subprocess.run([need(command[0]), *command[1:]], capture_output=True, text=True)
    assert "Access denied for user 'app'" in done.stderr


def test_a_session_is_its_clients_alone(start: Start, db: MariaDb) -> None:
    proxy = proxied(start, db, 4)
    text = (
        "SET @mine = {n}; CREATE TEMPORARY TABLE mine (a INT); INSERT INTO mine VALUES ({n});"
        " START TRANSACTION; SELECT SLEEP(0.2); SELECT @mine + a, COUNT(*) FROM mine; COMMIT"
    )
    commands = [
        db.client(proxy.port, "--batch", "--skip-column-names", "--execute", text.format(n=number))
        for number in range(4)
    ]
    assert [out.split() for out in together(commands)] == [["0", str(2 * number), "1"] for number in range(4)]


def test_more_clients_than_slots_wait_for_their_turn(start: Start, db: MariaDb) -> None:
    proxy = proxied(start, db, 3)
    # The server takes a moment to notice that a client has gone.
    at_work = "information_schema.processlist WHERE user = 'app' AND command = 'Query'"
    most = f"SELECT 'of', SLEEP(0.05), COUNT(*) FROM {at_work}"
    commands = [
        db.client(proxy.port, "--batch", "--skip-column-names", "--execute", f"SELECT {number}; {most}")
        for number in range(24)
    ]
    out = [text.split() for text in together(commands)]
    assert [words[0] for words in out] == [str(number) for number in range(24)]
    assert max(int(words[3]) for words in out) <= 3
    assert outcomes(proxy, 24) == {"completed"}
    until(lambda: connections(db) == 0, "MariaDB to have no clients")


def test_who_waits_too_long_is_closed(start: Start, db: MariaDb) -> None:
    proxy = proxied(start, db, 1, "--queue-timeout", "0.3")
    command = db.client(proxy.port, "--execute", "SELECT SLEEP(3)")
    with subprocess.Popen(
        [need(command[0]), *command[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as holder:
        until(lambda: connections(db) == 1, "the holder to be in")
        command = db.client(proxy.port, "--execute", "SELECT 1")
        done = subprocess.run([need(command[0]), *command[1:]], capture_output=True, text=True)
        assert "ost connection to server" in done.stderr
        assert outcomes(proxy, 1) == {"queue_timeout"}
        holder.kill()
    # MariaDB learns that the killed client has left when its query is over; its slot is free from then on.
    until(lambda: connections(db) == 0, "the query to be over")
    assert db.query(proxy.port, "SELECT 'next'") == "next\n"


def test_results_of_many_megabytes_are_whole(start: Start, db: MariaDb) -> None:
    proxy = proxied(start, db, 2)
    query = "SELECT REPEAT('0123456789abcdef', 65536) FROM seq_1_to_16"
    out = db.query(proxy.port, query)
    assert out == ("0123456789abcdef" * 65536 + "\n") * 16


@pytest.mark.parametrize("threads", [4, 16])
def test_sysbench_runs_with_every_slot_in_use(start: Start, db: MariaDb, threads: int) -> None:
    proxy = proxied(start, db, threads)
    table = ["--table-size=1000", "--tables=1"]
    run(*db.sysbench(db.port, "oltp_read_write", *table, "prepare"))
    try:
        out = run(
            *db.sysbench(
                proxy.port, "oltp_read_write", *table, f"--threads={threads}", "--events=200", "--time=0", "run"
            )
        )
    finally:
        run(*db.sysbench(db.port, "oltp_read_write", *table, "cleanup"))
    found = re.search(r"transactions: +(\d+)", out)
    assert found is not None
    assert int(found[1]) == 200
    assert outcomes(proxy, threads) == {"completed"}


def test_listeners_log_queries_and_their_times_and_refuse_an_address(start: Start, db: MariaDb, tmp_path: Path) -> None:
    listeners = tmp_path / "watch.py"
    listeners.write_text(LISTENERS)
    proxy = proxied(start, db, 2, "--listeners", str(listeners))
    assert db.query(proxy.port, "SHOW TABLES; SELECT SLEEP(0.3);") == "0\n"
    found = proxy.wait_for_log(r"'SELECT SLEEP\(0\.3\)' took ([\d.]+) ms")
    assert float(found[1]) >= 300
    proxy.wait_for_log(r"'SHOW TABLES' took [\d.]+ ms")
    with socket.create_connection(("127.0.0.1", proxy.port), 30, ("127.0.0.66", 0)) as client:
        assert read_all(client) == b""  # a greeting would come first
    [denied] = [record for record in proxy.records(2) if record["outcome"] == "refused"]
    assert denied["client"].startswith("127.0.0.66:")
    assert "deny list" in denied["reason"]


def test_a_large_result_reaches_a_listener_and_the_client_whole(start: Start, db: MariaDb, tmp_path: Path) -> None:
    listeners = tmp_path / "watch.py"
    listeners.write_text(
        "def request(logger, data, response):\n"
        "    response.addCallback(lambda reply: logger.info('{n} bytes', n=len(reply)))\n"
    )
    proxy = proxied(start, db, 2, "--listeners", str(listeners), "--raw-gap", "200")
    assert len(db.query(proxy.port, "SELECT REPEAT('x', 4000000)")) == 4_000_001
    proxy.wait_for_log(r" 4000\d\d\d bytes")

"""docs/examples/async_database.py with curl and sqlite3."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxymux import Forward, Reject
from proxymux.router.loading import Router, load
from proxymux.testing import decide_later, every_split
from tests.examples.conftest import Example, Serve, check, curl, page
from tests.services.peers import in_reactor
from tests.system.conftest import Start, Twistd

DATABASE = "upstreams.db"


def request(host: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def execute(database: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def insert(host: str, remote: str) -> str:
    return f"INSERT INTO upstreams VALUES ('{host}', '{remote}')"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / DATABASE
    execute(path, "CREATE TABLE upstreams (host PRIMARY KEY, remote)", insert("x.example", "127.0.0.1:81"))
    return path


@pytest.fixture
def path(example: Example, database: Path) -> Path:
    return example("async_database.py", {f"file:{DATABASE}": f"file:{database}"})


@pytest.fixture
def router(path: Path) -> Iterator[Router]:
    yield load(str(path))
    sys.modules["proxymux_router_async_database"].pool.close()


def status(decision: Any) -> bytes:
    assert isinstance(decision, Reject)
    return decision.last_word.partition(b"\r\n")[0]


@in_reactor
async def test_the_database_decides_however_the_request_comes(router: Router) -> None:
    for chunks in every_split(request("X.example")):
        assert await decide_later(router, *chunks) == Forward("127.0.0.1:81")


@in_reactor
async def test_what_it_does_not_know(router: Router) -> None:
    assert status(await decide_later(router, request("'or'1'='1"))) == b"HTTP/1.1 404 Not Found"
    assert status(await decide_later(router, b"SSH-2.0-x\r\n")) == b"HTTP/1.1 400 Bad Request"


@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE upstreams", "UPDATE upstreams SET remote = 'no address'", "UPDATE upstreams SET remote = 7"],
)
@in_reactor
async def test_a_database_that_is_broken(router: Router, database: Path, statement: str) -> None:
    execute(database, statement)
    assert status(await decide_later(router, request("x.example"))) == b"HTTP/1.1 503 Service Unavailable"


def test_check_waits_for_the_database(path: Path) -> None:
    checked = check(path, request("x.example"), request("y.example"))
    assert checked.stdout.count("split-invariant: all") == 2, checked.stdout + checked.stderr
    assert checked.returncode == 0


def ask(proxy: Twistd, host: str) -> str:
    """The page and the HTTP status."""
    url = f"http://127.0.0.1:{proxy.port}/"
    got = curl("--header", f"Host: {host}", "--write-out", "%{http_code}", url)
    assert got.returncode == 0, got.stderr
    return got.stdout


def test_curl_reaches_what_the_database_names(start: Start, path: Path, database: Path, serve: Serve) -> None:
    execute(database, insert("a.example", f"127.0.0.1:{serve(page('a'))}"))
    proxy = start(path)
    assert ask(proxy, "a.example") == "a for a.example\n200"
    assert ask(proxy, "b.example") == "404"
    execute(database, insert("b.example", f"127.0.0.1:{serve(page('b'))}"))
    assert ask(proxy, "b.example") == "b for b.example\n200"
    assert [record["outcome"] for record in proxy.records(3)] == ["completed", "rejected", "completed"]


def test_curl_hears_of_a_database_that_is_away(start: Start, path: Path, database: Path) -> None:
    database.unlink()
    proxy = start(path)
    assert ask(proxy, "x.example") == "503"
    assert proxy.records(1)[0]["outcome"] == "rejected"
    proxy.wait_for_log("unable to open database file")

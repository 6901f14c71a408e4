"""Health checks of real servers, with either driver; and what the servers make of them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger

from proxymux.core.check_talk.postgres import PostgresTalk
from proxymux.net.driver import Driver, make_driver
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.settings import Settings
from tests.conftest import until
from tests.discovery.checking import Checking
from tests.services.certificates import Credentials
from tests.services.fixtures import LOOPBACK, RELAYS
from tests.services.peers import in_reactor
from tests.services.peers import until as turning_until
from tests.system.conftest import Server, free_port, need
from tests.system.pools import MariaDb, memcached, redis

pytestmark = pytest.mark.slow


@pytest.fixture(params=RELAYS)
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """A driver on the real clock."""
    from twisted.internet import reactor

    settings = Settings.read({"listen": LOOPBACK, "relay": request.param})
    driver = make_driver(cast("Reactor", reactor), settings, Logger("proxymux"))
    driver.start()
    yield driver
    pytest_twisted.blockon(ensureDeferred(turning_until(lambda: not len(driver.lingering), "all to be closed")))
    driver.stop()


async def verdict(driver: Driver, port: int, options: str) -> str | None:
    return await Checking(driver, f"127.0.0.1:{port}", f"timeout=10;{options}").start().verdict()


def held(port: int, count: int) -> list[socket.socket]:
    """So many clients of a server that do nothing."""
    return [socket.create_connection(("127.0.0.1", port), 10) for _ in range(count)]


def admitted(port: int) -> socket.socket | None:
    """A client of PostgreSQL that it asks for a password; None if there are too many already."""
    [client] = held(port, 1)
    client.sendall(PostgresTalk().begin().send)
    if client.recv(100)[:1] == b"R":
        return client
    client.close()
    return None


@in_reactor
async def test_redis(driver: Driver, server: Server, tmp_path: Path) -> None:
    port = redis(server, tmp_path)
    assert await verdict(driver, port, "health=resp") is None
    assert await verdict(driver, port, "health=tcp") is None
    assert await verdict(driver, port, r"health=send;send=PING\r\n;expect=+PONG") is None
    secured = redis(server, tmp_path, "--requirepass", "secret")
    assert await verdict(driver, secured, "health=resp") is None
    stale = ["--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no"]
    problem = await verdict(driver, redis(server, tmp_path, *stale), "health=resp")
    assert problem is not None
    assert "-MASTERDOWN Link with MASTER is down" in problem
    full = redis(server, tmp_path, "--maxclients", "1")
    with until(lambda: redis_client(full), "room in Redis"):
        assert await verdict(driver, full, "health=resp") == "answered '-ERR max number of clients reached'"


def redis_client(port: int) -> socket.socket | None:
    """A client that is in, or None if there was no room."""
    client = socket.create_connection(("127.0.0.1", port), 10)
    client.sendall(b"PING\r\n")
    if client.recv(5) == b"+PONG":
        return client
    client.close()
    return None


@in_reactor
async def test_memcached(driver: Driver, server: Server, tmp_path: Path) -> None:
    assert await verdict(driver, memcached(server), "health=memcache") is None
    (tmp_path / "users").write_text("user:password\n")
    secured = memcached(server, "-Y", str(tmp_path / "users"))
    assert await verdict(driver, secured, "health=memcache") is None


NGINX = """
    daemon off;
    error_log stderr info;
    pid {folder}/pid;
    events {{ }}
    http {{
        access_log {folder}/access;
        client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
        uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
        server {{
            listen 127.0.0.1:{port};
            listen 127.0.0.1:{tls_port} ssl;
            ssl_certificate {pem}; ssl_certificate_key {pem};
            server_name upstream.example;
            location /up {{ return 200 "all is ready\\n"; }}
            location /down {{ return 503; }}
            location /large {{ root {folder}; }}
        }}
    }}
"""


@pytest.mark.usefixtures("trust")
@in_reactor
async def test_nginx(
    driver: Driver, server: Server, tmp_path: Path, public_folder: Path, upstreams_own: Credentials
) -> None:
    port, tls_port = free_port(), free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(
        textwrap.dedent(NGINX).format(folder=public_folder, port=port, tls_port=tls_port, pem=upstreams_own.file)
    )
    (public_folder / "large").write_bytes(b"x" * 3_000_000)
    server(need("nginx"), "-c", str(config), port=port)
    assert await verdict(driver, port, "health=http:/up;expect=ready") is None
    assert await verdict(driver, port, "health=http:/up;expect=steady") == (
        "the answer does not have the expected text in it"
    )
    assert await verdict(driver, port, "health=http:/down") == "answered with the status 503"
    assert await verdict(driver, port, "health=http:/down;status=503") is None
    assert await verdict(driver, port, "health=http:/large") is None  # far more than is read
    for options in ("health=http:/up", "health=tls", "health=tcp"):
        assert await verdict(driver, tls_port, f"{options};tls=upstream.example") is None
    assert await verdict(driver, tls_port, "health=tls") is None
    assert await verdict(driver, port, "health=tls") == "TLS: what the peer sends is not TLS"
    [log] = tmp_path.glob("server*.log")
    assert b"[error]" not in log.read_bytes()


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    running = MariaDb(tmp_path_factory.mktemp("mariadb"))
    yield running
    running.stop()


@in_reactor
async def test_mariadb_has_a_login_that_is_refused_and_no_connection_without_one(driver: Driver, db: MariaDb) -> None:
    # Of the latter it counts each, and blocks an address for too many: all that come through the proxy.
    before = len(db.log.read_text(errors="replace"))
    assert await verdict(driver, db.port, "health=mysql") is None
    log = until(lambda: db.log.read_text(errors="replace")[before:], "a line in MariaDB's log")
    assert "Access denied for user 'proxymux'" in log
    assert "without authentication" not in log


@in_reactor
async def test_mariadb_logs_nothing_where_there_is_a_user_for_checks(driver: Driver, db: MariaDb) -> None:
    db.query(db.port, "CREATE USER 'proxymux'@'%'")
    try:
        aborted = db.query(db.port, "SHOW GLOBAL STATUS LIKE 'Aborted%'")
        before = len(db.log.read_text(errors="replace"))
        for _ in range(5):
            assert await verdict(driver, db.port, "health=mysql") is None
        gone = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'proxymux'"
        until(lambda: db.query(db.port, gone) == "0\n", "the checks to be gone")
        assert db.query(db.port, "SHOW GLOBAL STATUS LIKE 'Aborted%'") == aborted
        assert db.log.read_text(errors="replace")[before:] == ""
    finally:
        db.query(db.port, "DROP USER 'proxymux'@'%'")


@in_reactor
async def test_a_mariadb_that_is_full_is_not_well(driver: Driver, db: MariaDb) -> None:
    db.query(db.port, "SET GLOBAL max_connections = 10")
    clients = held(db.port, 11)  # one more than that, for an administrator
    try:
        assert await verdict(driver, db.port, "health=mysql") == "answered with the error 1040, 'Too many connections'"
    finally:
        for client in clients:
            client.close()
        until(lambda: can_query(db), "room in MariaDB")
        db.query(db.port, "SET GLOBAL max_connections = 200")


def can_query(db: MariaDb) -> bool:
    try:
        return db.query(db.port, "SELECT 1") == "1\n"
    except AssertionError:
        return False


class Postgres:
    """A PostgreSQL on a data directory of its own, which asks for passwords.

    :param folder: every user can enter it.
    """

    def __init__(self, folder: Path, pem: Path) -> None:
        self.port = free_port()
        self.log = folder / "log"
        self._folder = folder
        self._data = folder / "data"
        self._user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        (folder / "password").write_text("only for tests\n")
        if self._user:
            shutil.chown(folder, **self._user)
        how = ["-D", str(self._data), "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}"]
        self._run("initdb", *how).wait()
        for name in ("server.key", "server.crt"):
            place = self._data / name
            place.write_bytes(pem.read_bytes())
            place.chmod(0o600)
            if self._user:
                shutil.chown(place, **self._user)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start it; it is ready when it says so."""
        self.log.write_text("")
        place = ["-D", str(self._data), "-p", str(self.port), "-k", str(self._folder), "-h", "127.0.0.1"]
        settings = [word for option in ("ssl=on", *options) for word in ("-c", option)]
        return self._run("postgres", *place, *settings)

    def is_ready(self) -> bool:
        return "ready to accept connections" in self.log.read_text()

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
        path = str(installed[-1]) if installed else need(program)
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                [path, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                **self._user,
            )


@in_reactor
async def test_postgresql(driver: Driver, public_folder: Path, upstreams_own: Credentials) -> None:
    postgres = Postgres(public_folder, upstreams_own.file)
    process = postgres.start("max_connections=20", "superuser_reserved_connections=0", "max_wal_senders=0")
    clients: list[socket.socket] = []
    try:
        until(postgres.is_ready, "PostgreSQL to be ready")
        before = postgres.log.read_text()
        for _ in range(5):
            assert await verdict(driver, postgres.port, "health=postgres") is None
            assert await verdict(driver, postgres.port, "health=tcp") is None
        assert postgres.log.read_text() == before
        for _ in range(20):  # the servers of the checks may take a moment to end
            clients.append(until(lambda: admitted(postgres.port), "a place"))
        problem = await verdict(driver, postgres.port, "health=postgres")
        assert problem == "answered with the error '53300', 'sorry, too many clients already'"
    finally:
        for client in clients:
            client.close()
        process.terminate()
        process.wait()

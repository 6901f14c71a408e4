"""docs/examples/pool: each run by its own command, with the server and the client that it is for."""

from __future__ import annotations

import contextlib
import json
import re
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.codecs.resp.commands import OWN, SPECIAL
from proxymux.errors import BadMessage
from proxymux.pool.loading import load_codec
from proxymux.pool.settings import PoolSettings
from proxymux.settings import Settings
from tests.conftest import until
from tests.core.codecs.checks import Said, check_replies, check_requests, quick
from tests.docs.making import script
from tests.examples.conftest import EXAMPLES, POOL_EXAMPLES, Begin, Serve, curl, run
from tests.system.conftest import Server, Twistd, need
from tests.system.pools import MariaDb, redis

HERE = POOL_EXAMPLES
ALL = sorted(path.name for path in HERE.iterdir() if path.is_file())


@pytest.mark.parametrize("name", ALL)
def test_it_is_in_the_list_and_in_the_docs(name: str) -> None:
    assert f"`pool/{name} <pool/{name}>`_" in (EXAMPLES / "README.rst").read_text()
    assert any(name in (EXAMPLES.parent / page).read_text() for page in ("pool.rst", "request-routing.rst"))


# MariaDB


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    running = MariaDb(tmp_path_factory.mktemp("mariadb"))
    yield running
    running.stop()


def test_mariadb_queries_are_logged_with_their_times(begin: Begin, db: MariaDb) -> None:
    proxy = begin("mariadb_watch.py", {"3306": str(db.port), "3307": "0"})
    assert db.query(proxy.port, "SHOW TABLES; SELECT SLEEP(0.3), 'and this'") == "0\tand this\n"
    found = proxy.wait_for_log(r"\"SELECT SLEEP\(0\.3\), 'and this'\" took ([\d.]+) ms, \d+ bytes")
    assert float(found[1]) >= 300
    proxy.wait_for_log(r"'SHOW TABLES' took [\d.]+ ms")
    assert db.password not in proxy.log()


def test_mariadb_refuses_who_is_on_the_list(begin: Begin, db: MariaDb) -> None:
    proxy = begin("mariadb_watch.py", {"3306": str(db.port), "3307": "0", "123.123.123.123": "127.0.0.1"})
    done = run(need("mariadb"), *db.client(proxy.port, "--execute", "SELECT 1")[1:])
    assert "ost connection to server" in done.stderr
    proxy.wait_for_log("127.0.0.1 is on the deny list")


# OpenSearch


class Search(BaseHTTPRequestHandler):
    """As much of OpenSearch as can be asked here."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(100):
            text = json.dumps({"index": number, "port": self.client_address[1]}).encode() + b"\n"
            self.wfile.write(b"%x\r\n%b\r\n" % (len(text), text))
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        text = json.dumps({"items": body.count(b"\n"), "size": len(body)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        threading.Event().wait(0.2 if self.path == "/_bulk" else 0)
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


@pytest.fixture
def search() -> Iterator[int]:
    class Threads(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    with Threads(("127.0.0.1", 0), Search) as served:
        thread = threading.Thread(target=served.serve_forever, args=(0.02,))
        thread.start()
        yield int(served.server_address[1])
        served.shutdown()
        thread.join()


def test_opensearch_is_asked_through_four_connections(begin: Begin, search: int, tmp_path: Path) -> None:
    proxy = begin("opensearch.tac", {"9200": str(search), "9201": "0"})
    indices = f"http://127.0.0.1:{proxy.port}/_cat/indices"
    got = curl("--parallel", "--parallel-max", "20", *[indices] * 40)
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    assert len(lines) == 4000
    assert len({line["port"] for line in lines}) <= 4
    bulk = tmp_path / "bulk.ndjson"
    bulk.write_text('{"index": {}}\n' * 200_000)
    got = curl("--data-binary", f"@{bulk}", f"http://127.0.0.1:{proxy.port}/_bulk")
    assert json.loads(got.stdout) == {"items": 200_000, "size": bulk.stat().st_size}
    found = proxy.wait_for_log(r"POST /_bulk HTTP/1.1 took (\d+\.\d) s")
    assert float(found[1]) >= 0.2


# Redis


def test_redis_is_shared_as_the_environment_says(begin: Begin, server: Server, tmp_path: Path) -> None:
    proxy = begin("redis.env", {"6379": str(redis(server, tmp_path)), "LOCAL_PORT=6380": "LOCAL_PORT=0"})
    port = str(proxy.port)
    proxy.wait_for_log(r"pool \(funnel\)")
    assert run(need("redis-cli"), "-p", port, "SET", "k", "v").stdout == "OK\n"
    done = run(need("redis-benchmark"), "-p", port, "-q", "-t", "set,get", "-n", "2000")
    assert (done.returncode, done.stderr) == (0, "")
    clients = run(need("redis-cli"), "-p", port, "INFO", "clients").stdout
    found = re.search(r"connected_clients:(\d+)", clients)
    assert found is not None
    assert int(found[1]) <= 4


def test_redis_is_sharded_by_the_prefix_of_the_key(begin: Begin, server: Server, tmp_path: Path) -> None:
    ports = {name: str(redis(server, tmp_path)) for name in ("16379", "26379", "127.0.0.1:6379")}
    edits = {name: port if name.isdigit() else f"127.0.0.1:{port}" for name, port in ports.items()}
    port = str(begin("shards.py", {**edits, "tcp:6380": "tcp:0:interface=127.0.0.1"}).port)
    cli = need("redis-cli")
    assert run(cli, "-p", port, "mset", "user:1", "ann", "session:1", "x", "other", "3").stdout == "OK\n"
    assert run(cli, "-p", port, "mget", "session:1", "other", "user:1").stdout == "x\n3\nann\n"
    for name, key in (("16379", "user:1"), ("26379", "session:1"), ("127.0.0.1:6379", "other")):
        assert run(cli, "-p", ports[name], "keys", "*").stdout == f"{key}\n"


# A codec of one's own


class NetStrings(socketserver.StreamRequestHandler):
    """Answers each netstring with itself backwards."""

    def handle(self) -> None:
        while size := self._size():
            text = self.rfile.read(int(size) + 1)[:-1]
            self.wfile.write(b"%d:%b," % (len(text), text[::-1]))

    def _size(self) -> bytes:
        size = b""
        while (digit := self.rfile.read(1)) and digit != b":":
            size += digit
        return size


@pytest.fixture(scope="module")
def codec() -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).syspath_prepend(str(HERE))
        yield load_codec("netstring:NetString")
        sys.modules.pop("netstring", None)


def test_netstrings_are_found_however_they_are_cut(codec: Any) -> None:
    texts = [b"5:hello,", b"0:,", b"12:12345:,,\r\n6:,"]
    check_requests(codec, *map(Said, texts), tail=b"3:a")
    check_replies(codec, [None] * 4, *texts, tail=b"1")


@pytest.mark.parametrize("bad", [b"x", b":,", b"3:abcd", b"1000001:", b"-1:,", "٣:abc,".encode()])
def test_what_is_no_netstring_is_told_of_with_what_was_before_it(codec: Any, bad: bytes) -> None:
    with pytest.raises(BadMessage, match="netstring") as caught:
        codec.requests().feed(b"2:ab," + bad)
    assert [request.end for request in caught.value.finished] == [5]


def test_a_reply_too_many_is_told_of(codec: Any) -> None:
    replies = codec.replies()
    replies.expect(None)
    with pytest.raises(BadMessage, match="nothing was sent for") as caught:
        replies.feed(b"2:ab,2:cd,")
    assert caught.value.finished == [5]


@given(st.binary(max_size=40))
@quick
def test_random_bytes_never_break_it(codec: Any, data: bytes) -> None:
    with contextlib.suppress(BadMessage):
        codec.requests().feed(data)


def test_netstrings_pass_through_a_pool(begin: Begin, serve: Serve) -> None:
    proxy = begin("netstring.py", {"tcp:7001": "tcp:0", "127.0.0.1:7000": f"127.0.0.1:{serve(NetStrings)}"})
    for number in range(20):
        assert proxy.ask(b"5:hello,0:,%d:%b," % (len(str(number)), str(number).encode())) == (
            b"5:olleh,0:,%d:%b," % (len(str(number)), str(number)[::-1].encode())
        )
    assert proxy.ask(b"2:ab,nonsense") == b"2:ba,"


def test_a_netstring_server_that_is_away_is_told_of(begin: Begin) -> None:
    proxy = begin("netstring.py", {"tcp:7001": "tcp:0", "127.0.0.1:7000": "127.0.0.1:1"})
    until(lambda: b"no target can be connected to" in proxy.ask(b"5:hello,"), "an answer")


# The page


def test_every_option_and_variable_is_in_the_docs() -> None:
    text = script("option_tables").expand((EXAMPLES.parent / "pool.rst").read_text())
    own = [each.option for each in PoolSettings.fields() if each.is_option and not hasattr(Settings, each.name)]
    assert len(own) > 10
    assert [option for option in own if f"``{option}" not in text] == []
    source = (EXAMPLES.parents[1] / "proxymux" / "pool" / "ancestor.py").read_text()
    variables = set(re.findall(r'"([A-Z]+_[A-Z_0-9]+)"', source)) | {"TARGET_HOST_n", "TARGET_PORT_n"}
    assert len(variables) > 8
    assert [name for name in sorted(variables) if name not in text] == []


def test_the_docs_name_every_command_of_redis_that_pins() -> None:
    text = (EXAMPLES.parent / "pool.rst").read_text()
    # Those that wait, and those that undo a subscription, are not named one by one.
    general = re.compile(rb"B[LRZ]|[PS]?UNSUBSCRIBE")
    pins = [name.decode() for name, rule in SPECIAL.items() if rule == OWN and not general.match(name)]
    assert [name for name in pins if f"``{name}``" not in text] == []


def test_the_readmes_pool_serves(begin_command: Callable[[str], Twistd], server: Server, tmp_path: Path) -> None:
    readme = (EXAMPLES.parents[1] / "README.rst").read_text()
    found = re.search(r"^    (twistd -n --pidfile= proxymux-pool --listen .*\\\n.*)$", readme, re.MULTILINE)
    assert found is not None
    port = str(redis(server, tmp_path))
    proxy = begin_command(found[1].replace("6379", port).replace("tcp:6380", "tcp:0:interface=127.0.0.1"))
    assert run(need("redis-cli"), "-p", str(proxy.port), "PING").stdout == "PONG\n"

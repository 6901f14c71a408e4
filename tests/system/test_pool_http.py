"""The pool with codec http: nginx behind, curl and wrk in front."""

from __future__ import annotations

import contextlib
import hashlib
import re
import signal
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import until
from tests.services.certificates import Authority
from tests.system.conftest import Server, Start, Twistd, free_port, need, read_all
from tests.system.pools import outcomes, pool, run

pytestmark = pytest.mark.slow  # all of it takes long, and each of it is tested in pieces, too

LARGE = bytes(range(256)) * 40_960


@pytest.fixture
def upstream(server: Server, tmp_path: Path) -> int:
    """An nginx that takes uploads, sends files, and says how many connections it has had."""
    port = free_port()
    root = tmp_path / "www"
    root.mkdir()
    (root / "large").write_bytes(LARGE)
    (root / "page.html").write_text("<!--#echo var='REQUEST_URI' --> included\n" * 200)
    (tmp_path / "nginx.conf").write_text(
        f"""
        daemon off; master_process off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;
        worker_rlimit_nofile 4096;
        events {{ worker_connections 2048; }}
        http {{
            access_log off; client_body_temp_path {tmp_path}/t1; proxy_temp_path {tmp_path}/t2;
            fastcgi_temp_path {tmp_path}/t3; uwsgi_temp_path {tmp_path}/t4; scgi_temp_path {tmp_path}/t5;
            client_max_body_size 50m; keepalive_requests 1000000; client_body_in_file_only off;
            server {{
                listen 127.0.0.1:{port}; root {root};
                location /echo {{ return 200 "$request_uri of $http_x_who"; }}
                location /chunked {{ ssi on; ssi_types *; try_files /page.html =404; }}
                location /upload/ {{ dav_methods PUT; create_full_put_path on; alias {root}/upload/; }}
                location /post {{ proxy_pass http://127.0.0.1:{port}/taken; }}
                location /taken {{ return 200 "$content_length $connection_requests"; }}
                location /connection {{ return 200 "$connection"; }}
                location /empty {{ return 204; }}
                location /moved {{ return 302 /echo; }}
            }}
        }}
        """
    )
    server(need("nginx"), "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), port=port)
    return port


@pytest.fixture(params=["1", "3"])
def proxy(start: Start, upstream: int, request: pytest.FixtureRequest) -> Twistd:
    """A pool in FIFO mode, and one in Funnel mode."""
    return pool(start, upstream, int(request.param), "--codec", "http")


def curl(*arguments: str) -> str:
    return run("curl", "-q", "--silent", "--show-error", "--max-time", "60", *arguments)


def url(proxy: Twistd, path: str) -> str:
    return f"http://127.0.0.1:{proxy.port}{path}"


def test_curl_keeps_one_connection_for_many_requests(proxy: Twistd) -> None:
    urls = [url(proxy, f"/echo/{number}") for number in range(50)]
    out = curl("-H", "X-Who: curl", "--write-out", " %{num_connects}\n", *urls)
    assert out.splitlines() == [f"/echo/{number} of curl {0 if number else 1}" for number in range(50)]
    assert outcomes(proxy, 1) == {"completed"}


def test_head_has_a_length_and_no_body(proxy: Twistd) -> None:
    out = curl("--head", url(proxy, "/large"), "--next", "--silent", url(proxy, "/echo"))
    assert f"Content-Length: {len(LARGE)}" in out
    assert out.endswith("\r\n\r\n/echo of ")


def test_replies_without_a_body_are_whole(proxy: Twistd) -> None:
    paths = ["/empty", "/echo/1", "/moved", "/echo/2", "/no-such-page"]
    out = curl(
        "--output", "/dev/null", "--write-out", "%{http_code} %{num_connects}\n",
        *(word for path in paths for word in ("--output", "/dev/null", url(proxy, path))),
    )  # fmt: skip
    assert [line.split()[0] for line in out.splitlines()] == ["204", "200", "302", "200", "404"]
    assert [line.split()[1] for line in out.splitlines()] == ["1", "0", "0", "0", "0"]


def test_chunked_replies_are_whole(proxy: Twistd) -> None:
    out = curl("--include", url(proxy, "/chunked"), url(proxy, "/chunked"))
    assert out.count("Transfer-Encoding: chunked") == 2
    assert out.count("/chunked included\n") == 400


def test_ten_megabytes_come_back_as_they_are(proxy: Twistd, tmp_path: Path) -> None:
    names = [tmp_path / f"got{number}" for number in range(3)]
    curl(*(word for name in names for word in ("--output", str(name), url(proxy, "/large"))))
    assert {hashlib.sha256(name.read_bytes()).digest() for name in names} == {hashlib.sha256(LARGE).digest()}


@pytest.mark.parametrize("how", ["length", "chunked"])
@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"])
def test_ten_megabytes_are_taken(proxy: Twistd, tmp_path: Path, how: str, expect: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(LARGE)
    chunked = ["-H", "Transfer-Encoding: chunked"] if how == "chunked" else []
    target = url(proxy, f"/upload/{how}")
    # Were 100 Continue not said, curl would wait for a minute and be ended.
    wait = ["--expect100-timeout", "60"]
    code = curl("--upload-file", str(source), "-H", expect, *chunked, *wait, "--write-out", "%{http_code}", target)
    assert code == "201"
    assert (tmp_path / "www" / "upload" / how).read_bytes() == LARGE


def test_curl_posts_ten_megabytes(proxy: Twistd, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(LARGE)
    posted = ["--data-binary", f"@{source}", "--expect100-timeout", "60"]
    assert curl(*posted, url(proxy, "/post")).split()[0] == str(len(LARGE))


@pytest.mark.slow
def test_wrk_gets_nothing_but_good_replies(proxy: Twistd, upstream: int) -> None:
    out = run("wrk", "-t1", "-c50", "-d1s", url(proxy, "/echo"))
    assert "Non-2xx" not in out
    assert "Socket errors" not in out
    found = re.search(r"(\d+) requests in", out)
    assert found is not None
    assert int(found[1]) > 100
    # Each upstream is one connection of nginx's for all that time.
    first, last = (int(curl(f"http://127.0.0.1:{upstream}/connection")) for _ in range(2))
    assert last - first == 1
    assert first < 20


def test_connection_close_is_kept_to(proxy: Twistd) -> None:
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as client:
            client.sendall(
                b"GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\nGET /echo/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            answer = read_all(client)
        assert re.findall(rb"/echo/\w", answer) == [b"/echo/a", b"/echo/b"]
    assert outcomes(proxy, 5) == {"completed"}


def test_a_pipeline_of_requests_is_answered_in_order(proxy: Twistd) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as client:
        client.sendall(b"".join(b"GET /echo/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(500)))
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client)
    assert [int(number) for number in re.findall(rb"/echo/(\d+)", answer)] == list(range(500))


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    ],
)
def test_what_could_be_framed_in_two_ways_is_answered_400(proxy: Twistd, request_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as client:
        client.sendall(request_ + b"GET /echo/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"smuggled" not in answer
    assert outcomes(proxy, 1) == {"protocol_error"}


def test_an_upstream_that_is_away_is_a_503(start: Start) -> None:
    proxy = pool(start, free_port(), 2, "--codec", "http")
    out = curl("--write-out", "%{http_code}", url(proxy, "/"))
    assert out.endswith("503")
    until(lambda: outcomes(proxy, 1) == {"unreachable"}, "the outcome")


class Upgrades(socketserver.BaseRequestHandler):
    """Changes to an echo if it is asked to."""

    def handle(self) -> None:
        while b"Upgrade: echo" not in (head := self._head()):
            if not head:
                return
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        self.request.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        while data := self.request.recv(4096):
            self.request.sendall(data)

    def _head(self) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.request.recv(4096)
            if not data:
                return b""
            head += data
        return head


@contextlib.contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """Serve connections in threads; the port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as served:
        served.daemon_threads = True
        thread = threading.Thread(target=served.serve_forever, args=(0.02,))
        thread.start()
        yield int(served.server_address[1])
        served.shutdown()
        thread.join()


@pytest.fixture
def upgrades() -> Iterator[int]:
    with serving(Upgrades) as port:
        yield port


UPGRADE = b"GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


def test_an_upgraded_connection_is_its_clients_alone(start: Start, upgrades: int) -> None:
    proxy = pool(start, upgrades, 2, "--codec", "http")
    with proxy.connect() as client:
        client.sendall(UPGRADE)
        head = client.recv(4096)
        assert head.startswith(b"HTTP/1.1 101 ")
        for number in range(20):
            client.sendall(b"GET / HTTP/1.1\r\n%d" % number)
            until_read(client, b"GET / HTTP/1.1\r\n%d" % number)
            assert curl(url(proxy, "/")) == "ok"
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""
    assert outcomes(proxy, 21) == {"completed"}


def until_read(client: socket.socket, expected: bytes) -> None:
    found = b""
    while len(found) < len(expected):
        found += client.recv(4096)
    assert found == expected


def test_fifo_refuses_an_upgrade(start: Start, upgrades: int) -> None:
    proxy = pool(start, upgrades, 1, "--codec", "http")
    with proxy.connect() as client:
        client.sendall(UPGRADE)
        assert b"upstream of its own" in read_all(client)
    assert outcomes(proxy, 1) == {"protocol_error"}
    assert curl(url(proxy, "/")) == "ok"


def test_clients_with_tls_share_upstreams_without(start: Start, upstream: int, tmp_path: Path) -> None:
    certificate = Authority(tmp_path, "pool").issue("127.0.0.1")
    more = ["--codec", "http", "--listen", certificate.endpoint]
    proxy = start(None, *[f"--target=127.0.0.1:{upstream}"] * 2, *more, listen=False, service="proxymux-pool")
    names = [tmp_path / f"got{number}" for number in range(5)]
    page = f"https://127.0.0.1:{proxy.port}/large"
    curl("--insecure", "--parallel", *(word for name in names for word in ("--output", str(name), page)))
    assert {name.read_bytes() for name in names} == {LARGE}
    target = f"https://127.0.0.1:{proxy.port}/upload/secured"
    assert curl("--insecure", "--upload-file", str(names[0]), "--write-out", "%{http_code}", target) == "201"
    assert (tmp_path / "www" / "upload" / "secured").read_bytes() == LARGE
    assert outcomes(proxy, 2) == {"completed"}


class Slow(socketserver.BaseRequestHandler):
    """Answers when it is told to."""

    may_answer = threading.Event()

    def handle(self) -> None:
        while self.request.recv(4096):
            self.may_answer.wait(60)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")


def test_term_lets_a_request_that_is_under_way_be_answered(start: Start) -> None:
    Slow.may_answer.clear()
    with serving(Slow) as port:
        proxy = pool(start, port, 2, "--codec", "http")
        with proxy.connect() as client, proxy.connect() as another:
            for each in (client, another):
                each.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            until(lambda: proxy.title().split(" - ")[-1].startswith("2/"), "both to be in")
            proxy.signal(signal.SIGTERM)
            proxy.wait_for_log("stopped accepting")
            Slow.may_answer.set()
            assert read_all(client).endswith(b"done")
            assert read_all(another).endswith(b"done")
        assert proxy.wait() == 0
    assert [record["outcome"] for record in proxy.records(2)] == ["completed"] * 2

"""docs/examples/async_http_lookup.py with curl, an HTTP service that knows, and one that is down."""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
import treq
from twisted.internet.defer import Deferred, succeed

from proxymux import Forward, Reject
from proxymux.router.loading import Router, load
from proxymux.testing import decide, decide_later, every_split
from tests.examples.conftest import EXAMPLES, Example, Serve, curl, page
from tests.system.conftest import Start, Twistd, free_port

SERVICE = "127.0.0.1:8000"


def request(host: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


class _Answer:
    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self._text = text

    def text(self) -> Deferred[str]:
        return succeed(self._text)


class _Service:
    """Stands for treq.get: what it answers, and what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []

    def get(self, url: str, timeout: float) -> Deferred[Any]:
        name = url.rpartition("/")[2]
        self.asked.append(name)
        answer = self.answers.get(name, _Answer(404, ""))
        return answer if isinstance(answer, Deferred) else succeed(answer)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> _Service:
    service = _Service()
    monkeypatch.setattr(treq, "get", service.get)
    return service


@pytest.fixture
def router() -> Router:
    return load(str(EXAMPLES / "async_http_lookup.py"))


@pytest.fixture
def module(router: Router) -> Any:
    return sys.modules["proxymux_router_async_http_lookup"]


def status(decision: Any) -> bytes:
    assert isinstance(decision, Reject)
    return decision.last_word.partition(b"\r\n")[0]


def test_the_service_decides(router: Router, service: _Service) -> None:
    service.answers = {"a.example": _Answer(200, "127.0.0.1:81\n")}
    assert decide(router, request("A.example")) == Forward("127.0.0.1:81")
    assert status(decide(router, request("b.example"))) == b"HTTP/1.1 404 Not Found"
    assert status(decide(router, b"SSH-2.0-x\r\n")) == b"HTTP/1.1 400 Bad Request"
    assert status(decide(router, b"GET / HTTP/1.0\r\n\r\n")) == b"HTTP/1.1 400 Bad Request"


def test_it_does_not_depend_on_segments_and_asks_once(router: Router, service: _Service) -> None:
    service.answers = {"a.example": _Answer(200, "127.0.0.1:81")}
    for chunks in every_split(request("a.example")):
        assert decide(router, *chunks) == Forward("127.0.0.1:81")
    assert service.asked == ["a.example"]


def test_a_name_cannot_leave_its_place_in_the_path(router: Router, service: _Service) -> None:
    decide(router, request("..%2fadmin%3fx"))
    assert service.asked == ["..%252fadmin%253fx"]
    assert status(decide(router, request("../admin?x"))) == b"HTTP/1.1 400 Bad Request"


@pytest.mark.parametrize("answer", [_Answer(500, "oops"), _Answer(200, "no address"), _Answer(200, "a:1\nb:2")])
def test_a_service_that_talks_rubbish_is_a_503(router: Router, service: _Service, answer: _Answer) -> None:
    service.answers = {"a.example": answer}
    assert status(decide(router, request("a.example"))) == b"HTTP/1.1 503 Service Unavailable"


def test_what_it_keeps_is_bounded_and_expires(
    router: Router, module: Any, service: _Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP_NAMES", 3)
    for name in ("a", "b", "c", "d", "d"):
        decide(router, request(f"{name}.example"))
    assert list(module.kept) == ["b.example", "c.example", "d.example"]
    assert service.asked == [f"{name}.example" for name in "abcd"]
    monkeypatch.setattr(module.time, "monotonic", lambda: 1e12)
    decide(router, request("d.example"))
    assert service.asked[-2:] == ["d.example", "d.example"]


def test_a_client_that_leaves_does_not_wait_on(router: Router, service: _Service) -> None:
    cancelled: list[object] = []
    service.answers = {"a.example": Deferred(cancelled.append)}
    deciding = decide_later(router, request("a.example"))
    assert not deciding.called
    deciding.cancel()
    assert len(cancelled) == 1
    assert deciding.called


@pytest.fixture
def knowing(serve: Serve) -> int:
    """A service that knows the upstream of a.example, and that of dead.example."""
    a, dead = serve(page("a")), free_port()

    class Knowing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = {"/upstream/a.example": a, "/upstream/dead.example": dead}
            port = known.get(self.path)
            body = f"127.0.0.1:{port}\n".encode() if port else b""
            self.send_response(200 if port else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silence."""

    return serve(Knowing)


def ask(proxy: Twistd, host: str) -> str:
    """The page and the HTTP status."""
    url = f"http://127.0.0.1:{proxy.port}/"
    got = curl("--header", f"Host: {host}", "--write-out", "%{http_code}", url)
    assert got.returncode == 0, got.stderr
    return got.stdout


def test_curl_reaches_what_the_service_names(start: Start, example: Example, knowing: int) -> None:
    proxy = start(example("async_http_lookup.py", {SERVICE: f"127.0.0.1:{knowing}"}))
    assert ask(proxy, "a.example") == "a for a.example\n200"
    assert ask(proxy, "nobody.example") == "404"
    assert ask(proxy, "a.example") == "a for a.example\n200"
    assert [record["outcome"] for record in proxy.records(3)] == ["completed", "rejected", "completed"]


def test_curl_hears_of_a_service_that_is_down(start: Start, example: Example) -> None:
    proxy = start(example("async_http_lookup.py", {SERVICE: f"127.0.0.1:{free_port()}"}))
    assert ask(proxy, "a.example") == "503"
    assert proxy.records(1)[0]["outcome"] == "rejected"
    assert "a.example: " in proxy.wait_for_log(r".*\[lookup#error\].*")[0]

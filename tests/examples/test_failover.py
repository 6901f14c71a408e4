"""docs/examples/failover.py with curl."""

from __future__ import annotations

import socketserver

from proxymux import Forward
from proxymux.testing import as_decider, decide
from tests.examples.conftest import EXAMPLES, Example, Serve, curl, page
from tests.system.conftest import Start, Twistd, free_port

ROUTER = str(EXAMPLES / "failover.py")
FIRST, SECOND = "127.0.0.1:8081", "127.0.0.1:8082"


def test_both_are_tried_in_order() -> None:
    decision = decide(ROUTER, b"G")
    assert isinstance(decision, Forward)
    assert decision.remote == (FIRST, SECOND)


def test_the_503_is_whole() -> None:
    answer = as_decider(ROUTER).connect_error(SECOND, None)  # type: ignore[arg-type]
    assert isinstance(answer, bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head


def run_with(start: Start, example: Example, first: int, second: int) -> Twistd:
    return start(example("failover.py", {FIRST: f"127.0.0.1:{first}", SECOND: f"127.0.0.1:{second}"}))


def test_the_first_serves_while_it_is_there(start: Start, example: Example, serve: Serve) -> None:
    proxy = run_with(start, example, serve(page("first")), serve(page("second")))
    assert curl(f"http://127.0.0.1:{proxy.port}/").stdout.startswith("first for")


def test_the_second_serves_when_the_first_is_away(start: Start, example: Example, serve: Serve) -> None:
    port = serve(page("second"))
    proxy = run_with(start, example, free_port(), port)
    assert curl(f"http://127.0.0.1:{proxy.port}/").stdout.startswith("second for")
    [record] = proxy.records(1)
    assert (record["outcome"], record["target"]) == ("completed", f"127.0.0.1:{port}")


def test_a_503_when_both_are_away(start: Start, example: Example) -> None:
    proxy = run_with(start, example, free_port(), free_port())
    got = curl("--write-out", "%{http_code}", f"http://127.0.0.1:{proxy.port}/")
    assert (got.returncode, got.stdout) == (0, "both servers are away, try again soon\n503"), got.stderr
    assert proxy.records(1)[0]["outcome"] == "unreachable"


def test_a_503_when_a_server_breaks_down_before_it_says_anything(start: Start, example: Example, serve: Serve) -> None:
    class Broken(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)

    proxy = run_with(start, example, serve(Broken), free_port())
    got = curl("--write-out", "%{http_code}", f"http://127.0.0.1:{proxy.port}/")
    assert got.stdout.endswith("503"), got.stderr
    assert proxy.records(1)[0]["outcome"] == "upstream_aborted"

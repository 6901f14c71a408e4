"""An admin endpoint that the test plays."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Endpoint:
    """Answers by path: JSON to what is a value, and a status with a text to what is a pair of them."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        #: Method, path and ``Authorization`` of each request.
        self.asked: list[tuple[str, str, str | None]] = []
        self.address = ""

    def answer(self, path: str) -> tuple[int, bytes]:
        found = self.answers.get(path, self.answers.get(path.partition("?")[0], (404, "there is no such path")))
        if isinstance(found, tuple):
            return found[0], found[1].encode("latin-1") + b"\n"
        return 200, json.dumps(found).encode()


@contextmanager
def endpoint(answers: dict[str, Any]) -> Iterator[Endpoint]:
    """Run one."""
    played = Endpoint(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            played.asked.append((self.command, self.path, self.headers["Authorization"]))
            status, body = played.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        played.address = f"127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield played
        finally:
            server.shutdown()
            thread.join()

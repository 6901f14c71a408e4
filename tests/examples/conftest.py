"""Trying an example as its user would: a copy of it with other addresses, the real client, a server behind it."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import until
from tests.system.conftest import Twistd, need, server, start, twistd_command  # noqa: F401

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
POOL_EXAMPLES = EXAMPLES / "pool"

Example = Callable[..., Path]
Serve = Callable[..., int]
Begin = Callable[..., Twistd]


def edited(source: str, edits: dict[str, str]) -> str:
    """The source of an example in which each text that is a key of ``edits`` is replaced."""
    for old in edits:
        assert old in source, f"there is no {old} in the example"
    if not edits:
        return source
    # All at once, so that nothing that was put in is taken for something to replace.
    old_texts = sorted(edits, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, old_texts)), lambda found: edits[found[0]], source)


@pytest.fixture
def example(tmp_path: Path) -> Example:
    """A copy of an example in which each text that is a key of ``edits`` is replaced, as its user would edit it."""

    def copy(name: str, edits: dict[str, str] | None = None) -> Path:
        source = edited((EXAMPLES / name).read_text(), edits or {})
        folder = tmp_path / "examples"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(source)
        return folder / name

    return copy


@pytest.fixture
def begin_command(tmp_path: Path) -> Iterator[Callable[[str], Twistd]]:
    """Run a command as it is shown, with the twistd of this Python and no pid file."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(command: str) -> Twistd:
        twistd = shlex.join([*twistd_command(), "--pidfile="])
        with open(tmp_path / "output", "wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command.replace('twistd -n', f'{twistd} -n')}"],
                cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        running.append(process)
        return Twistd(process, tmp_path, tmp_path / "access.log")

    yield begin
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def begin(tmp_path: Path, begin_command: Callable[[str], Twistd]) -> Begin:
    """Run an example of the pool by its own command, after each text that is a key of ``edits`` was replaced."""

    def begin(name: str, edits: dict[str, str]) -> Twistd:
        source = edited((POOL_EXAMPLES / name).read_text(), edits)
        (tmp_path / name).write_text(source)
        return begin_command(command_of(source))

    return begin


def command_of(source: str) -> str:
    """The command that the file shows."""
    text, _, _ = source.partition("Run it")[2].partition("Try it")
    [line] = [line for line in text.replace("\\\\\n", "").splitlines() if "twistd -n" in line]
    return line.lstrip("# ")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 50

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves early is no error of the test."""


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve connections with a socketserver handler, in threads; the port.  They end with the test."""
    servers: list[tuple[_Server, threading.Thread]] = []

    def start_serving(handler: type[socketserver.BaseRequestHandler], host: str = "127.0.0.1") -> int:
        class Server(_Server):
            address_family = 10 if ":" in host else 2

        served = Server((host, 0), handler)
        thread = threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        servers.append((served, thread))
        return int(served.server_address[1])

    yield start_serving
    for served, thread in servers:
        served.shutdown()
        served.server_close()
        thread.join()


def page(text: str, status: int = 200) -> type[BaseHTTPRequestHandler]:
    """An HTTP server that says ``text`` and the Host that it was asked for, whatever the path."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"{text} for {self.headers['Host']}\n".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Silence."""

    return Page


class Echo(socketserver.BaseRequestHandler):
    """Sends back what it is sent, until FIN."""

    def handle(self) -> None:
        while data := self.request.recv(4096):
            self.request.sendall(data)


def run(*command: str, given: bytes = b"", **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a client to its end, out of reach of the proxies and settings of whoever runs the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment.update(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0", LC_ALL="C")
    done = subprocess.run(command, input=given, capture_output=True, timeout=120, env=environment, **options)
    out, err = (output.decode(errors="replace") for output in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(command, done.returncode, out, err)


def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run curl."""
    return run(need("curl"), "-q", "--silent", "--show-error", "--max-time", "60", *arguments)


def check(router: Path, *samples: bytes) -> subprocess.CompletedProcess[str]:
    """Run ``proxymux check`` over recorded first bytes."""
    command = [sys.executable, "-m", "proxymux", "check", str(router)]
    for number, sample in enumerate(samples):
        path = router.with_name(f"sample{number}")
        path.write_bytes(sample)
        command += ["--sample", str(path)]
    return run(*command)


def client_hello(server_name: str | None) -> bytes:
    """What a TLS client sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    sent = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=server_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return sent.read()


TlsServer = Callable[..., int]


@pytest.fixture
def tls_server(tmp_path: Path, server: Callable[..., Any]) -> TlsServer:  # noqa: F811
    """Start openssl's server with a self-made certificate for ``name``; the port."""

    def start_tls_server(name: str, *arguments: str) -> int:
        openssl, folder = need("openssl"), tmp_path / f"tls-{name}"
        folder.mkdir()
        files = ["-keyout", "key.pem", "-out", "cert.pem"]
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        made = run(openssl, "req", "-x509", *kind, *files, "-subj", f"/CN={name}", cwd=folder)
        assert made.returncode == 0, made.stderr
        with open(folder / "log", "wb") as log:
            server(
                *(openssl, "s_server", "-accept", "127.0.0.1:0", "-cert", "cert.pem", "-key", "key.pem", *arguments),
                cwd=folder,
                stdout=log,
            )

        def port() -> int:
            found = re.search(r"ACCEPT 127\.0\.0\.1:(\d+)", (folder / "log").read_text(errors="replace"))
            return int(found[1]) if found else 0

        return int(until(port, "openssl s_server listens"))

    return start_tls_server

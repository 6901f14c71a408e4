"""docs/examples/gateway_clients beside a real gateway, and the gateway's commands as README and docs show them."""

from __future__ import annotations

import os
import re
import runpy
import socketserver
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxymux.core.token.legacy import seal_legacy
from proxymux.gateway.settings import GatewaySettings
from proxymux.settings import Settings
from tests.docs.making import script
from tests.examples.conftest import EXAMPLES, Echo, Serve, run
from tests.system.conftest import Twistd, free_port, need, twistd_command

CLIENTS = EXAMPLES / "gateway_clients"
DOCS = EXAMPLES.parent
SECRET = "p0S8rX680*48"
MEGABYTE = bytes(range(256)) * 4096

#: A client's command line for a gateway at this port and a token.
Command = Callable[[int, str], list[str]]


class Megabyte(socketserver.BaseRequestHandler):
    """Hears a request to its end, which is FIN, and answers then."""

    def handle(self) -> None:
        request = b""
        while data := self.request.recv(4096):
            request += data
        self.request.sendall(request + MEGABYTE)


class Greeting(socketserver.BaseRequestHandler):
    """Says hello and ends."""

    def handle(self) -> None:
        self.request.sendall(b"hello")


def playing(answer: bytes) -> type[socketserver.BaseRequestHandler]:
    """A gateway that reads the token, says ``answer`` and ends."""

    class Gateway(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(answer)

    return Gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twistd]:
    """A gateway that opens old tokens; one for all tests here."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "secret").write_text(SECRET + "\n")
    command = [*twistd_command(), "-n", "--pidfile=", "proxymux-gateway", "--secret-file", "secret"]
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(
            [*command, "--addr", "127.0.0.1:0"],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    yield Twistd(process, folder, folder / "access.log")
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Compile a client, once; the path of the program."""
    folder = tmp_path_factory.mktemp("built")

    def build(name: str, *compiler: str) -> str:
        program = folder / name.replace(".", "_")
        if not program.exists():
            done = run(*compiler, "-o", str(program), str(CLIENTS / name))
            assert done.returncode == 0, done.stderr
        return str(program)

    return build


@pytest.fixture(params=["client.py", "client.js", "client.go", "client.c"])
def client(request: pytest.FixtureRequest, built: Callable[..., str]) -> Command:
    """Each client in turn; skipped where its language is not installed."""
    name = request.param
    if name == "client.go":
        program = built(name, need("go"), "build")
        return lambda port, token: [program, f"127.0.0.1:{port}", token]
    if name == "client.c":
        start = [built(name, need("cc"), "-Wall", "-Wextra", "-Werror", "-O2")]
    else:
        start = [sys.executable if name == "client.py" else need("node"), str(CLIENTS / name)]
    return lambda port, token: [*start, "127.0.0.1", str(port), token]


def token_for(port: int) -> str:
    return seal_legacy(f"127.0.0.1:{port}", SECRET.encode(), "md5", os.urandom(8))


def call(command: list[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=given, capture_output=True, timeout=60)


def refused(done: subprocess.CompletedProcess[bytes]) -> str:
    """What a client says that was not connected, in one line and without the token."""
    said = done.stderr.decode()
    assert (done.returncode, done.stdout) == (1, b"")
    assert said.count("\n") == 1
    assert done.args[-1] not in said
    return said


def test_there_is_no_client_that_is_not_tested() -> None:
    names = {path.name for path in CLIENTS.iterdir() if path.is_file()}
    assert names == {"client.py", "client.js", "client.go", "client.c"}


def test_a_request_its_end_and_a_megabyte_in_reply(client: Command, gateway: Twistd, serve: Serve) -> None:
    done = call(client(gateway.port, token_for(serve(Megabyte))), b"request")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"request" + MEGABYTE


def test_both_ends_may_send_at_once(client: Command, gateway: Twistd, serve: Serve) -> None:
    """More than all buffers on the way hold: who does not read before all is written stands still."""
    given = 64 * MEGABYTE
    done = call(client(gateway.port, token_for(serve(Echo))), given)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == given


def test_it_ends_with_the_target_though_its_input_is_open(client: Command, gateway: Twistd, serve: Serve) -> None:
    command = client(gateway.port, token_for(serve(Greeting)))
    reading, writing = os.pipe()
    try:
        done = subprocess.run(command, stdin=reading, capture_output=True, timeout=60)
    finally:
        os.close(reading)
        os.close(writing)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello", b"")


def test_what_comes_along_with_the_status_is_the_targets(client: Command, serve: Serve) -> None:
    done = call(client(serve(playing(b"200hello")), "token"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello", b"")


def test_a_bad_token_is_401(client: Command, gateway: Twistd) -> None:
    assert "401" in refused(call(client(gateway.port, token_for(1)[:-4] + "AAA=")))


def test_a_target_that_is_away_is_502(client: Command, gateway: Twistd) -> None:
    assert "502" in refused(call(client(gateway.port, token_for(free_port()))))


@pytest.mark.parametrize("answer", [b"", b"40"])
def test_a_gateway_that_ends_without_a_status(client: Command, serve: Serve, answer: bytes) -> None:
    refused(call(client(serve(playing(answer)), "token")))


def test_no_gateway(client: Command) -> None:
    refused(call(client(free_port(), "token")))


def test_the_timeout_of_the_python_client_is_not_the_targets(gateway: Twistd, serve: Serve) -> None:
    connect: Any = runpy.run_path(str(CLIENTS / "client.py"))["connect"]
    with connect("127.0.0.1", gateway.port, token_for(serve(Echo)), 5) as tunnel:
        assert tunnel.gettimeout() is None


# Commands that README.rst and docs/gateway.rst show


def commands(path: Path, *beginnings: str) -> list[str]:
    """The lines of ``path`` that begin so, whole, one each."""
    lines = path.read_text().replace("\\\n", "").splitlines()
    found = [next(line.strip() for line in lines if line.startswith(f"    {each}")) for each in beginnings]
    return [re.sub(r"  +", " ", line) for line in found]


def shell(folder: Path, script: str) -> subprocess.CompletedProcess[bytes]:
    """Run it as a user would who has proxymux installed."""
    programs = folder / "bin"
    if not programs.exists():
        programs.mkdir()
        for name, words in (("proxymux", [sys.executable, "-m", "proxymux"]), ("twistd", twistd_command())):
            quoted = " ".join(f"'{word}'" for word in words)
            (programs / name).write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
            (programs / name).chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-euc", script], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, timeout=120
    )


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[str], Twistd]]:
    """Start a gateway by a command line from the documentation, at a port of the system's choice."""
    running: list[subprocess.Popen[bytes]] = []

    def start(line: str) -> Twistd:
        words = re.sub(r"--addr \S+", "--addr 127.0.0.1:0", line).split()
        assert words[:2] == ["twistd", "-n"]
        with open(tmp_path / "output", "wb") as output:
            process = subprocess.Popen(
                [*twistd_command(), *words[1:]],
                cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        running.append(process)
        return Twistd(process, tmp_path, tmp_path / "access.log")

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_the_readmes_gateway(started: Callable[[str], Twistd], serve: Serve, tmp_path: Path) -> None:
    readme = DOCS.parent / "README.rst"
    gateway = "twistd -n --pidfile= proxymux-gateway --key-file"
    keys, start, seal = commands(readme, "(umask 077", gateway, "token=$(proxymux token seal")
    assert shell(tmp_path, keys).returncode == 0
    proxy = started(start)
    seal = re.sub(r"--target \S+", f"--target 127.0.0.1:{serve(Megabyte)}", seal)
    done = shell(tmp_path, f'{seal}\nprintf request | proxymux connect 127.0.0.1:{proxy.port} "$token"')
    assert (done.returncode, done.stdout, done.stderr) == (0, b"request" + MEGABYTE, b"")


def test_the_quick_start_of_the_docs(started: Callable[[str], Twistd], serve: Serve, tmp_path: Path) -> None:
    need("openssl")
    page = DOCS / "gateway.rst"
    secret, start, openssl = commands(page, "(umask 077", "twistd -n proxymux-gateway", "printf %s 10.0.0.5:22 |")
    assert shell(tmp_path, secret).returncode == 0
    proxy = started(start)
    openssl = openssl.replace("10.0.0.5:22", f"127.0.0.1:{serve(Megabyte)}")
    done = shell(tmp_path, f'token=$({openssl})\nprintf request | proxymux connect 127.0.0.1:{proxy.port} "$token"')
    assert (done.returncode, done.stdout) == (0, b"request" + MEGABYTE)
    proxy.port  # noqa: B018  the pid file is there when it listens
    assert shell(tmp_path, "kill $(cat gateway.pid)").returncode == 0
    assert proxy.wait() == 0
    assert not (tmp_path / "gateway.pid").exists()


def test_the_check_value_of_the_docs(tmp_path: Path) -> None:
    text = (DOCS / "gateway.rst").read_text()
    token = re.search(r"^ +(pm1\.k1\.\S+)$", text, re.MULTILINE)
    key = re.search(r"^ +(k1 \S+=)$", text, re.MULTILINE)
    assert token is not None
    assert key is not None
    (tmp_path / "keys").write_text(key[1] + "\n")
    done = shell(tmp_path, f"proxymux token open --key-file keys {token[1]}")
    assert re.match(
        rb"form: +sealed with key k1\ntarget: +127.0.0.1:62863\nexpires: +2030-01-01T00:00:00Z", done.stdout
    )


def test_every_option_is_in_the_docs() -> None:
    text = script("option_tables").expand((DOCS / "gateway.rst").read_text())
    own = [each.option for each in GatewaySettings.fields() if not hasattr(Settings, each.name)]
    assert len(own) > 10
    assert [option for option in own if f"``{option}" not in text] == []

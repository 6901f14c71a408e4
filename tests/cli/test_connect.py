"""``proxymux connect``, beside a gateway that the test plays."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

TOKEN = "U2FsdGVkX19KIJ9OQJKT/yHGMrS+5SsBAAjetomptQ0="
MEGABYTES = bytes(range(256)) * 8192


def read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and (byte := connection.recv(1)):
        line += byte
    return line


def read_all(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def run(serve: Callable[[socket.socket], None], token: str, sent: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command beside a gateway that does ``serve`` with its one client."""

    def accept() -> None:
        connection, _ = listener.accept()
        connection.settimeout(30)
        with connection:
            serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        gateway = f"127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, "-m", "proxymux", "connect", gateway, token]
        done = subprocess.run(command, input=sent, capture_output=True, timeout=60, check=False)
        thread.join(30)
    return done


def test_what_is_written_arrives_with_its_end_and_the_answer_comes_back() -> None:
    heard = []

    def serve(connection: socket.socket) -> None:
        heard.append(read_line(connection))
        connection.sendall(b"200")
        heard.append(read_all(connection))
        connection.sendall(MEGABYTES)

    done = run(serve, TOKEN, b"request")
    assert heard == [TOKEN.encode() + b"\n", b"request"]
    assert (done.returncode, done.stdout, done.stderr) == (0, MEGABYTES, b"")


def test_a_target_that_ends_first_ends_it_though_standard_input_is_open() -> None:
    def serve(connection: socket.socket) -> None:
        read_line(connection)
        connection.sendall(b"200hello")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        gateway = f"127.0.0.1:{listener.getsockname()[1]}"
        command = [sys.executable, "-m", "proxymux", "connect", gateway, TOKEN]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            connection, _ = listener.accept()
            with connection:
                serve(connection)
            assert process.stdout is not None
            assert process.stdout.read() == b"hello"
            assert process.wait(30) == 0


def test_the_token_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    heard = []

    def serve(connection: socket.socket) -> None:
        heard.append(read_line(connection))
        connection.sendall(b"200")

    assert run(serve, f"@{tmp_path / 'token'}").returncode == 0
    assert heard == [TOKEN.encode() + b"\n"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (b"401", b"the gateway answers 401: the token opens nothing here"),
        (b"502", b"the gateway answers 502: the target cannot be connected to"),
        (b"", b"the gateway does not answer: it closed without a status"),
        (b"5", b"the gateway answers 5: which is no status of a gateway"),
        (b"\x1b[3", b"the gateway answers \\x1b[3: which is no status of a gateway"),
    ],
)
def test_a_status_that_is_not_200_is_said(status: bytes, said: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        read_line(connection)
        connection.sendall(status)

    done = run(serve, TOKEN)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.endswith(b": " + said + b"\n")
    assert TOKEN.encode() not in done.stderr


@pytest.mark.parametrize(
    ("gateway", "said"),
    [
        ("127.0.0.1", b"'127.0.0.1' is not host:port or [v6]:port, as the address of a gateway is"),
        ("unix:/tmp/x", b"'unix:/tmp/x' is not host:port or [v6]:port, as the address of a gateway is"),
        ("127.0.0.1:1", b"127.0.0.1:1: connection refused"),
        ("nowhere.invalid:1", b"nowhere.invalid:1: name does not resolve"),
    ],
)
def test_a_gateway_that_is_none_is_said(gateway: str, said: bytes) -> None:
    command = [sys.executable, "-m", "proxymux", "connect", gateway, TOKEN]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1
    assert done.stderr == b"proxymux connect: " + said + b"\n"


@pytest.mark.parametrize(
    ("name", "problem"),
    [("none", "No such file or directory"), ("", "Is a directory"), ("empty", "its first line is empty")],
)
def test_a_file_without_a_token_is_said_and_not_the_gateway_s(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "empty").write_text("\n")
    command = [sys.executable, "-m", "proxymux", "connect", "127.0.0.1:1", f"@{tmp_path / name}"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, text=True)
    assert done.returncode == 1
    assert done.stderr == f"proxymux connect: {tmp_path / name}: {problem}; name the file that holds the token\n"

"""The README as a reader pastes it into a shell, block by block; what it shows of the output is compared."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.conftest import Server, Start, free_port, need, read_all
from tests.system.test_readme import README

#: How the blocks begin that are not pasted here, and what does so instead.
ELSEWHERE = {
    "python3 -m venv .venv && PROXYMUX_PURE=1": ".ci/run, which installs it in three ways",
    "python3 -m venv .venv && .venv/bin/pip": ".ci/run",
    ". .venv/bin/activate": "nothing: the tests have their Python's folder on the path",
    "twistd -n --pidfile= proxymux-gateway --demo": "test_demos.py",
    "twistd -n --pidfile= proxymux-pool --demo": "test_demos.py",
    "python3 -m http.server": "test_readme.py",
}


def shell_blocks() -> list[tuple[str, str]]:
    """The blocks of commands, each with the output that is shown behind it, if any is."""
    found: list[tuple[str, str]] = []
    for lead, text in re.findall(r"^(.*)::\n\n((?:    .*\n|\n)+)", README, re.MULTILINE):
        text = re.sub(r"^    ", "", text, flags=re.MULTILINE).strip("\n") + "\n"
        if lead.startswith(".."):
            continue  # a directive
        if lead:
            found.append((text, ""))
        else:
            found[-1] = found[-1][0], text
    return found


BLOCKS = shell_blocks()


class Reader:
    """Pastes blocks of the README; ports that others might have are replaced.

    :param ports: what is pasted in the place of a port.
    """

    def __init__(self, folder: Path, server: Server, ports: dict[int, int]) -> None:
        self.folder = folder
        self.ports = ports
        self._server = server
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "no_proxy": "*",
            "PYTEST_ADDOPTS": "-p no:cacheprovider",
        }

    def _here(self, text: str) -> str:
        return re.sub(r"\b(8\d{3}|6379|6380)\b", lambda port: str(self.ports[int(port[1])]), text)

    def write(self, name: str, begin: str) -> None:
        """Write the Python block that begins so into a file."""
        found = re.search(rf"^    {re.escape(begin)}.*?(?=^\S)", README, re.MULTILINE | re.DOTALL)
        assert found is not None
        text = re.sub(r"^    ", "", found.group(), flags=re.MULTILINE)
        (self.folder / name).write_text(self._here(text))

    def run(self, begin: str) -> str:
        """Paste the block that begins so, and compare what it prints with what is shown; the output."""
        [(text, shown)] = [each for each in BLOCKS if each[0].startswith(begin)]
        if "pip install" in text:
            text = text.partition("\n")[2]  # it is installed
        text = self._here(text).replace("curl -H", "curl -s -H")
        done = subprocess.run(
            ["bash", "-ec", text], cwd=self.folder, env=self._environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        if shown:
            assert done.stdout.replace("\r", "").strip("\n") == self._here(shown).strip("\n")
        return done.stdout

    def serve(self, begin: str, port: int) -> None:
        """Paste a block whose last line goes on to run, and wait until its port answers."""
        [(text, _)] = [each for each in BLOCKS if each[0].startswith(begin)]
        *before, last = self._here(text.replace("\\\n", "")).strip().split("\n")
        script = "\n".join([*before, f"exec {last}"])
        self._server("bash", "-ec", script, cwd=self.folder, env=self._environment, port=self.ports[port])


@pytest.fixture
def reader(start: Start, server: Server, tmp_path: Path) -> Reader:
    """With the demo in the first terminal."""
    demo = start(None, "--demo", listen=False)
    red, blue = demo.wait_for_log(r"red is 127\.0\.0\.1:(\d+), blue is 127\.0\.0\.1:(\d+)").groups()
    others = {port: free_port() for port in (8000, 8003, 6379, 6380)}
    return Reader(tmp_path, server, {8001: int(red), 8002: int(blue), **others})


def test_every_block_is_pasted_by_some_test() -> None:
    here = Path(__file__).read_text()
    pasted = re.findall(r'reader\.(?:run|serve)\(\s*"([^"]+)"', here)
    for text, _ in BLOCKS:
        begins = [begin for begin in (*pasted, *ELSEWHERE) if text.startswith(begin)]
        assert len(begins) == 1, text
    assert len(BLOCKS) == len(pasted) + len(ELSEWHERE)


@pytest.mark.slow
def test_the_first_router_leads_to_the_demos_upstreams(reader: Reader) -> None:
    need("curl")
    reader.write("router.py", "from proxymux import NEED_DATA, sniff")
    reader.serve("twistd -n --pidfile= proxymux --router router.py", 8000)
    assert reader.run("curl -H 'Host: shop.example'") == "this is the red upstream\n"
    assert reader.run("printf 'GET / HTTP/1.1")
    reader.write("test_router.py", "from proxymux.testing import decide")
    assert "1 passed" in reader.run("PROXYMUX_PURE=1 pip install -q '.[test]'")


@pytest.mark.slow
def test_the_gateway_of_ones_own_leads_there_too(reader: Reader) -> None:
    need("openssl")
    reader.serve("(umask 077; printf 'k1", 8003)
    assert "this is the red upstream" in reader.run("token=$(proxymux token seal")


@pytest.mark.slow
def test_the_pool_shares_connections_to_a_redis(reader: Reader, server: Server) -> None:
    redis = reader.ports[6379]
    server(need("redis-server"), "--port", str(redis), "--bind", "127.0.0.1", "--save", "", port=redis)
    reader.serve("twistd -n --pidfile= proxymux-pool --listen", 6380)
    with socket.create_connection(("127.0.0.1", reader.ports[6380]), timeout=30) as client:
        client.sendall(b"*1\r\n$4\r\nPING\r\n")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"+PONG\r\n"

"""What the README says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from proxymux import Forward, Reject
from proxymux.testing import decide, every_split
from tests.conftest import until
from tests.system.conftest import Server, Start, free_port, need

README = Path(__file__).parents[2].joinpath("README.rst").read_text()


def block(begin: str) -> str:
    """The code block that begins with ``begin``."""
    found = re.search(rf"^    {re.escape(begin)}.*?(?=^\S)", README, re.MULTILINE | re.DOTALL)
    assert found is not None
    return re.sub(r"^    ", "", found.group(), flags=re.MULTILINE)


@pytest.fixture
def router(tmp_path: Path) -> Path:
    path = tmp_path / "router.py"
    path.write_text(block("from proxymux import NEED_DATA, sniff"))
    return path


def test_the_router_in_ten_lines_routes(router: Path) -> None:
    name = str(router)
    for chunks in every_split(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"):
        assert decide(name, *chunks) == Forward(["127.0.0.1:8001", "127.0.0.1:8002"])
    assert decide(name, b"GET / HTTP/1.1\r\n", b"Host: x\r\n\r\n") == Reject(
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    )


def test_what_begins_like_ssh_is_not_taken_for_it(router: Path) -> None:
    for chunks in every_split(b"SEARCH / HTTP/1.1\r\nHost: shop.example\r\n\r\n"):
        assert decide(str(router), *chunks) == Forward(["127.0.0.1:8001", "127.0.0.1:8002"])


def test_ssh_in_the_router_is_split_invariant_too(router: Path) -> None:
    for chunks in every_split(b"SSH-2.0-x\r\n"):
        assert decide(str(router), *chunks) == Forward("127.0.0.1:22")


def test_the_cluster_that_it_shows_is_followed(start: Start, server: Server, tmp_path: Path) -> None:
    shown = block("python3 -m http.server").replace("\\\n", "")
    ports = {port: str(free_port()) for port in re.findall(r"http.server (\d+)", shown)}
    for old, new in ports.items():
        shown = shown.replace(old, new)
        server(sys.executable, "-m", "http.server", new, "--bind", "127.0.0.1", port=int(new))
    fill, run = (next(line for line in shown.splitlines() if line.startswith(each)) for each in ("printf", "twistd"))
    subprocess.run(fill, shell=True, check=True, cwd=tmp_path)
    cluster = run.partition("--cluster '")[2].rstrip("'").replace("file:", f"file:{tmp_path}/")
    proxy = start(block('def proxy(data):\n        return {"remote": "users"}'), "--cluster", cluster)
    proxy.wait_for_log("cluster users: 2 targets")
    for _ in range(6):
        assert proxy.ask(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200 OK")
    assert {record["target"] for record in proxy.records(6)} == {f"127.0.0.1:{port}" for port in ports.values()}
    changed = tmp_path / "changed"
    changed.write_text((tmp_path / "targets").read_text().splitlines()[0])
    changed.rename(tmp_path / "targets")
    proxy.wait_for_log("cluster users: 1 targets, 0 added, 1 removed")


def test_the_demo_answers_the_commands_that_it_prints(start: Start) -> None:
    proxy = start(None, "--demo", listen=False)
    proxy.wait_for_log("Stop it with Ctrl-C")
    lines = re.findall(r"^ +(curl http://\S+/(\w+))$", proxy.log(), re.MULTILINE)
    assert [path for _, path in lines] == ["red", "blue", "green"]
    need("curl")
    for command, path in lines:
        answer = subprocess.run([*command.split(), "-s", "--noproxy", "*"], check=True, capture_output=True, text=True)
        assert answer.stdout == ("try /red or /blue, then\n" if path == "green" else f"this is the {path} upstream\n")
    until(lambda: len(proxy.records(3)) == 3, "three lines")

"""Mistakes in a .tac file, which twistd runs."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from tests.system.conftest import twistd_command

HEAD = """\
from twisted.application.service import Application
from proxymux import Gateway, Multiplexer, Router
"""
MADE = HEAD + "application = Application('made')\n"


def ended(folder: Path, source: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "made.tac").write_text(source)
    (folder / "router.py").write_text("def proxy(data):\n    pass\n")
    return subprocess.run(
        [*twistd_command(), "--pidfile=", *options, "-y", "made.tac"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            MADE + "Router('router.py', lisen='tcp:0')\n",
            "made.tac:4: lisen: there is no such option; did you mean listen?",
        ),
        (MADE + "Router('router.py', listen='tcp:x')\n", "made.tac:4: --listen: 'tcp:x': 'x' is no number; "),
        (MADE + "Router('no.py', listen='tcp:0')\n", "made.tac:4: --router: no.py: No such file or directory; "),
        (MADE + "Router()\n", "made.tac:4: router: missing; "),
        (MADE + "Gateway(key_file='no')\n", "made.tac:4: --key-file: "),
        (MADE + "Multiplexer(target='nonsense', listen='tcp:0')\n", "made.tac:4: --target: "),
        (MADE + "def make():\n    Router('router.py', 1)\nmake()\n", "made.tac:6: TypeError: "),
        (MADE + "1 / 0\n", "made.tac:4: ZeroDivisionError: division by zero"),
        (
            MADE + "import nothing_of_the_kind\n",
            "made.tac:4: ModuleNotFoundError: No module named 'nothing_of_the_kind'",
        ),
        (MADE + "{}['application']\n", "made.tac:4: KeyError: 'application'"),
        (HEAD, 'the .tac file has no "application"; it needs application = Application("proxymux")'),
    ],
)
@pytest.mark.parametrize("daemon", [True, False])
def test_a_mistake_is_one_line(tmp_path: Path, source: str, words: str, daemon: bool) -> None:
    run = ended(tmp_path, source, *([] if daemon else ["-n"]))
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(f"proxymux: {words}")
    assert len(run.stderr.splitlines()) == 1


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
        run = ended(tmp_path, MADE + f"Router('router.py', listen={listen!r}).setServiceParent(application)\n", "-n")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith(f"proxymux: made.tac:4: --listen: {listen}: cannot listen on ")
    assert len(run.stderr.splitlines()) == 1

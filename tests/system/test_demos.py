"""Each demo prints lines; pasted into a shell they do what they are there for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.system.conftest import Start, Twistd, need

pytestmark = pytest.mark.slow


def begin(start: Start, service: str) -> tuple[Twistd, list[str]]:
    """A demo, and the lines that it prints for a shell."""
    need("curl")
    demo = start(None, "--demo", service=service, listen=False)
    greeting = demo.wait_for_log(r"(?s)proxymux demo: .*Stop it with Ctrl-C.*?\n").group()
    return demo, re.findall(r"^    (\S.*)$", greeting, re.MULTILINE)


def paste(*lines: str) -> str:
    """What a shell prints where the lines are pasted, without the progress of curl."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "no_proxy": "*"}
    script = "\n".join(lines).replace("curl http", "curl -s http")
    found = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)
    return found.stdout + found.stderr


def test_the_pools_clients_share_two_connections(start: Start) -> None:
    _, (one, hundred) = begin(start, "proxymux-pool")
    assert paste(one) == "answered on connection 1\n"
    counts = Counter({words: int(count) for count, words in re.findall(r"(\d+) (.*)\n", paste(hundred))})
    assert counts.total() == 100
    assert set(counts) <= {"answered on connection 1", "answered on connection 2"}


def test_the_gateways_token_leads_to_the_hidden_server(start: Start) -> None:
    demo, (token, connect, nonsense, by_hand, seal) = begin(start, "proxymux-gateway")
    hidden = "this is the hidden server; the token has led you here\n"
    assert paste(token, connect) == hidden
    refused = r"proxymux connect: \S+: the gateway answers 401: the token opens nothing here\n"
    assert re.fullmatch(refused, paste(nonsense))
    host, port = re.fullmatch(r"echo \$token \| nc (\S+) (\d+)", by_hand).groups()  # type: ignore[union-attr]
    spoken = paste(token, f"exec 3<>/dev/tcp/{host}/{port}; echo $token >&3; cat <&3")  # as nc; not everyone has that
    assert spoken == f"200{hidden}"
    once = paste(seal).strip()
    assert paste(f"token={once}", connect) == hidden
    assert re.fullmatch(refused, paste(f"token={once}", connect))
    keys = Path(re.findall(r"--key-file (\S+)", seal)[0])
    assert keys.stat().st_mode & 0o777 == 0o600
    demo.process.terminate()
    assert demo.wait() == 0
    assert not keys.parent.exists()

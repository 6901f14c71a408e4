"""``proxymux check --fuzz`` as a process: its exit status, and the tests under pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
BAD = "async def proxy(data):\n    return {'close': bool(data[1])}\n"
GOOD = "async def proxy(data):\n    return {'close': True}\n"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )


def test_what_is_found_is_the_exit_status_and_a_test_until_it_is_mended(tmp_path: Path) -> None:
    router = tmp_path / "router.py"
    router.write_text(BAD)
    fuzz = ("proxymux", "check", "router.py", "--fuzz", "50", "--seed", "3")
    ended = run(tmp_path, *fuzz)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "router.py:2: proxy raised IndexError" in ended.stdout
    test = ("pytest", "-q", "-p", "no:cacheprovider", "fuzz_found")
    assert run(tmp_path, *test).returncode == 1
    router.write_text(GOOD)
    assert run(tmp_path, *test).returncode == 0
    ended = run(tmp_path, *fuzz)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("nothing found\n")


def test_a_router_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "router.py").write_text("1 / 0")
    ended = run(tmp_path, "proxymux", "check", "router.py", "--fuzz")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "proxymux: router.py:1: ZeroDivisionError: division by zero\n"

"""Many clients at once, in every mode, each of whose bytes is looked at; and upstreams that are killed meanwhile."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bench.tagged import CODECS, Plan, Result, ask
from tests.system.conftest import Server, Start, free_port
from tests.system.pools import pool

BENCH = Path(__file__).parents[2] / "bench"
MODES = {
    "fifo": ("1",),
    "funnel": ("4",),
    "funnel async": ("4", "--async"),
    "funnel, transport relay": ("4", "--relay", "transport"),
}
#: Bytes of the 20 messages that every client sends, and of those that it is answered, each in an order of its own.
SIZES = [100] * 6 + [1000] * 5 + [5000] * 3 + [16_384, 65_535, 65_536, 65_537, 262_144, 1 << 20]
CLIENTS = 50


async def all_ask(port: int, codec: str, depth: int) -> list[Result]:
    source = random.Random(f"{codec} {depth}")
    plans = [
        Plan(client, 0, list(zip(source.sample(SIZES, 20), source.sample(SIZES, 20), strict=True)), depth)
        for client in range(CLIENTS)
    ]
    return await asyncio.gather(*(ask(port, codec, plan) for plan in plans))


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("mode", MODES)
def test_every_byte_goes_to_its_owner_and_in_order(start: Start, server: Server, mode: str, codec: str) -> None:
    port = free_port()
    server(sys.executable, str(BENCH / "tagged.py"), str(port), codec, port=port)
    count, *more = MODES[mode]
    proxy = pool(start, port, int(count), "--codec", codec, *more)
    for depth in (1, 8):
        results = asyncio.run(all_ask(proxy.port, codec, depth))
        assert Counter((result.good, result.failure) for result in results) == {(20, None): CLIENTS}
    assert Counter(record["outcome"] for record in proxy.records(2 * CLIENTS)) == {"completed": 2 * CLIENTS}


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "mode"), [("resp", "async"), ("http", "funnel")])
def test_upstreams_that_are_killed_cost_what_they_had_and_no_wrong_byte(codec: str, mode: str) -> None:
    """A short run of what the whole one is for; how long a recovery may take is for a machine that is not loaded."""
    command = [sys.executable, str(BENCH / "pool_chaos.py"), "--codec", codec, "--mode", mode]
    times = ["--seconds", "4", "--kill-every", "1", "--recovery", "10", "--clients", "1000"]
    done = subprocess.run([*command, *times], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search("kills: [1-9]", done.stdout)  # whoever had a reply under way then; perhaps nobody had
    assert "'unreachable': " in done.stdout

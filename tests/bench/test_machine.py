from __future__ import annotations

import os

from bench.machine import Machine, busy_seconds, in_words

FACTS = {"cores": 2, "cpu": "Some CPU", "memory_gib": 24, "kernel": "6.18"}


def test_programs_have_used_their_own_and_the_kernels_time_for_them() -> None:
    tick = os.sysconf("SC_CLK_TCK")
    # user, nice, system; then idle, waiting, interrupts
    assert busy_seconds(f"cpu  {tick} {2 * tick} {3 * tick} 999 99 9 9 0\ncpu0 1 1 1") == 6.0


def test_the_words_say_what_else_ran() -> None:
    said = "2 cores (Some CPU), 24 GiB, Linux 6.18; load, proxy and what is behind it share them, and "
    assert in_words(FACTS, 0.01) == said + "nothing else ran"
    assert in_words(FACTS, 0.4) == said + "other programs used 40% of them meanwhile"


def test_a_machine_is_described_with_what_is_missing() -> None:
    found = Machine([]).describe()
    assert found["builds"] == {}
    assert found["words"].startswith(f"{os.cpu_count()} cores")
    assert 0.0 <= found["others"] <= 1.0

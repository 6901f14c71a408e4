"""Children that nobody waits for: as the first process of a container has them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from twisted.internet.task import Clock

from proxymux.orphans import INTERVAL, Orphans
from tests.conftest import until


def state(pid: int) -> str:
    """The state of a process: Z is a zombie; empty for one that there is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def ended_child() -> int:
    """A child that has ended, and that nobody has waited for."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    until(lambda: state(pid) == "Z", "the child to end")
    return pid


def test_what_has_ended_before_the_last_look_is_buried() -> None:
    clock = Clock()
    orphans = Orphans(clock)
    first = ended_child()
    orphans.start()
    orphans.start()
    second = ended_child()
    assert (state(first), state(second)) == ("Z", "Z")
    clock.advance(INTERVAL)
    assert (state(first), state(second)) == ("", "Z")
    clock.advance(INTERVAL)
    assert state(second) == ""
    orphans.stop()
    assert not clock.getDelayedCalls()


def test_who_has_started_a_child_still_learns_how_it_ended() -> None:
    clock = Clock()
    orphans = Orphans(clock)
    with subprocess.Popen(["sh", "-c", "exit 3"]) as child:
        until(lambda: state(child.pid) == "Z", "the child to end")
        orphans.start()
        assert child.wait() == 3
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as running:
        clock.pump([INTERVAL] * 3)
        assert running.poll() is None
    assert running.returncode == 0
    orphans.stop()

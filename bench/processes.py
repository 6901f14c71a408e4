"""Programs as child processes that always end, and what the kernel counts of them."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

START_SECONDS: Final = 20.0
#: How exactly the time of a start is known.
POLL_SECONDS: Final = 0.005
#: Longer than nginx and HAProxy need; proxymux may have connections to drain, which nobody waits for here.
STOP_SECONDS: Final = 2.0
#: What uses less CPU time within the second has started.
REST_CPU: Final = 0.002
REST_SECONDS: Final = 0.15


class Unavailable(Exception):
    """Something cannot be run; the text says what and why, in one line."""


class BrokenRun(Exception):
    """A program that should be running has failed."""


def exit_at_term() -> None:
    """Let TERM, which a cancelled build sends, end this program as an exception does: what it started ends too."""
    signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + number)


# Process groups and not sessions: the kernel would share the cores out among sessions before it looks at priorities.


@contextmanager
def running(argv: Sequence[str], log: Path) -> Iterator[int]:
    """Run a program in a process group of its own and end it, and all it started, afterwards.

    :param argv: the command.
    :param log: file that gets what it prints.
    :returns: its process id.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            preexec_fn=os.setpgrp,
        )
    try:
        yield process.pid
    except BrokenRun as error:
        raise BrokenRun(f"{error}; {Path(argv[0]).name} printed: {last_words(log)}") from error
    finally:
        end(process)


def end(process: subprocess.Popen[Any]) -> None:
    """End the process group of a child: politely, then not."""
    _signal_group(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()


def _signal_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        pass


def last_words(log: Path) -> str:
    """Return the end of what a program printed, as one line."""
    return " | ".join(log.read_text(errors="replace").splitlines()[-5:]) or "nothing"


def run_for_output(argv: Sequence[str], seconds: float) -> str:
    """Run a program to its end, and return its standard output.

    :param argv: the command.
    :param seconds: how long it may take.
    """
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=os.setpgrp)
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise BrokenRun(f"{Path(argv[0]).name} did not end within {seconds:.0f} s") from None
    finally:
        end(process)
    if process.returncode:
        said = (errors or output).decode(errors="replace").strip().splitlines()
        raise BrokenRun(f"{Path(argv[0]).name} failed: {' | '.join(said[-3:])}")
    return output.decode()


def await_listener(port: int, pid: int) -> None:
    """Return as soon as a port of this machine takes connections."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if not _alive(pid):
                raise BrokenRun("ended at its start") from None
            time.sleep(POLL_SECONDS)
    raise BrokenRun(f"not listening after {START_SECONDS:.0f} s")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def raise_descriptor_limit() -> int:
    """Raise the soft limit on descriptors to the hard one, for this process and its children, and return it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20


def children(pid: int, count: int) -> list[int]:
    """Return the ids of a master's workers, as soon as there are as many as there should be."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if len(found) == count:
            return [int(each) for each in found]
        time.sleep(0.02)
    raise BrokenRun(f"has not {count} workers")


def await_rest(pids: Sequence[int]) -> None:
    """Return as soon as processes have started: a worker may do so long after its master listens.

    They have if none of them has the command line of a Python that has given itself no title yet, and they use no CPU
    time any more.
    """
    deadline = time.monotonic() + START_SECONDS
    used = 0.0
    while time.monotonic() < deadline:
        before, used = used, sum(map(cpu_seconds, pids))
        if used - before < REST_CPU and not any(map(_is_plain_python, pids)):
            return
        time.sleep(REST_SECONDS)
    raise BrokenRun("has workers that do not start")


def _is_plain_python(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    return Path(command).name.startswith("python")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, of all threads of a process, which the kernel counts in nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def bytes_read(pid: int) -> int:
    """Return how many bytes a process has read, from sockets too, since it started."""
    counts = dict(line.split(":") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(counts["rchar"])


def resident_bytes(pid: int) -> tuple[int, int]:
    """Return what a process has in memory: all of it (VmRSS), and without files and shared memory (RssAnon)."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) * 1024, int(status["RssAnon"].split()[0]) * 1024

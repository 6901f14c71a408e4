"""What a reader has to know of the machine and the programs."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from bench.builds import Build

HERE: Final = Path(__file__).resolve().parent
#: A machine of which others used less than this part is called idle.
IDLE: Final = 0.03

Description = dict[str, Any]


class Machine:
    """This machine, from the beginning of a run on.

    :param builds: of proxymux, whose versions count.
    """

    def __init__(self, builds: Sequence[Build]) -> None:
        self._facts = _facts(builds)
        self._began = time.monotonic()
        self._all, self._own = busy_seconds(Path("/proc/stat").read_text()), _own_seconds()

    def describe(self) -> Description:
        """Return versions and facts by name, None for what is not there, and in words what it was and how busy."""
        capacity = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        others = busy_seconds(Path("/proc/stat").read_text()) - self._all - (_own_seconds() - self._own)
        others = max(0.0, others / capacity) if capacity else 0.0
        return {**self._facts, "others": round(others, 3), "words": in_words(self._facts, others)}


def busy_seconds(stat: str) -> float:
    """Return the CPU seconds that all programs have used.

    :param stat: what /proc/stat says.
    """
    user, nice, system = map(int, stat.split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def in_words(facts: Description, others: float) -> str:
    """Say what a machine is, and how busy it was.

    :param facts: of it.
    :param others: the part of its CPU time that other programs used.
    """
    what = f"{facts['cores']} cores ({facts['cpu']}), {facts['memory_gib']} GiB, Linux {facts['kernel']}"
    shared = "load, proxy and what is behind it share them"
    if others < IDLE:
        return f"{what}; {shared}, and nothing else ran"
    return f"{what}; {shared}, and other programs used {others:.0%} of them meanwhile"


def _own_seconds() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _facts(builds: Sequence[Build]) -> Description:
    git = ["git", "-C", str(HERE)]
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _first_line([*git, "rev-parse", "HEAD"]),
        # What was measured before is no change of the program.
        "changed_files": len(_output([*git, "status", "--porcelain", "--", ":/", ":!results"]).splitlines()),
        "kernel": platform.release(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)),
        "load_average": f"{os.getloadavg()[0]:.2f}",
        "builds": {
            build.peer: [_first_line([str(program), "--version"]) for program in (build.python, build.twistd)]
            for build in builds
        },
        "haproxy": _first_line(["haproxy", "-v"]),
        "nginx": _first_line(["nginx", "-v"]),
        "nutcracker": _first_line(["nutcracker", "--version"]),
        "redis": _first_line(["redis-server", "--version"]),
        "go": _first_line(["go", "version"]),
        "iperf3": _first_line(["iperf3", "--version"]),
        "compiler": _first_line(["cc", "--version"]),
    }


def _output(argv: Sequence[str]) -> str:
    if not shutil.which(argv[0]):
        return ""
    # nginx and nutcracker say their versions on standard error.
    done = subprocess.run(argv, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout if "fatal" not in done.stdout else ""


def _first_line(argv: Sequence[str]) -> str | None:
    lines = _output(argv).splitlines()
    return lines[0].strip() if lines else None


def _cpu_model() -> str | None:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else None

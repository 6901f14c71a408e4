"""What a reader has to know of the machine and the programs."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent


def describe(twistd: Path) -> dict[str, str | int | None]:
    """Return versions and facts by name; None for what is not there.

    :param twistd: the one whose versions count.
    """
    python = twistd.parent / "python"
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _first_line(["git", "-C", str(HERE), "rev-parse", "HEAD"]),
        "changed_files": len(_output(["git", "-C", str(HERE), "status", "--porcelain"]).splitlines()),
        "kernel": platform.release(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load_average": f"{os.getloadavg()[0]:.2f}",
        "python": _first_line([str(python if python.exists() else sys.executable), "--version"]),
        "twisted": _first_line([str(twistd), "--version"]),
        "haproxy": _first_line(["haproxy", "-v"]),
        "nginx": _first_line(["nginx", "-v"]),
        "wrk": _first_line(["wrk", "-v"]),
        "iperf3": _first_line(["iperf3", "--version"]),
        "compiler": _first_line(["cc", "--version"]),
    }


def _output(argv: Sequence[str]) -> str:
    if not shutil.which(argv[0]):
        return ""
    # wrk exits with 1 after it has said its version, nginx says it on standard error.
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout if "fatal" not in done.stdout else ""


def _first_line(argv: Sequence[str]) -> str | None:
    lines = _output(argv).splitlines()
    return lines[0].strip() if lines else None


def _cpu_model() -> str | None:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else None

"""The duties of the first process of a container: it is given the processes whose parents have ended, and buries them.

Otherwise each would stay behind as a zombie, until there is no number left for a new process.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: The number of a process that has these duties.
FIRST: Final = 1
#: Seconds between two looks.
INTERVAL: Final = 1.0
_TASKS: Final = Path("/proc/self/task")


class Orphans:
    """Waits for children that have ended and that nobody else waits for.

    Who has started a child waits for it, Twisted and user code alike; that needs a moment, and so only what has ended
    before the last look is buried.

    :param clock: measures when to look.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._ended: set[int] = set()
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Look from now on."""
        if self._call is None:
            self._look()

    def stop(self) -> None:
        """Look no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        self._call = self._clock.callLater(INTERVAL, self._look)
        ended = _zombies()
        for pid in ended & self._ended:
            with contextlib.suppress(ChildProcessError):  # somebody has waited for it meanwhile
                os.waitpid(pid, os.WNOHANG)
        self._ended = ended - self._ended


def _zombies() -> set[int]:
    """The numbers of this process's children that have ended; none where the system does not say."""
    children: list[str] = []
    with contextlib.suppress(OSError):
        for task in _TASKS.iterdir():
            with contextlib.suppress(OSError):  # a thread that has ended meanwhile
                children += (task / "children").read_text().split()
    return {int(each) for each in children if _is_zombie(each)}


def _is_zombie(pid: str) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] == "Z"

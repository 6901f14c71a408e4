"""Interrupts a call of user code that does not come back, where routers are tried: a loop without an end ends there.

It is for trying a router only: a service cannot do it, as the signal is the process's one.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from proxymux.errors import DecisionFailed
from proxymux.hooks.calling import HookCaller

#: What calls user code, or has it go on.
_CALLERS: Final = frozenset((HookCaller.call.__code__, HookCaller._awaited.__code__))


class Stuck(BaseException):
    """Is raised in user code that has not come back.  It is no Exception: user code may catch all of those."""


def is_interrupted(error: DecisionFailed) -> bool:
    """True if a call has failed as it was interrupted."""
    return error.fault.endswith(f": {Stuck.__name__}")


@contextmanager
def interrupting(seconds: float) -> Iterator[None]:
    """Interrupt each call of user code within the block that takes longer than ``seconds``, at most twice as long.

    That is between two steps of Python, and in the middle of a regular expression or a sleep.  An async function may
    wait for as long as it likes.  Outside of the main thread, or where there is no such signal, nothing is interrupted.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, _Watch().look)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Watch:
    """Looks at regular times whether the same call of user code is still running."""

    def __init__(self) -> None:
        #: The call that was running at the last look.  As long as it is kept, no other can be taken for it.
        self._seen: FrameType | None = None

    def look(self, _: int, frame: FrameType | None) -> None:
        while frame is not None and (frame.f_back is None or frame.f_back.f_code not in _CALLERS):
            frame = frame.f_back
        if frame is not None and frame is self._seen:
            raise Stuck("it was interrupted, as it did not come back")
        self._seen = frame

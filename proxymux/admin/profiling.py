"""Profiles of this process while it serves: which functions of the reactor's thread take the time."""

from __future__ import annotations

import cProfile
import io
import os
import pstats
from typing import Final

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from proxymux.errors import ProxymuxError

DEFAULT_SECONDS: Final = 5.0
MAX_SECONDS: Final = 60.0
#: How many functions a profile names.
_MOST_LINES: Final = 60


class ProfilerError(ProxymuxError):
    """There is a profiler at work already, of ours or another."""


class Profiler:
    """Makes one profile at a time; meanwhile the process takes about twice as long for everything.

    :param clock: measures for how long.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._is_busy = False

    def profile(self, seconds: float) -> Deferred[str]:
        """Look for ``seconds`` what takes the time.

        :returns: fires with a table, or fails with ProfilerError.
        """
        if self._is_busy:
            return fail(ProfilerError("a profile is being made; ask again when it is done"))
        profile = cProfile.Profile()
        try:
            profile.enable()
        except ValueError as error:
            return fail(ProfilerError(f"{error}"))
        self._is_busy = True
        done: Deferred[str] = Deferred()
        self._clock.callLater(seconds, self._finish, profile, seconds, done)
        return done

    def _finish(self, profile: cProfile.Profile, seconds: float, done: Deferred[str]) -> None:
        profile.disable()
        self._is_busy = False
        table = io.StringIO()
        table.write(f"process {os.getpid()}, {seconds:g} s\n")
        pstats.Stats(profile, stream=table).sort_stats("tottime").print_stats(_MOST_LINES)
        done.callback(table.getvalue())

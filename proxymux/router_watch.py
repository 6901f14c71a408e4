"""``--watch``: has a router loaded again when its file, or a module beside it, has changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from proxymux.printable import printable
from proxymux.source_files import MAX_ENTRIES, SourceFiles, Stamp, changed

#: Seconds between two looks.
INTERVAL: Final = 1.0
#: Seconds that the files must have been left alone: an editor may write several, or one in pieces.
SETTLED: Final = 0.2
#: Files that a line names.
_NAMED: Final = 3


class RouterWatch:
    """Looks whether the files of routers have changed, from the start of a service to its end.

    :param files: the routers' and what lies beside them.
    :param clock: when to look.
    :param reload: loads everything again, as HUP does, and logs what it cannot.
    """

    def __init__(self, files: SourceFiles, clock: IReactorTime, reload: Callable[[], object], log: Logger) -> None:
        self._files = files
        self._clock = clock
        self._reload = reload
        self._log = log
        #: As they were when the routers were loaded last, and at the last look.
        self._loaded: dict[str, Stamp] = {}
        self._seen: dict[str, Stamp] = {}
        self._call: IDelayedCall | None = None

    def start(self, service: Any) -> None:
        """Look from now on; the routers have been loaded just now."""
        self._loaded = self._seen = self._files.look()
        if self._files.has_more:
            self._log.warn("--watch: looks at {most} files and folders; there are more", most=MAX_ENTRIES)
        self._call = self._clock.callLater(INTERVAL, self._look)

    def stop(self, service: Any) -> Deferred[object]:
        """Look no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        return succeed(None)

    def _look(self) -> None:
        now = self._files.look()
        is_settled, self._seen = now == self._seen, now
        if now != self._loaded and not is_settled:
            self._call = self._clock.callLater(SETTLED, self._look)
            return
        self._call = self._clock.callLater(INTERVAL, self._look)
        paths = changed(self._loaded, now)
        if paths:
            self._loaded = now
            self._log.info("--watch: {files} changed", files=_in_words(paths))
            self._reload()


def _in_words(paths: Sequence[str]) -> str:
    names = [printable(os.path.relpath(path)) for path in paths[:_NAMED]]
    more = len(paths) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")

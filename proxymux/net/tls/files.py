"""Files that may change while the service runs."""

from __future__ import annotations

import os
from collections.abc import Iterable


class WatchedFiles:
    """Tells by the system's stamps whether files have changed, without reading them."""

    def __init__(self) -> None:
        self._stamps: tuple[object, ...] = ()
        #: The files looked at the last call as at the one before.
        self._is_settled = False

    def have_changed(self, paths: Iterable[str]) -> bool:
        """True if a file seems to have changed since the last call.

        After a change they are said to have changed once more: a file that is written twice in an instant may look as
        it did between the two.

        :param paths: of the files; a symbolic link stands for what it leads to.
        """
        stamps = tuple(map(_stamp, paths))
        if stamps == self._stamps and self._is_settled:
            return False
        self._is_settled = stamps == self._stamps
        self._stamps = stamps
        return True


def _stamp(path: str) -> object:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return path, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size

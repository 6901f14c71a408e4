"""The Python files beside a router: which there are, and which have changed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

#: The most entries of folders that one look takes in.
MAX_ENTRIES: Final = 10_000
#: Folders whose files are not the user's own, beside those of a virtual environment and those that begin with a dot.
_LEFT_OUT: Final = frozenset({"__pycache__", "site-packages", "dist-packages", "node_modules"})
_ENVIRONMENT: Final = "pyvenv.cfg"

#: What shows that a file has changed: time of change, inode, size.
Stamp: TypeAlias = tuple[int, int, int]


class SourceFiles:
    """The Python files in some folders and below, and further files.

    Symbolic links to folders are not followed.  What is nearest to the folders is looked at first.

    :param folders: where to look.
    :param files: looked at whatever their names are.
    :param most: entries of folders that one look takes in.
    """

    def __init__(self, folders: Iterable[str], files: Iterable[str] = (), most: int = MAX_ENTRIES) -> None:
        self._folders = tuple(dict.fromkeys(folders))
        self._files = tuple(files)
        self._most = most
        #: The last look has left files out, as there are too many.
        self.has_more = False

    def look(self) -> dict[str, Stamp]:
        """The files that there are now, each with its stamp."""
        stamps = {path: stamp for path in self._files if (stamp := _stamp(path)) is not None}
        self.has_more = False
        for entry in self._entries():
            if entry.name.endswith(".py"):
                stamp = _stamp(entry.path)
                if stamp is not None:
                    stamps[entry.path] = stamp
        return stamps

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        left, folders = self._most, deque(self._folders)
        while folders:
            below: list[os.DirEntry[str]] = []
            is_environment = False
            try:
                with os.scandir(folders.popleft()) as entries:
                    for entry in entries:
                        if not left:
                            self.has_more = True
                            return
                        left -= 1
                        is_environment = is_environment or entry.name == _ENVIRONMENT
                        if entry.is_dir(follow_symlinks=False):
                            below.append(entry)
                        else:
                            yield entry
            except OSError:  # it has gone, or may not be read
                continue
            if not is_environment:
                folders.extend(each.path for each in below if _is_own(each.name))


def _is_own(folder: str) -> bool:
    return not folder.startswith(".") and folder not in _LEFT_OUT


def _stamp(path: str) -> Stamp | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def changed(before: dict[str, Stamp], now: dict[str, Stamp]) -> list[str]:
    """The files that are new, gone or otherwise than they were, by name."""
    return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))

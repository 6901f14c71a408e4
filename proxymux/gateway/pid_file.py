"""Pid files: one says which process to signal, and keeps a second one from using the same file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from proxymux.errors import ConfigError
from proxymux.paths import obstacle_in

_PROCESSES: Final = Path("/proc")
#: Words of which the command line of a process that writes pid files has at least one.
_OURS: Final = (b"proxymux", b"twistd")


class PidFile:
    """A file with the id of this process.

    :param option: the option that names the file, for error messages.
    :param path: absolute, because twistd changes the working directory.
    """

    def __init__(self, option: str, path: str) -> None:
        self._option = option
        self._path = Path(path)
        self._pid: int | None = None

    def check(self) -> None:
        """Check that :meth:`create` would not fail now, and change nothing.

        :raises ConfigError: if it would.
        """
        self._refuse_running()
        reason = "it is a folder" if self._path.is_dir() else obstacle_in(str(self._path.parent))
        if reason is not None:
            raise self._not_written(reason)

    def create(self) -> None:
        """Write the file.  A file of a process that does not run any more is replaced.

        :raises ConfigError: if the file is a running gateway's, or cannot be written.
        """
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644), "w") as file:
                file.write(str(os.getpid()))
            try:
                self._link(draft)
            finally:
                draft.unlink()
        except OSError as error:
            raise self._not_written(error.strerror) from None
        self._pid = os.getpid()

    def _link(self, draft: Path) -> None:
        """Give the draft the file's name by a hard link: the file appears whole, or link() fails as the name exists."""
        try:
            os.link(draft, self._path)
        except FileExistsError:
            self._refuse_running()
            self._path.unlink(missing_ok=True)
            os.link(draft, self._path)

    def remove(self) -> None:
        """Remove the file that :meth:`create` made, unless it is another process's by now."""
        if self._pid is not None and self._pid == os.getpid() == _number_in(self._path):
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._pid = None

    def _refuse_running(self) -> None:
        owner = running_owner(self._path)
        if owner is not None:
            raise ConfigError(
                self._option, f"{self._path}: process {owner} is running; stop it, or name another file"
            ) from None

    def _not_written(self, reason: str | None) -> ConfigError:
        return ConfigError(self._option, f"{self._path}: {reason}; name a file in a directory that may be written")


def running_owner(path: Path | str) -> int | None:
    """The process that a pid file names, if it runs and is, as far as can be seen, one that has written it.

    This process is not it: in a container that is started anew it has the number of the one before.
    """
    owner = _number_in(Path(path))
    return owner if owner is not None and owner != os.getpid() and _is_running(owner) else None


def is_left_behind(path: str) -> bool:
    """True if a file is an empty one, or a pid file whose process does not run any more."""
    if running_owner(path) is not None or not os.path.isfile(path):
        return False
    return _number_in(Path(path)) is not None or not os.path.getsize(path)


def _number_in(path: Path) -> int | None:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.strip().isdecimal() and len(text) < 20 else None


def _is_running(pid: int) -> bool:
    """True if the process runs and is, as far as can be seen, twistd: process ids are used again."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    try:
        command = (_PROCESSES / str(pid) / "cmdline").read_bytes()
    except OSError:
        return True
    return any(word in command for word in _OURS)

"""The pid file: says which process to stop, and keeps a second one from taking its place."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from proxymux.errors import ConfigError

_PROCESSES: Final = Path("/proc")
#: What the command line of a process of ours has in it.
_OURS: Final = (b"proxymux", b"twistd")


class PidFile:
    """A file with the number of this process.

    :param option: that named it.
    :param path: where it is, absolute: twistd changes the working directory.
    """

    def __init__(self, option: str, path: str) -> None:
        self._option = option
        self._path = Path(path)
        self._pid: int | None = None

    def create(self) -> None:
        """Make it.  One that a process left behind which is no more is replaced.

        :raises ConfigError: if another process has it, or it cannot be written.
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
            raise ConfigError(
                self._option, f"{self._path}: {error.strerror}; name a file in a directory that may be written"
            ) from None
        self._pid = os.getpid()

    def _link(self, draft: Path) -> None:
        """Give the draft its name, which is there at once with all that is in it, or belongs to another already."""
        try:
            os.link(draft, self._path)
        except FileExistsError:
            owner = self._owner()
            if owner is not None and owner != os.getpid() and _is_running(owner):
                raise ConfigError(
                    self._option, f"{self._path}: process {owner} is running; stop it, or name another file"
                ) from None
            self._path.unlink(missing_ok=True)
            os.link(draft, self._path)

    def remove(self) -> None:
        """Undo :meth:`create`, unless the file is another process's by now."""
        if self._pid is not None and self._pid == os.getpid() == self._owner():
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._pid = None

    def _owner(self) -> int | None:
        try:
            text = self._path.read_text()
        except (OSError, UnicodeDecodeError):
            return None
        return int(text) if text.strip().isdecimal() and len(text) < 20 else None


def _is_running(pid: int) -> bool:
    """True if there is such a process and, as far as can be seen, it is one of ours: numbers are used again."""
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

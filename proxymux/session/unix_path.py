"""The path of a Unix socket to listen on: a process that is gone may have left one there, or one that runs may have it.

Who listens holds a lock of the system's (flock) on a file beside the socket, which ends with the process however that
ends.  The number of a process says nothing: in a container that is started anew it is the same as before.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
from typing import Final

from proxymux.paths import obstacle_in

#: Errors of a connect that say that nobody listens.
_STALE: Final = (errno.ECONNREFUSED, errno.ENOENT)
#: Bytes of the longest path that the system takes.
_LONGEST: Final = 107


class UnixPath:
    """A path to listen on.

    :param path: of the socket; one that begins with NUL is no file.
    :param locks: whether to hold a lock; without one, two processes that start in the same moment may both listen.
    """

    def __init__(self, path: str, locks: bool = True) -> None:
        self._path = path
        self._is_file = not path.startswith("\0")
        self._lock_path = f"{path}.lock" if locks and self._is_file else None
        self._lock: int | None = None
        self._identity: tuple[int, int] | None = None

    def listen(self, mode: int, backlog: int) -> socket.socket:
        """Return a socket that listens on the path.  One that nobody listens on any more is removed before.

        :param mode: who may connect, as the permissions of the socket.
        :raises OSError: if somebody listens there, something else is there, or it is not permitted.
        """
        self._check_length()
        self._acquire()
        try:
            self._clear()
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.bind(self._path)
                if self._is_file:
                    status = os.stat(self._path)
                    self._identity = (status.st_dev, status.st_ino)
                    os.chmod(self._path, mode)  # nobody can connect before listen()
                sock.listen(backlog)
                sock.setblocking(False)
            except OSError:
                sock.close()
                raise
        except OSError:
            self.release()
            raise
        return sock

    @property
    def file_number(self) -> int | None:
        """The number of the socket's file (inode); None while nobody listens here, or where there is no file."""
        return None if self._identity is None else self._identity[1]

    def adopt(self, number: int) -> bool:
        """Take over the path of a socket that listens already, with its lock.

        :param number: of its file.
        :returns: False if another file is there by now, or somebody else has the lock.
        """
        if not self._is_file:
            return True
        try:
            status = os.lstat(self._path)
            if not stat.S_ISSOCK(status.st_mode) or status.st_ino != number:
                return False
            self._acquire()
        except OSError:
            return False
        self._identity = (status.st_dev, status.st_ino)
        return True

    def leave(self) -> None:
        """Give up the lock and leave the socket there, as others keep it open."""
        self._identity = None
        self.release()

    def check(self) -> None:
        """Check that :meth:`listen` would not fail now, and change nothing.

        :raises OSError: if it would.
        """
        self._check_length()
        if not self._is_file:
            return
        reason = obstacle_in(os.path.dirname(self._path) or ".")
        if reason is not None:
            raise OSError(None, reason)
        if self._lock_path is not None and os.path.isfile(self._lock_path) and not os.path.islink(self._lock_path):
            with contextlib.suppress(FileNotFoundError):
                os.close(_locked(self._lock_path, os.O_RDWR))
        self._has_left_over()

    def release(self) -> None:
        """Remove the socket that :meth:`listen` has made, unless another is there by now, and give up the lock."""
        if self._identity is not None:
            with contextlib.suppress(OSError):
                status = os.lstat(self._path)
                if self._identity == (status.st_dev, status.st_ino):
                    os.unlink(self._path)
            self._identity = None
        if self._lock is not None and self._lock_path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._lock_path)
            os.close(self._lock)
            self._lock = None

    def _check_length(self) -> None:
        if not 0 < len(os.fsencode(self._path)) <= _LONGEST:
            raise OSError(errno.EINVAL, f"a path has 1 to {_LONGEST} bytes")

    def _clear(self) -> None:
        if self._is_file and self._has_left_over():
            os.unlink(self._path)

    def _has_left_over(self) -> bool:
        """True if a socket is there that nobody listens on.

        :raises OSError: if somebody listens there, or something else is there.
        """
        try:
            mode = os.lstat(self._path).st_mode
        except FileNotFoundError:
            return False
        if not stat.S_ISSOCK(mode):
            raise FileExistsError(errno.EEXIST, "something is there that is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)  # a full listen queue would have it wait
            if probe.connect_ex(self._path) in _STALE:
                return True
        raise _in_use()

    def _acquire(self) -> None:
        if self._lock_path is None:
            return
        if os.path.islink(self._lock_path):  # a lock of Twisted's, by the number of a process
            self._has_left_over()
            os.unlink(self._lock_path)
        self._lock = _locked(self._lock_path, os.O_RDWR | os.O_CREAT)


def _locked(path: str, flags: int) -> int:
    """Open and lock a file.

    :raises OSError: if it cannot be opened, or another process has the lock.
    """
    while True:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise _in_use() from None
        except FileNotFoundError:
            pass
        os.close(descriptor)  # who had it has removed it as it was opened here


def _in_use() -> OSError:
    return OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

"""Files that the operator names: why one cannot be written, and whether others may read one that holds a secret."""

from __future__ import annotations

import os
import stat


def obstacle(path: str) -> str | None:
    """Why no file can be written at ``path``; None if one can, as far as can be seen without writing it."""
    folder = os.path.dirname(path) or "."
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return obstacle_in(folder)
    except OSError as error:
        return error.strerror
    if stat.S_ISDIR(mode):
        return "it is a folder"
    return None if os.access(path, os.W_OK) else "no permission to write to it"


def obstacle_in(folder: str) -> str | None:
    """Why no file can be made in ``folder``; None if one can, as far as can be seen without making it."""
    if not os.path.exists(folder):
        return f"there is no folder {folder}"
    if not os.path.isdir(folder):
        return f"{folder} is no folder"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"no permission to write in {folder}"


def exposure(path: str) -> str | None:
    """What to do about a file that every user of the machine can read; None if not everybody can.

    A file in a folder that others cannot enter is safe, whatever its own mode.
    """
    path = os.path.realpath(path)
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if not mode & stat.S_IROTH:
            return None
        folder = path
        while folder != (folder := os.path.dirname(folder)):
            if not os.stat(folder).st_mode & stat.S_IXOTH:
                return None
    except OSError:
        return None
    return f"{path} can be read by every user (mode {mode:04o}); chmod o-rwx it"

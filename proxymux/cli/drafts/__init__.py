"""``proxymux init`` and ``proxymux new``: write files to begin with, and nothing over a file that is there."""

from __future__ import annotations

import keyword
import os
import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from proxymux.core.excerpt import excerpt
from proxymux.errors import ProxymuxError
from proxymux.printable import printable

#: What a client of the router sends first.
_SAMPLE: Final = b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n"
#: The name of a router: it is one of a unit and of folders, too.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z", re.ASCII)
#: The name of a codec: that of a module.
_MODULE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}\Z", re.ASCII)
#: Modules that a codec's would stand before, beside those of Python's library.
_TAKEN: Final = frozenset({"proxymux", "twisted", "pytest"})


class NotWritten(ProxymuxError):
    """Files could not be written; the text says why, and none of them is there."""


def init(path: str) -> list[str]:
    """Write a router with its test, a sample of what it is sent and a unit for systemd.

    :param path: of a folder, which is made if it is not there; its name is the router's.
    :returns: what to tell the user, in lines.
    :raises NotWritten: if there is one of the files, or the folder cannot be made.
    """
    folder = Path(path)
    name = os.path.basename(os.path.abspath(path))
    if not _NAME.match(name):
        raise NotWritten(f"{excerpt(name)} is no name for a router: up to 64 letters, digits, _, . and - are")
    words = {"NAME": name, "TWISTD": str(Path(sys.executable).with_name("twistd"))}
    _write(
        folder,
        {
            "router.py": _filled("router.py", words),
            "test_router.py": _filled("test_router.py", words),
            "get.sample": _SAMPLE,
            f"{name}.service": _filled("unit.service", words),
        },
    )
    return [
        f"wrote {printable(path)}: router.py, test_router.py, get.sample, {name}.service",
        "",
        f"    cd {printable(path)}",
        "    python -m pytest",
        "    proxymux check router.py --sample get.sample",
        "    twistd -n --pidfile= proxymux --router router.py --port 8000 --watch --access-log -",
    ]


def new_codec(name: str) -> list[str]:
    """Write a codec with its tests into the working directory.

    :param name: of its module.
    :returns: what to tell the user, in lines.
    :raises NotWritten: if there is one of the files, or it cannot be written.
    """
    if not _MODULE.match(name) or keyword.iskeyword(name):
        raise NotWritten(
            f"{excerpt(name)} is no name for a codec: a small letter, then up to 31 small letters, digits and _ are"
        )
    if name in sys.stdlib_module_names or name in _TAKEN:
        raise NotWritten(f"{name}: there is a module of that name, which this one would hide; choose another")
    words = {"NAME": name}
    _write(Path(), {f"{name}.py": _filled("codec.py", words), f"test_{name}.py": _filled("test_codec.py", words)})
    return [
        f"wrote {name}.py and test_{name}.py",
        "",
        f"    python -m pytest test_{name}.py",
        f"    twistd -n --pidfile= proxymux-pool --codec {name}:Codec --listen tcp:7001 --target 127.0.0.1:7000",
    ]


def _filled(name: str, words: Mapping[str, str]) -> bytes:
    """A template, with words in the place of their names, which stand between at signs."""
    text = files("proxymux.cli.drafts").joinpath("templates", f"{name}.txt").read_text(encoding="utf-8")
    return re.sub(r"@([A-Z]+)@", lambda found: words[found[1]], text).encode()


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder, all of them or none, and none over another.

    :raises NotWritten: naming the file that is there, or cannot be written.
    """
    for name in contents:
        if os.path.lexists(folder / name):
            raise NotWritten(f"{folder / name}: is there already; nothing was written")
    written: list[Path] = []
    path = folder
    try:
        folder.mkdir(exist_ok=True)
        for name, content in contents.items():
            path = folder / name
            with open(path, "xb") as file:
                written.append(path)
                file.write(content)
    except OSError as error:
        for each in written:
            each.unlink(missing_ok=True)
        raise NotWritten(f"{path}: {error.strerror}; nothing was written") from None

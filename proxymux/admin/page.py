"""The files of the status page, which come from the package: a browser asks nobody else."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

#: The types of the files, by their endings.
_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
#: The page itself.
PAGE: Final = "status.html"
#: What it loads.
FILES: Final = (
    "icon.svg",
    "status.css",
    "status.js",
    "feed.js",
    "samples.js",
    "chart.js",
    "sessions.js",
    "window.js",
    "tables.js",
    "actions.js",
    "explain.js",
    "text.js",
)


@cache
def read(name: str) -> bytes:
    """The content of one of our files; it is read once."""
    return files("proxymux.admin").joinpath("templates", name).read_bytes()


def type_of(name: str) -> str:
    """The type of one of :data:`FILES`."""
    return _TYPES[name.rpartition(".")[2]]

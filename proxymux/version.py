"""The version and the build, where everything may import them from."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

__version__ = "0.1.0"

#: One of the modules that are compiled all together, or not at all: those of compiling/modules.txt.
_ONE = "proxymux.core.session"


def compiled() -> Literal["yes", "no"]:
    """Whether the modules that carry traffic are compiled, or run as the Python that they are written in."""
    spec = find_spec(_ONE)
    return "no" if spec is None or (spec.origin or "").endswith(".py") else "yes"

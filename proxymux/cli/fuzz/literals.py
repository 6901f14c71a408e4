"""The texts that are written in a router's source: what it compares with is what may lead it astray."""

from __future__ import annotations

import ast
from typing import Final

#: The most tokens of a source, and the most bytes of one.
_MOST: Final = 512
_LONGEST: Final = 64


def literals(source: bytes) -> tuple[bytes, ...]:
    """The bytes and texts in ``source``, each once, in their order; none of what is no Python.

    Longer ones than 64 bytes, such as docstrings, are no tokens of a protocol and are left out.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    found: dict[bytes, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, (bytes, str)):
            text = node.value if isinstance(node.value, bytes) else node.value.encode("utf-8", "surrogatepass")
            if 0 < len(text) <= _LONGEST and len(found) < _MOST:
                found[text] = None
    return tuple(found)

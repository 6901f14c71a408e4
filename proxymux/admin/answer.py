"""Answers of the admin endpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

_TEXT: Final = "text/plain; charset=utf-8"
#: Header fields of every answer.  A page may load what is ours, and nothing else, and nobody may frame it.
SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request is answered.

    :param headers: further header fields.
    """

    status: int
    body: bytes
    content_type: str = _TEXT
    headers: dict[str, str] = field(default_factory=dict)


def text(status: int, words: str, **headers: str) -> Answer:
    """An answer in words, of one line or more; in the names of ``headers`` underscores stand for dashes."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, words.encode("utf-8", "backslashreplace") + b"\n", headers=fields)


def as_json(value: Any, status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(status, json.dumps(value).encode() + b"\n", "application/json")

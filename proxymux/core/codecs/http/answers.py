"""Replies of our own: errors and 100 Continue."""

from __future__ import annotations

from typing import Final

from proxymux.core.codecs.pieces import one_line
from proxymux.errors import BadMessage

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_REASONS: Final = {
    400: "Bad Request",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


def error(status: int, problem: str) -> bytes:
    """Make an error reply with ``Connection: close``.

    :param problem: becomes the body, in one line.
    """
    text = one_line(problem)
    return (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: text/plain\r\nContent-Length: {len(text) + 1}\r\n"
        f"Connection: close\r\n\r\n{text}\n"
    ).encode("ascii")


def bad(problem: str, status: int = 400) -> BadMessage:
    """Make the error for a message that is refused; it carries the error reply for the client."""
    return BadMessage(f"HTTP: {problem}", error(status, problem))

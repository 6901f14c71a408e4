"""The gateway's handshake: one line with a token, answered by three digits.

What was read from the client goes in, and what the gateway makes of it comes out; see ``docs/gateway.rst`` for the wire
format, and :mod:`proxymux.core.token` for what a token is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxymux.core.token import MAX_TOKEN

CONNECTED: Final = b"200"
BAD_LINE: Final = b"400"
BAD_TOKEN: Final = b"401"
NO_CONNECTION: Final = b"502"
TIMED_OUT: Final = b"504"


class TooLong(ValueError):
    """There is no line's end where the last one can be."""


@dataclass(frozen=True, slots=True)
class Line:
    """The client's line.

    :param token: without LF or CRLF.
    :param rest: what has come after it, which is the upstream's.
    """

    token: bytes
    rest: bytes


def read_line(data: bytes) -> Line | None:
    """The line at the beginning of ``data``, or None if it is not whole.

    :raises TooLong: if it cannot become one of at most :data:`MAX_TOKEN` bytes.
    """
    end = data.find(b"\n", 0, MAX_TOKEN + 2)
    if end < 0:
        if len(data) > MAX_TOKEN + 1 or (len(data) > MAX_TOKEN and data[MAX_TOKEN] != 0x0D):
            raise TooLong
        return None
    token = data[: end - 1] if data[:end].endswith(b"\r") else data[:end]
    if len(token) > MAX_TOKEN:
        raise TooLong
    return Line(token, data[end + 1 :])

"""The gateway's handshake: the client sends one line with a token, and the gateway answers with three digits.

This module reads the line and names the statuses; what a token says is in :mod:`proxymux.core.token`.  The wire format
is described in ``docs/gateway.rst``.
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
    """The client's line is longer than a token can be."""


@dataclass(frozen=True, slots=True)
class Line:
    """The client's line.

    :param token: without LF or CRLF.
    :param rest: bytes that have come after the line, for the upstream.
    """

    token: bytes
    rest: bytes


def read_line(data: bytes) -> Line | None:
    """The line at the beginning of ``data``, or None while its end has not come.

    :raises TooLong: as soon as the token must exceed :data:`MAX_TOKEN` bytes.
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

"""The gateway's handshake: the client sends one line with a token, and the gateway answers with three digits.

This module reads the line and names the statuses; :mod:`proxymux.core.token` opens tokens.  ``docs/gateway.rst``
describes the wire format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxymux.core.token import MAX_TOKEN

# The statuses
CONNECTED: Final = b"200"
BAD_LINE: Final = b"400"
BAD_TOKEN: Final = b"401"
NO_CONNECTION: Final = b"502"
TIMED_OUT: Final = b"504"


class TooLong(ValueError):
    """The client's line is longer than a token can be."""


@dataclass(frozen=True, slots=True)
class Line:
    """The first line that a client has sent.

    :param token: the line without LF or CRLF.
    :param rest: the bytes that have come after the line; they are for the upstream.
    """

    token: bytes
    rest: bytes


def read_line(data: bytes) -> Line | None:
    """Read the line at the beginning of ``data``.

    :param data: all bytes that the client has sent.
    :returns: the line; None while its end has not come.
    :raises TooLong: as soon as the token must be longer than :data:`MAX_TOKEN` bytes.
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

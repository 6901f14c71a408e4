"""Checks of PostgreSQL: a connection is begun as ``pg_isready`` does it, and not gone on with.

The server answers by asking for a password, and logs nothing when the connection ends then.  An SSLRequest would be
answered even by a server that is full, and one with TLS logs an error for each that no handshake follows.
"""

from __future__ import annotations

import struct
from typing import Final

from proxymux.core.check_talk.talk import PASSED, WAIT, Step, shown
from proxymux.core.decision import NEED_DATA

#: Who begins the connection; need not exist.
USER: Final = b"proxymux"
#: The longest message, in bytes.
LONGEST: Final = 8192
_PARAMETERS: Final = b"user\0" + USER + b"\0database\0postgres\0\0"
_STARTUP: Final = struct.pack(">II", 8 + len(_PARAMETERS), 3 << 16) + _PARAMETERS
_TERMINATE: Final = b"X\0\0\0\4"
_AUTHENTICATION, _ERROR = b"R", b"E"
#: Classes of errors (SQLSTATE) that are the server's own: no resources, starting or going down, the system, a defect.
#: All others are about who has begun the connection, by a server that serves.
_NOT_SERVING: Final = (b"53", b"57", b"58", b"XX")


class PostgresTalk:
    """A request for a password is good, and so is an error that is about the user or the database."""

    def __init__(self) -> None:
        self._data = bytearray()

    def begin(self) -> Step:
        return Step(NEED_DATA, _STARTUP)

    def received(self, data: bytes) -> Step:
        self._data += data[: LONGEST + 1]
        kind, length = bytes(self._data[:1]), int.from_bytes(self._data[1:5], "big")
        if kind not in (_AUTHENTICATION, _ERROR):
            return Step("the answer is not PostgreSQL's") if kind else WAIT
        if len(self._data) < 5:
            return WAIT
        if not 8 <= length <= LONGEST:
            return Step("the answer is not PostgreSQL's")
        if len(self._data) < 1 + length:
            return WAIT
        message = bytes(self._data[5 : 1 + length])
        return self._failed(message) if kind == _ERROR else self._asked(message)

    def ended(self) -> str:
        return "ended before its answer was whole" if self._data else "ended without an answer"

    def _asked(self, message: bytes) -> Step:
        """What is made of a request for a password, which may be that none is needed."""
        return PASSED._replace(send=_TERMINATE) if message[:4] == bytes(4) else PASSED

    def _failed(self, message: bytes) -> Step:
        fields = {field[:1]: field[1:] for field in message.split(b"\0")}
        code = fields.get(b"C", b"")
        if not code.startswith(_NOT_SERVING):
            return PASSED
        return Step(f"answered with the error {shown(code)}, {shown(fields.get(b'M', b''))}")

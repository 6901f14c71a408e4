"""Checks of MySQL and MariaDB: the greeting, and a login that is meant to fail.

A server counts connections that end after its greeting, and refuses everything from an address that has made too many
of them (``max_connect_errors``, 100) without a login between them.  So the check goes on to log in as a user who need
not exist: a refused login does not count.  A user :data:`USER` without a password and without rights makes the checks
leave no line in the server's log.
"""

from __future__ import annotations

import struct
from typing import Final

from proxymux.core.check_talk.talk import PASSED, WAIT, Step, shown
from proxymux.core.decision import NEED_DATA

#: Who logs in.
USER: Final = b"proxymux"
#: The longest packet, in bytes.
LONGEST: Final = 4096
#: The most times that the server may ask for another way to log in.
_MOST_SWITCHES: Final = 2
_GREETING, _OK, _SWITCH, _ERROR = 0x0A, 0x00, 0xFE, 0xFF
#: Errors after the greeting that are not about who logs in: too many connections, the server is going down.
_NOT_SERVING: Final = (1040, 1053)
# Capabilities: the protocol of 4.1, its passwords, and the name of the way to log in.
_PROTOCOL_41: Final = 0x0200 | 0x8000
_PLUGIN_AUTH: Final = 0x80000
#: Bytes of a greeting from the connection's number to the reserved ones.
_FIXED: Final = struct.Struct("<I8sxHBHHB10x")
_QUIT: Final = b"\1"


class MysqlTalk:
    """A greeting of protocol 10 is good, and so is whatever answers the login, but for errors of the server's own."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._is_greeted = False
        self._switches = 0

    def begin(self) -> Step:
        return WAIT

    def received(self, data: bytes) -> Step:
        self._data += data[: LONGEST + 4]
        if len(self._data) < 4:
            return WAIT
        length = int.from_bytes(self._data[:3], "little")
        if not 0 < length <= LONGEST:
            return Step("the answer is not MySQL's")
        if len(self._data) < 4 + length:
            return WAIT
        number, packet = self._data[3], bytes(self._data[4 : 4 + length])
        self._data.clear()  # the server says no more before it is answered
        return self._answered(number, packet) if self._is_greeted else self._greeted(number, packet)

    def ended(self) -> str:
        return "ended without an answer to the login" if self._is_greeted else "ended before its greeting was whole"

    def _greeted(self, number: int, packet: bytes) -> Step:
        if packet[0] == _ERROR:
            return Step(_error(packet)[1])
        if packet[0] != _GREETING:
            return Step("the answer is not a greeting of MySQL's protocol 10")
        self._is_greeted = True
        plugin = _plugin(packet)
        capabilities = _PROTOCOL_41 | (_PLUGIN_AUTH if plugin else 0)
        login = struct.pack("<IIB23x", capabilities, 1 << 24, 33) + USER + b"\0\0"
        return Step(NEED_DATA, _packet(number + 1, login + (plugin + b"\0" if plugin else b"")))

    def _answered(self, number: int, packet: bytes) -> Step:
        if packet[0] == _ERROR:
            code, problem = _error(packet)
            return Step(problem) if code in _NOT_SERVING else PASSED
        if packet[0] == _SWITCH and self._switches < _MOST_SWITCHES:
            self._switches += 1
            return Step(NEED_DATA, _packet(number + 1, b""))  # no password in that way either
        return PASSED._replace(send=_packet(0, _QUIT)) if packet[0] == _OK else PASSED


def _packet(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number & 0xFF]) + payload


def _plugin(greeting: bytes) -> bytes:
    """The way to log in that the server begins with; empty if it names none."""
    _, _, rest = greeting[1:].partition(b"\0")
    if len(rest) < _FIXED.size:
        return b""
    _, _, low, _, _, high, length = _FIXED.unpack_from(rest)
    if not (low | high << 16) & _PLUGIN_AUTH:
        return b""
    return rest[_FIXED.size + max(13, length - 8) :].partition(b"\0")[0]


def _error(packet: bytes) -> tuple[int, str]:
    """The number of an error, and a text with it."""
    code, text = int.from_bytes(packet[1:3], "little"), packet[3:]
    if text.startswith(b"#"):
        text = text[6:]  # behind the SQLSTATE
    return code, f"answered with the error {code}, {shown(text)}"

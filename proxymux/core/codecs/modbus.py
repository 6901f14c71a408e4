"""Modbus TCP (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3: the MBAP header)."""

from __future__ import annotations

from collections import deque
from typing import Final

from proxymux.core.codecs import CodecBase, Request
from proxymux.core.codecs.pieces import Due, unsolicited
from proxymux.errors import BadMessage

#: Bytes of the header up to and including the length: transaction id, protocol id, length, of two bytes each.
_PREFIX: Final = 6
#: Valid lengths: at least unit id and function code, at most what makes a message of 260 bytes.
_LENGTHS: Final = range(2, 255)


class ModbusCodec(CodecBase):
    """The codec ``modbus``.  It makes no error replies, as these would need the request's transaction id."""

    name = "modbus"

    def requests(self) -> ModbusRequests:
        return ModbusRequests()

    def replies(self) -> ModbusReplies:
        return ModbusReplies()

    def failure(self, problem: str) -> bytes:
        return b""


class _Messages:
    """Finds where messages end.  Keeps a part of the first six bytes, or the number of bytes that are still to come."""

    def __init__(self) -> None:
        self._prefix = b""
        self._bytes_left = 0
        #: The transaction id of the last message whose first six bytes have come.
        self.transaction = 0

    @property
    def is_between(self) -> bool:
        return not self._bytes_left and not self._prefix

    @property
    def is_known(self) -> bool:
        """True if :attr:`transaction` belongs to the current message, False within its first six bytes."""
        return not self._prefix

    def next_end(self, data: bytes, at: int) -> int | None:
        """Return the offset where the message at ``at`` ends; None if it does not end in ``data``.

        :param at: the offset where the message begins or continues.
        :raises BadMessage: if the header is not valid.
        """
        if not self._bytes_left:
            taken = _PREFIX - len(self._prefix)
            self._prefix += data[at : at + taken]
            if len(self._prefix) < _PREFIX:
                return None
            at += taken
            self._read_prefix()
        end = at + self._bytes_left
        size = len(data)
        self._bytes_left = max(0, end - size)
        return end if end <= size else None

    def _read_prefix(self) -> None:
        """Read the first six bytes of a message, which are complete."""
        prefix, self._prefix = self._prefix, b""
        self.transaction = int.from_bytes(prefix[:2], "big")
        if prefix[2:4] != b"\0\0":
            raise BadMessage(f"Modbus: the protocol id is {prefix[2:4].hex()}, not 0000")
        self._bytes_left = int.from_bytes(prefix[4:], "big")
        if self._bytes_left not in _LENGTHS:
            raise BadMessage(f"Modbus: the length is {self._bytes_left}, not from {_LENGTHS[0]} to {_LENGTHS[-1]}")


class ModbusRequests:
    """Finds the requests of one client.  The hint of a request is its transaction id."""

    interim = b""

    def __init__(self) -> None:
        self._messages = _Messages()

    @property
    def is_between(self) -> bool:
        return self._messages.is_between

    def feed(self, data: bytes) -> list[Request]:
        requests: list[Request] = []
        messages = self._messages
        at = 0
        try:
            while at < len(data):
                end = messages.next_end(data, at)
                if end is None:
                    break
                requests.append(Request(end, hint=messages.transaction))
                at = end
        except BadMessage as bad:
            bad.finished = requests
            raise
        return requests


class ModbusReplies(Due):
    """Finds the replies of one device.

    A reply with another transaction id than the request's belongs to a request that was given up; it is an error.
    """

    def __init__(self) -> None:
        super().__init__()
        self._messages = _Messages()
        self._transactions: deque[int] = deque()

    @property
    def is_between(self) -> bool:
        return self._messages.is_between

    def expect(self, hint: int, count: int = 1) -> None:
        self._transactions.extend([hint] * count)

    def feed(self, data: bytes) -> list[int]:
        ends: list[int] = []
        messages = self._messages
        at = 0
        try:
            while at < len(data):
                if not self._transactions:
                    raise unsolicited(ends)
                end = messages.next_end(data, at)
                if messages.is_known and messages.transaction != self._transactions[0]:
                    raise BadMessage(
                        f"Modbus: a reply with the transaction id {messages.transaction}, not {self._transactions[0]}"
                    )
                if end is None:
                    break
                ends.append(end)
                self._transactions.popleft()
                at = end
        except BadMessage as bad:
            bad.finished = ends
            raise
        return ends

"""Modbus TCP (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3: the MBAP header)."""

from __future__ import annotations

from collections import deque
from typing import Final

from proxymux.core.codecs import CodecBase, Request
from proxymux.core.codecs.pieces import Due, unsolicited
from proxymux.errors import BadMessage

#: Bytes before those that the length counts: transaction id, protocol id, length.
_PREFIX: Final = 6
#: What the length may be: from unit id and function code, to a message of 260 bytes.
_LENGTHS: Final = range(2, 255)


class ModbusCodec(CodecBase):
    """Modbus TCP.  It has no error reply of the proxy's own: one would need the request's transaction id."""

    name = "modbus"

    def requests(self) -> ModbusRequests:
        return ModbusRequests()

    def replies(self) -> ModbusReplies:
        return ModbusReplies()

    def failure(self, problem: str) -> bytes:
        return b""


class _Messages:
    """Messages one after the other.  Of one that is not whole, what came of the first six bytes is kept."""

    def __init__(self) -> None:
        self._prefix = b""
        self._left = 0
        self.transaction = 0

    @property
    def is_between(self) -> bool:
        return not self._left and not self._prefix

    @property
    def is_known(self) -> bool:
        """True if :attr:`transaction` is that of the message that is coming, or came last."""
        return not self._prefix

    def next_end(self, data: bytes, at: int) -> int | None:
        """Where the message ends that begins or goes on at ``at``; None if not in ``data``."""
        if not self._left:
            taken = _PREFIX - len(self._prefix)
            self._prefix += data[at : at + taken]
            if len(self._prefix) < _PREFIX:
                return None
            at += taken
            self._read()
        end = at + self._left
        size = len(data)
        self._left = max(0, end - size)
        return end if end <= size else None

    def _read(self) -> None:
        """The first six bytes of a message have come."""
        prefix, self._prefix = self._prefix, b""
        self.transaction = int.from_bytes(prefix[:2], "big")
        if prefix[2:4] != b"\0\0":
            raise BadMessage(f"Modbus: the protocol id is {prefix[2:4].hex()}, not 0000")
        self._left = int.from_bytes(prefix[4:], "big")
        if self._left not in _LENGTHS:
            raise BadMessage(f"Modbus: the length is {self._left}, not from {_LENGTHS[0]} to {_LENGTHS[-1]}")


class ModbusRequests:
    """Finds the requests of one client.  The hint of each is its transaction id."""

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

    A reply whose transaction id is not that of the request is a late one, to a request that was given up.
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

"""Modbus TCP (MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3: the MBAP header).

A reply names its request three times: by the transaction id, the unit and the function.  All are compared.  As clients
number their requests independently, two may use one id at the same time; so each connection has ids of its own, and
:class:`ModbusReplies` puts the client's back into the reply.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from proxymux.core.codecs import CodecBase, Request
from proxymux.core.codecs.limits import DEFAULT_LIMITS, Limits
from proxymux.core.codecs.modbus_view import ModbusView
from proxymux.core.codecs.pieces import Due, Stateless, unsolicited
from proxymux.errors import BadMessage

#: Bytes of the MBAP header without the unit id: transaction id, protocol id, length, of two bytes each.
_PREFIX: Final = 6
#: Bytes of a message up to and including the function code, which every message has.
_HEADER: Final = 8
#: Valid lengths: at least unit id and function code, at most what makes a message of 260 bytes.
_LENGTHS: Final = range(2, 255)
#: Set in the function code of a reply that reports an error.
_IS_EXCEPTION: Final = 0x80
#: "Gateway target device failed to respond" (MODBUS Application Protocol Specification V1.1b3, section 7).
_NO_RESPONSE: Final = 0x0B


class Hint(NamedTuple):
    """What the reply to a request has to repeat."""

    transaction: int
    unit: int
    function: int

    def fits(self, reply: Hint) -> bool:
        """True if the header of a reply is that of one to this request."""
        return (
            reply.transaction == self.transaction
            and reply.unit == self.unit
            and reply.function in (self.function, self.function | _IS_EXCEPTION)
        )

    def __str__(self) -> str:
        return f"the transaction id {self.transaction}, unit {self.unit} and function {self.function}"


class ModbusCodec(CodecBase):
    """The codec ``modbus``.

    :param limits: not needed, as the protocol has a limit of its own.
    """

    name = "modbus"
    rewrites = True

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__()

    def requests(self) -> ModbusRequests:
        return ModbusRequests()

    def replies(self) -> ModbusReplies:
        return ModbusReplies()

    def failure_for(self, request: bytes, problem: str) -> bytes:
        """Return an exception reply; it has no room for the problem."""
        function = request[_HEADER - 1] | _IS_EXCEPTION
        return request[:4] + b"\0\3" + request[_PREFIX : _PREFIX + 1] + bytes((function, _NO_RESPONSE))

    def view(self, data: bytes) -> ModbusView:
        return ModbusView(data)


class _Messages:
    """Finds where messages end.  Keeps a part of the header, or the number of bytes that are still to come."""

    def __init__(self) -> None:
        self._kept = b""
        self._bytes_left = 0
        #: The header of the last message of which it has come.
        self.header = Hint(0, 0, 0)

    @property
    def is_between(self) -> bool:
        return not self._bytes_left and not self._kept

    @property
    def is_known(self) -> bool:
        """True if :attr:`header` belongs to the current message, False until its header has come."""
        return not self._kept

    def next_end(self, data: bytes, at: int) -> int | None:
        """Return the offset where the message at ``at`` ends; None if it does not end in ``data``.

        :param at: the offset where the message begins or continues.
        :raises BadMessage: if the header is not valid.
        """
        if not self._bytes_left:
            taken = _HEADER - len(self._kept)
            self._kept += data[at : at + taken]
            length = _length(self._kept)
            if len(self._kept) < _HEADER:
                return None
            at += taken
            header, self._kept = self._kept, b""
            self.header = Hint(int.from_bytes(header[:2], "big"), header[_PREFIX], header[_PREFIX + 1])
            self._bytes_left = length - (_HEADER - _PREFIX)
        end = at + self._bytes_left
        size = len(data)
        self._bytes_left = max(0, end - size)
        return end if end <= size else None


def _length(header: bytes) -> int:
    """Return the number of bytes behind the first six of a message; 0 if those have not come.

    :raises BadMessage: if what has come of the header is not valid.
    """
    if len(header) < _PREFIX:
        return 0
    if header[2:4] != b"\0\0":
        raise BadMessage(f"Modbus: the protocol id is {header[2:4].hex()}, not 0000")
    length = int.from_bytes(header[4:_PREFIX], "big")
    if length not in _LENGTHS:
        raise BadMessage(f"Modbus: the length is {length}, not from {_LENGTHS[0]} to {_LENGTHS[-1]}")
    return length


class ModbusRequests(Stateless):
    """Finds the requests of one client."""

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
                requests.append(Request(end, hint=messages.header))
                at = end
        except BadMessage as bad:
            bad.finished = requests
            raise
        return requests


class ModbusReplies(Due):
    """Finds the replies of one device, and gives the requests to it transaction ids of their own.

    A reply with another header than the request's belongs to a request that was given up; it is an error.
    """

    def __init__(self) -> None:
        super().__init__()
        self._messages = _Messages()
        #: What the replies that are due have to repeat, with the clients' transaction ids.
        self._hints: deque[Hint] = deque()
        #: For each of them our transaction id and the client's.
        self._ids: deque[tuple[bytes, bytes]] = deque()
        self._last_id = 0
        #: The beginning of a reply that is not whole.
        self._kept = b""
        #: Why the bytes that follow on what :meth:`incoming` has returned must reach nobody.
        self._problem: BadMessage | None = None

    @property
    def is_between(self) -> bool:
        return self._messages.is_between and not self._kept

    def expect(self, hint: Hint, count: int = 1) -> None:
        self._hints.extend([hint] * count)

    def outgoing(self, data: bytes) -> bytes:
        out = bytearray(data)
        at = 0
        while at < len(data):
            self._last_id = (self._last_id + 1) % 0x10000
            ours = self._last_id.to_bytes(2, "big")
            self._ids.append((ours, data[at : at + 2]))
            out[at : at + 2] = ours
            at += _PREFIX + _length(data[at : at + _PREFIX])
        return bytes(out)

    def incoming(self, data: bytes) -> bytes:
        data = self._kept + data
        replies: list[bytes] = []
        messages = _Messages()
        at = 0
        try:
            while at < len(data):
                if not self._ids:
                    raise unsolicited([])
                ours, theirs = self._ids[0]
                if not ours.startswith(data[at : at + 2]):
                    raise BadMessage("Modbus: a reply with another transaction id than the request's")
                end = messages.next_end(data, at)
                if end is None:
                    break
                self._ids.popleft()
                replies.append(theirs + data[at + 2 : end])
                at = end
        except BadMessage as problem:
            self._problem = problem
        self._kept = data[at:]
        return b"".join(replies)

    def feed(self, data: bytes) -> list[int]:
        ends: list[int] = []
        messages = self._messages
        at = 0
        try:
            while at < len(data):
                if not self._hints:
                    raise unsolicited(ends)
                end = messages.next_end(data, at)
                if messages.is_known and not self._hints[0].fits(messages.header):
                    raise BadMessage(f"Modbus: a reply with {messages.header}, not {self._hints[0]}")
                if end is None:
                    break
                ends.append(end)
                self._hints.popleft()
                at = end
            if self._problem is not None:
                raise self._problem
        except BadMessage as bad:
            bad.finished = ends
            raise
        return ends

"""Closing a listening socket without resetting anybody.

Who is in its listen queue as a socket is closed is reset, and so is whoever comes into it between the last ``accept``
and the close.  So the system is told beforehand to let nobody new in.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

#: Seconds that handshakes which have begun are given to end, where the client may be on another machine.
HANDSHAKE_TIME: Final = 0.2
#: Linux' socket(7), which Python does not name.
_SO_ATTACH_FILTER: Final = 26
#: A filter of Linux' (struct sock_filter: code, jumps, operand) that sees packets from their TCP header on: one that
#: has SYN but not ACK among its flags is dropped, which its sender takes for a loss.
_DROP_SYN: Final = (
    (0x30, 0, 0, 13),  # load the byte at offset 13, the flags
    (0x54, 0, 0, 0x12),  # and SYN | ACK
    (0x15, 0, 1, 0x02),  # equal to SYN
    (0x06, 0, 0, 0),  # then keep no byte
    (0x06, 0, 0, 0xFFFF_FFFF),  # else all
)


def turn_away(sock: socket.socket) -> float:
    """Let nobody new into the listen queue of a TCP socket that is about to be closed; who waits there stays.

    A client that comes meanwhile sends its SYN again a second later, and is refused then, or accepted by another socket
    of the same port.  Where the system has no such filter nothing is changed.

    :param sock: one that no other process accepts on, or will.
    :returns: seconds until the last who had begun to connect is in the queue.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _DROP_SYN))
    program = struct.pack("HP", len(_DROP_SYN), ctypes.addressof(code))
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    except OSError:
        return 0.0
    return 0.0 if ipaddress.ip_address(sock.getsockname()[0].partition("%")[0]).is_loopback else HANDSHAKE_TIME


def handshakes_over(clock: IReactorTime, wait: float, limit: float | None) -> Deferred[None]:
    """Wait until the last who had begun to connect is in a listen queue.

    :param wait: seconds that this takes, as :func:`turn_away` says.
    :param limit: seconds of the whole drain; None for no limit.
    """
    wait = wait if limit is None else min(wait, limit)
    return deferLater(clock, wait) if wait else succeed(None)

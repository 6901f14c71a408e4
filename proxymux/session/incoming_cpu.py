"""Dividing clients among the sockets of one address by the CPU that their packets come in on."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Final

#: Linux's number; Python has the name from 3.11.
SO_INCOMING_CPU: Final = 49
#: What the option says of a socket that is of no CPU.
NO_CPU: Final = -1


def divide_by_cpu(sockets: Sequence[socket.socket], is_wanted: bool) -> None:
    """Have each socket get the clients of one CPU, in turn over those that this process may use.

    A CPU that has none of the sockets divides its clients among all of them, as all do without this.

    :param sockets: of one address, with SO_REUSEPORT.
    :param is_wanted: False undoes it, as sockets that systemd has kept may have been divided before.
    """
    if not hasattr(os, "sched_getaffinity"):
        return  # not Linux, which alone has the option
    cpus = sorted(os.sched_getaffinity(0)) if is_wanted else [NO_CPU]
    for at, sock in enumerate(sockets):
        sock.setsockopt(socket.SOL_SOCKET, SO_INCOMING_CPU, cpus[at % len(cpus)])

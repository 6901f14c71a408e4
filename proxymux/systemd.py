"""What this process tells systemd: datagrams on the socket that NOTIFY_SOCKET names, as sd_notify(3) says.

Nothing here waits for systemd, except :meth:`NotifySocket.wait_until_read`, which says for how long.
"""

from __future__ import annotations

import array
import functools
import os
import select
import socket
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Final

#: What systemd tells a service it has started, and is none of that service's own processes' business.
_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE")


class NotifySocket:
    """The way to systemd, if there is one.

    :param environment: the environment that the process was started with.
    :param pid: the number that the process was started with.
    """

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._pid = pid
        self._stores = environment.get("FDSTORE") != "0"
        #: Microseconds within which WATCHDOG=1 has to come; 0 if nobody waits for it.
        self.watchdog_usec = 0
        if self.is_there and environment.get("WATCHDOG_PID", str(pid)) == str(pid):
            self.watchdog_usec = _number(environment.get("WATCHDOG_USEC", ""))

    @classmethod
    def of_process(cls) -> NotifySocket:
        """That of this process.  The first call removes the variables, so that its children do not speak for it."""
        return _of_process()

    @property
    def is_there(self) -> bool:
        """True if systemd wants to be told."""
        return self._address is not None

    @property
    def stores_descriptors(self) -> bool:
        """True unless it is known that systemd keeps no descriptors for this process."""
        return self.is_there and self._stores

    @property
    def new_pid(self) -> int | None:
        """The number of this process, if it has become another since systemd has started it, as that of a daemon."""
        pid = os.getpid()
        return None if pid == self._pid else pid

    def send(self, *assignments: str, descriptors: Sequence[int] = ()) -> bool:
        """Send one message.  It is lost where the socket is not there or cannot be written.

        :param assignments: such as ``READY=1``; a line end within one is written as a space.
        :param descriptors: go with it.
        :returns: False if it may be sent again, as the socket's queue is full now.
        """
        if self._address is None:
            return True
        data = "\n".join(each.replace("\n", " ") for each in assignments).encode(errors="replace")
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL, self._address)
        except BlockingIOError:
            return False
        except (OSError, ValueError):  # the latter: a name that is no path
            return True
        return True

    def wait_until_read(self, seconds: float) -> None:
        """Wait until systemd has read all that was sent (BARRIER=1), but not longer than ``seconds``."""
        if not self.is_there:
            return
        ours, theirs = os.pipe()
        try:
            self.send("BARRIER=1", descriptors=[theirs])
        finally:
            os.close(theirs)
        poll = select.poll()
        poll.register(ours, 0)  # which tells of POLLHUP: nobody has the other end any more
        poll.poll(seconds * 1000)
        os.close(ours)


@functools.cache
def _of_process() -> NotifySocket:
    return take_from(os.environ, os.getpid())


def take_from(environment: MutableMapping[str, str], pid: int) -> NotifySocket:
    """Make the notify socket that an environment says, and remove what says so."""
    found = NotifySocket(environment, pid)
    for name in _VARIABLES:
        environment.pop(name, None)
    return found


def _address(text: str) -> str | None:
    """The address of the socket: a path, or ``@`` with the name of an abstract one.  Others are none of a machine."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0

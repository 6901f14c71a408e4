"""Listening sockets that systemd has opened and passed to this process, as sd_listen_fds(3) says: ``systemd:``.

They are read here and not by Twisted, whose parser finds none where they have no names, and forgets them at once.
"""

from __future__ import annotations

import fcntl
import functools
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from proxymux.errors import ConfigError
from proxymux.session.endpoint_text import EndpointText

#: The number of the first descriptor that is passed.
_FIRST: Final = 3
#: The most sockets that are looked at.
_MOST: Final = 1024
_UNNAMED: Final = "unknown"
#: What the names of sockets begin with that systemd keeps for us, and no socket unit has opened.
KEPT: Final = "proxymux/"
_FAMILIES: Final = {"INET": socket.AF_INET, "INET6": socket.AF_INET6, "UNIX": socket.AF_UNIX}
_INITIAL_ENVIRONMENT: Final = Path("/proc/self/environ")
_FORM: Final = "give domain=INET, INET6 or UNIX, and index=N or name=NAME, as in systemd:domain=INET:index=0"


class InheritedSockets:
    """The sockets that a process was passed.

    :param environment: the environment that the process was started with.
    :param pid: the number of the process.
    """

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        self._owners: dict[int, object] = {}
        #: The names and descriptors of those that socket units have opened, in their order.
        self._passed: list[tuple[str, int]] = []
        #: Those of the sockets that systemd has kept for the service.
        self.kept: list[tuple[str, int]] = []
        #: Why there is no socket.
        self._absence = "systemd has passed no socket (LISTEN_FDS); start the service by its .socket unit"
        count = _number(environment.get("LISTEN_FDS"))
        if not count:
            return
        if _number(environment.get("LISTEN_PID")) != pid:
            self._absence = (
                f"the sockets are those of process {environment.get('LISTEN_PID')} (LISTEN_PID), and this is {pid};"
                " let systemd start twistd itself, or use exec in the script that does"
            )
            return
        given = environment.get("LISTEN_FDNAMES")
        names = [] if given is None else given.split(":")
        if len(names) != count:
            names = [_UNNAMED] * min(count, _MOST)
        for descriptor, name in enumerate(names[:_MOST], _FIRST):
            _close_on_exec(descriptor)
            (self.kept if name.startswith(KEPT) else self._passed).append((name, descriptor))

    @classmethod
    def of_process(cls) -> InheritedSockets:
        """Those of this process, as they were at the first call: a daemon keeps them, but changes its number."""
        return _of_process()

    def take(self, text: EndpointText, owner: object) -> tuple[int, socket.AddressFamily]:
        """Return the descriptor and the family of the socket that ``systemd:…`` means, and refuse it to other owners.

        :param owner: the listener, for which it is checked at first and taken later.
        :raises ConfigError: if there is no such socket, it is no listening one of that family, or it has an owner.
        """
        family, descriptor = self._find(text)
        try:
            if self._owners.get(descriptor, owner) is not owner:
                raise OSError(None, "another listener has it already; each --listen takes a socket of its own")
            check_listening(descriptor, family)
        except OSError as error:
            raise _refused(f"descriptor {descriptor}: {error.strerror}") from None
        self._owners[descriptor] = owner
        return descriptor, family

    def _find(self, text: EndpointText) -> tuple[socket.AddressFamily, int]:
        domain, index, name = (text.named.get(each) for each in ("domain", "index", "name"))
        unknown = set(text.named) - {"domain", "index", "name"}
        if text.positional or unknown or domain not in _FAMILIES or (index is None) == (name is None):
            raise _refused(_FORM)
        if not self._passed:
            raise _refused(self._absence)
        if name is not None:
            names = dict(reversed(self._passed))  # of several of one name the first is meant
            if name not in names:
                others = ", ".join(dict.fromkeys(each for each, _ in self._passed))
                raise _refused(f"there is no socket named {name!r}; {others} is")
            return _FAMILIES[domain], names[name]
        number = _number(index)
        if number is None or number >= len(self._passed):
            raise _refused(f"index={index} is not there; 0 to {len(self._passed) - 1} is")
        return _FAMILIES[domain], self._passed[number][1]


def check_listening(descriptor: int, family: int) -> None:
    """Check that a descriptor is a stream socket of ``family`` that listens, without changing it.

    :raises OSError: if it is not.
    """
    copy = os.dup(descriptor)
    try:
        sock = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    with sock:
        if sock.family != family:
            raise OSError(None, f"it is a socket of {_word(sock.family)}, not of {_word(family)}; change domain=")
        if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(None, "it is no listening stream socket; make it one with ListenStream=")


@functools.cache
def _of_process() -> InheritedSockets:
    environment: Mapping[str, str] = os.environ
    if "LISTEN_FDS" not in environment:  # Twisted has removed it as its endpoints were imported, or it was never there
        environment = _initial_environment()
    return InheritedSockets(environment, os.getpid())


def _initial_environment() -> dict[str, str]:
    try:
        lines = _INITIAL_ENVIRONMENT.read_bytes().split(b"\0")
    except OSError:
        return {}
    pairs = [os.fsdecode(line).partition("=") for line in lines if line.startswith(b"LISTEN_")]
    return {name: value for name, _, value in pairs}


def _close_on_exec(descriptor: int) -> None:
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.fcntl(descriptor, fcntl.F_GETFD) | fcntl.FD_CLOEXEC)
    except OSError:
        return  # it is not open, which matters only if a listener wants it


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else None


def _word(family: int) -> str:
    return next((word for word, each in _FAMILIES.items() if each == family), str(family))


def _refused(problem: str) -> ConfigError:
    return ConfigError("--listen", f"systemd: {problem}")

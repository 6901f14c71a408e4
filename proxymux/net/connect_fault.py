"""What a failed attempt to connect means: for the client, and for who counts."""

from __future__ import annotations

import errno
import socket
from typing import Final

from twisted.internet import error

from proxymux.core.outcome import ConnectFault, Outcome
from proxymux.net.wording import number_of


class AttemptTimeout(Exception):
    """One attempt has taken longer than its limit."""


class TargetDenied(Exception):
    """The operator's rules forbid to connect to a target."""


class TlsFailed(Exception):
    """The TLS handshake with an upstream failed, and would fail again: a retry is of no use."""


#: The fault of each kind of exception.  The first that fits; without one the number of the system's error says it.
_KINDS: Final[tuple[tuple[tuple[type[Exception], ...], ConnectFault], ...]] = (
    ((AttemptTimeout, error.TimeoutError, TimeoutError), ConnectFault.TIMEOUT),
    ((error.ConnectionRefusedError, ConnectionRefusedError), ConnectFault.REFUSED),
    ((error.DNSLookupError, error.UnknownHostError, socket.gaierror), ConnectFault.NAME),
    ((TlsFailed,), ConnectFault.TLS),
    ((error.NoRouteError,), ConnectFault.UNREACHABLE),
)
_UNREACHABLE: Final = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ENOENT)
#: Errors that say nothing of the target: no descriptors, no memory, no local address or port.
_LOCAL: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EADDRINUSE)


def fault_of(problem: Exception) -> ConnectFault:
    """The word under which a failed attempt is counted."""
    for kinds, fault in _KINDS:
        if isinstance(problem, kinds):
            return fault
    number = number_of(problem)
    if number == errno.ECONNREFUSED:
        return ConnectFault.REFUSED
    return ConnectFault.UNREACHABLE if number in _UNREACHABLE else ConnectFault.OTHER


def outcome_of(problem: Exception) -> Outcome:
    """The outcome of a client whose attempts all failed so."""
    if isinstance(problem, TargetDenied):
        return Outcome.BAD_HANDSHAKE
    is_timeout = fault_of(problem) is ConnectFault.TIMEOUT
    return Outcome.CONNECT_TIMEOUT if is_timeout else Outcome.UNREACHABLE


def is_local(problem: Exception) -> bool:
    """True if an attempt has failed for want of something here, or for rules of ours: not by the target's fault."""
    return isinstance(problem, TargetDenied) or number_of(problem) in _LOCAL

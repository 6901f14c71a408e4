from __future__ import annotations

import errno
import socket

import pytest
from OpenSSL import SSL
from twisted.internet import error

from proxymux.core.outcome import ConnectFault, Outcome
from proxymux.net.connect_fault import AttemptTimeout, TargetDenied, TlsFailed, fault_of, outcome_of


@pytest.mark.parametrize(
    ("problem", "fault"),
    [
        (OSError(errno.ECONNREFUSED, "refused"), "refused"),
        (error.ConnectionRefusedError(), "refused"),
        (AttemptTimeout("timed out after 3 s"), "timeout"),
        (OSError(errno.ETIMEDOUT, "timed out"), "timeout"),
        (error.TimeoutError(), "timeout"),
        (OSError(errno.EHOSTUNREACH, "no route"), "unreachable"),
        (OSError(errno.ENETUNREACH, "no network"), "unreachable"),
        (OSError(errno.ENOENT, "no such socket"), "unreachable"),
        (error.NoRouteError(), "unreachable"),
        (error.ConnectError(osError=errno.EHOSTUNREACH), "unreachable"),
        (error.DNSLookupError("a.example does not resolve"), "name"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), "name"),
        (TlsFailed("TLS: the certificate has expired"), "tls"),
        (TargetDenied("10.0.0.1 is denied"), "other"),
        (OSError(errno.EMFILE, "too many open files"), "other"),
        (SSL.Error([]), "other"),
        (Exception(), "other"),
    ],
)
def test_a_failed_attempt_has_one_of_a_few_reasons(problem: Exception, fault: str) -> None:
    assert fault_of(problem) == ConnectFault(fault)


def test_what_it_means_for_the_client() -> None:
    assert outcome_of(AttemptTimeout("timed out after 3 s")) is Outcome.CONNECT_TIMEOUT
    assert outcome_of(TargetDenied("10.0.0.1 is denied")) is Outcome.BAD_HANDSHAKE
    assert outcome_of(TlsFailed("TLS: no")) is Outcome.UNREACHABLE
    assert outcome_of(OSError(errno.ECONNREFUSED, "refused")) is Outcome.UNREACHABLE

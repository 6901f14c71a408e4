"""The words for what goes wrong on a connection."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import pytest
from OpenSSL import SSL
from twisted.internet import error
from twisted.python.failure import Failure

from proxymux.net.wording import explain, explain_certificate
from tests.services.certificates import Authority, Credentials

#: What no operator should meet: a bracket of Python's, the name of a class, a number that says nothing.
RAW = ("[(", "Errno", "Error", "Exception", "Failure", "nknown error", "routines", "Traceback", "object at")


def is_in_words(text: str) -> bool:
    return bool(text) and text.isprintable() and not any(each in text for each in RAW)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (None, "closed"),
        (OSError(errno.ECONNREFUSED, "x"), "connection refused"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "connection reset by peer"),
        (OSError(errno.ENETUNREACH, "x"), "network is unreachable"),
        (OSError(errno.ENOENT, "x"), "no such file or directory"),
        (OSError(errno.EMFILE, "x"), "too many open files"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "connection timed out"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "name does not resolve"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "the name server does not answer"),
        (socket.gaierror(socket.EAI_FAIL, "x"), "the name server fails"),
        (socket.gaierror(socket.EAI_NODATA, "x"), "the name has no address"),
        (socket.gaierror(-99, "x"), "name does not resolve"),
        (error.ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "connection refused"),
        (error.ConnectionRefusedError(), "connection refused"),
        (error.NoRouteError(errno.EHOSTUNREACH, "x"), "no route to host"),
        (error.TCPTimedOutError(errno.ETIMEDOUT, "x"), "connection timed out"),
        (error.TimeoutError(), "connection timed out"),
        (error.ConnectBindError(errno.EADDRNOTAVAIL, "x"), "cannot connect from that address: cannot assign requested"),
        (error.UnknownHostError(), "name does not resolve"),
        (error.DNSLookupError("x"), "name does not resolve"),
        (error.ConnectionDone(), "closed"),
        (error.ConnectionLost(), "connection lost"),
        (error.ConnectionAborted(), "closed by proxymux"),
        (SSL.SysCallError(-1, "Unexpected EOF"), "the peer closed the connection without the end of TLS"),
        (SSL.SysCallError(errno.ECONNRESET, "ECONNRESET"), "connection reset by peer"),
        (SSL.ZeroReturnError(), "closed"),
        (SSL.Error(), "an error that OpenSSL does not name"),
        (SSL.Error([]), "an error that OpenSSL does not name"),
        (ValueError("a text.\n of \x1b others "), "a text. of \\x1b others"),
        (ValueError("x" * 5000), "x" * 200 + "... (4800 characters more)"),
    ],
)
def test_each_cause_has_its_words(reason: BaseException | None, text: str) -> None:
    assert explain(reason).startswith(text)
    assert is_in_words(explain(reason))


def test_a_failure_is_told_as_what_it_holds() -> None:
    assert explain(Failure(OSError(errno.ECONNREFUSED, "x"))) == "connection refused"


def test_an_error_without_a_text_is_not_told_by_nothing() -> None:
    assert explain(KeyError()) == "an error without a text (KeyError)"


@pytest.mark.parametrize("number", [*errno.errorcode])
def test_every_error_of_the_system_has_words(number: int) -> None:
    assert is_in_words(explain(OSError(number, "x")))


@pytest.mark.parametrize("number", [*range(1, 100)])
def test_every_reason_to_refuse_a_certificate_has_words(number: int) -> None:
    assert explain_certificate(number)


# What OpenSSL says, whatever its version


def error_of(step: Callable[[], object]) -> SSL.Error:
    with pytest.raises(SSL.Error) as raised:
        step()
    assert not isinstance(raised.value, SSL.WantReadError)
    return raised.value


def server(own: Credentials, version: int | None = None) -> SSL.Connection:
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate_chain_file(str(own.file))
    context.use_privatekey_file(str(own.file))
    if version is not None:
        context.set_min_proto_version(version)
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    return connection


def client(authority: Authority | None = None, version: int | None = None) -> SSL.Connection:
    context = SSL.Context(SSL.TLS_METHOD)
    if version is not None:
        context.set_max_proto_version(version)
    if authority is not None:
        context.load_verify_locations(str(authority.file))
        context.set_verify(SSL.VERIFY_PEER, lambda connection, certificate, number, depth, good: bool(good))
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    return connection


def pass_on(source: SSL.Connection, sink: SSL.Connection) -> None:
    """Bring what ``source`` has to send to ``sink``, after a step of the handshake."""
    try:
        source.do_handshake()
    except SSL.WantReadError:
        pass
    except SSL.Error:
        pass  # the alert is sent all the same
    try:
        sink.bio_write(source.bio_read(1 << 16))
    except SSL.WantReadError:
        pass


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "the peer speaks plain HTTP where TLS is wanted"),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", "the peer speaks to an HTTP proxy (CONNECT) where TLS is wanted"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "what the peer sends is not TLS"),
        (b"\0" * 64, "what the peer sends is not TLS"),
    ],
)
def test_a_client_that_speaks_something_else(own: Credentials, sent: bytes, text: str) -> None:
    connection = server(own)
    connection.bio_write(sent)
    assert explain(error_of(connection.do_handshake)) == text


def test_a_server_that_speaks_something_else() -> None:
    connection = client()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    connection.bio_write(b"220 mail.example ESMTP\r\n")
    assert explain(error_of(connection.do_handshake)) == "what the peer sends is not TLS"


def test_no_version_in_common(own: Credentials) -> None:
    old, new = client(version=SSL.TLS1_2_VERSION), server(own, SSL.TLS1_3_VERSION)
    pass_on(old, new)
    assert explain(error_of(new.do_handshake)) == "no version of TLS in common"
    pass_on(new, old)
    assert explain(error_of(old.do_handshake)) == "no version of TLS in common (alert: protocol version)"


def test_a_certificate_of_a_stranger_and_the_alert_for_it(own: Credentials, stranger: Authority) -> None:
    ours, theirs = server(own), client(stranger)
    pass_on(theirs, ours)
    pass_on(ours, theirs)
    assert explain(error_of(theirs.do_handshake)) == "the peer's certificate is not accepted"
    pass_on(theirs, ours)
    assert (
        explain(error_of(ours.do_handshake))
        == "the peer does not know the issuer of our certificate (alert: unknown ca)"
    )


@pytest.mark.parametrize(
    "name",
    [
        "sslv3 alert handshake failure",
        "ssl/tls alert handshake failure",
        "tlsv1 alert internal error",
        "tlsv13 alert certificate required",
        "tlsv1 unrecognized name",
        "tlsv1 alert no application protocol",
        "no shared cipher",
        "unexpected eof while reading",
        "peer did not return a certificate",
        "a name of years to come",
    ],
)
def test_other_names_of_openssls(name: str) -> None:
    text = explain(SSL.Error([("SSL routines", "", name)]))
    assert is_in_words(text)
    assert not text.startswith(("sslv3", "ssl/tls", "tlsv1"))


def test_several_errors_of_one_handshake_are_told_once_each() -> None:
    queue = [("SSL routines", "", "wrong version number"), ("SSL routines", "", "unknown protocol"), ("", "", "more")]
    assert explain(SSL.Error(queue)) == "what the peer sends is not TLS; more"

"""The words for what goes wrong on a connection: one place for those of the system, of Twisted and of OpenSSL."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable
from typing import Final

from OpenSSL import SSL
from twisted.internet import error
from twisted.python.failure import Failure

from proxymux.printable import printable

#: The most characters of a text that is not ours.
_MAX_TEXT: Final = 200

#: What a look-up of a name says (RFC 3493 section 6.1), by its number.
_RESOLVER: Final = {
    socket.EAI_AGAIN: "the name server does not answer",
    socket.EAI_FAIL: "the name server fails",
    socket.EAI_FAMILY: "the name has no address of that family",
    socket.EAI_MEMORY: "no memory to look the name up",
    socket.EAI_NODATA: "the name has no address",
    socket.EAI_NONAME: "name does not resolve",
    socket.EAI_SERVICE: "the port is none",
}

#: What Twisted says, without the numbers of the system.  The first that fits.
_TWISTED: Final[tuple[tuple[type[Exception], str], ...]] = (
    (error.DNSLookupError, "name does not resolve"),
    (error.UnknownHostError, "name does not resolve"),
    (error.ConnectionRefusedError, "connection refused"),
    (error.TimeoutError, "connection timed out"),
    (error.ConnectionDone, "closed"),
    (error.ConnectionAborted, "closed by proxymux"),
    (error.ConnectionLost, "connection lost"),
)

#: The peer has sent FIN before the TLS handshake was done.
CUT_IN_HANDSHAKE: Final = "the peer closed the connection in the handshake"

_NOT_TLS: Final = "what the peer sends is not TLS"
_CUT: Final = "the peer closed the connection without the end of TLS (close_notify)"
#: What OpenSSL says of the other end, by the name of its error.
_OPENSSL: Final = {
    "http request": "the peer speaks plain HTTP where TLS is wanted",
    "https proxy request": "the peer speaks to an HTTP proxy (CONNECT) where TLS is wanted",
    "wrong version number": _NOT_TLS,
    "unknown protocol": _NOT_TLS,
    "packet length too long": _NOT_TLS,
    "record layer failure": _NOT_TLS,
    "bad record type": _NOT_TLS,
    "unexpected eof while reading": _CUT,
    "unsupported protocol": "no version of TLS in common",
    "no protocols available": "no version of TLS in common",
    "version too low": "no version of TLS in common",
    "no shared cipher": "no cipher in common",
    "no suitable signature algorithm": "no signature algorithm in common",
    "certificate verify failed": "the peer's certificate is not accepted",
    "peer did not return a certificate": "the peer sends no certificate",
    "no application protocol": "no application protocol (ALPN) in common",
    "unsafe legacy renegotiation disabled": "the peer knows no secure renegotiation (RFC 5746)",
    "dh key too small": "the peer's key exchange is too weak",
    "ee key too small": "the key of the peer's certificate is too small",
    "decryption failed or bad record mac": "a record was damaged on the way, or is not from the peer",
}
#: An alert that the other end has sent (RFC 8446 section 6), as OpenSSL names it in any of its versions.
_ALERT: Final = re.compile(r"(?:sslv3|tlsv1|tlsv13|ssl/tls) (?:alert )?(.+)")
#: What some alerts mean.
_ALERTS: Final = {
    "unknown ca": "the peer does not know the issuer of our certificate",
    "bad certificate": "the peer does not accept our certificate",
    "certificate expired": "the peer finds our certificate expired",
    "certificate unknown": "the peer does not accept our certificate",
    "certificate required": "the peer wants a client certificate",
    "handshake failure": "the peer has no parameters in common with us, or wants a client certificate",
    "protocol version": "no version of TLS in common",
    "unrecognized name": "the peer serves no such name",
    "no application protocol": "no application protocol (ALPN) in common",
    "access denied": "the peer does not let us in",
}

#: Why a certificate was not accepted, by OpenSSL's number (X509_STORE_CTX_get_error).
_CERTIFICATES: Final = {
    2: "its issuer is not known",
    3: "there is no revocation list of its issuer",
    7: "its signature is wrong",
    9: "it is not valid yet",
    10: "it has expired",
    12: "the revocation list of its issuer has expired",
    18: "it is self-signed",
    19: "its chain ends with a self-signed certificate that is not trusted",
    20: "its issuer is not known",
    21: "its issuer is not known, and it came without a chain",
    23: "it has been revoked",
    24: "its issuer may issue none",
    25: "its chain is too long",
    26: "it is not for this purpose",
    47: "its issuer may issue none for this name",
    66: "its key is too small",
    67: "the key of its issuer is too small",
    68: "its signature is of a digest that is too weak",
}


def explain(reason: BaseException | Failure | None) -> str:
    """Why a connection failed or was lost, in one printable line without a capital.

    :param reason: None if it was closed in good order.
    """
    if isinstance(reason, Failure):
        reason = reason.value
    if reason is None:
        return "closed"
    if isinstance(reason, SSL.Error):
        return _explain_tls(reason)
    if isinstance(reason, socket.gaierror):
        return _RESOLVER.get(reason.errno or 0, "name does not resolve")
    number = number_of(reason)
    if number:
        text = os.strerror(number).lower()
        return f"cannot connect from that address: {text}" if isinstance(reason, error.ConnectBindError) else text
    for kind, words in _TWISTED:
        if isinstance(reason, kind):
            return words
    text = printable(" ".join(str(reason).split()).rstrip("."), _MAX_TEXT)
    return text or f"an error without a text ({type(reason).__name__})"


def explain_tls(names: Iterable[str]) -> str:
    """Why TLS failed: the words for OpenSSL's errors.

    :param names: of the errors (ERR_reason_error_string), the first one first.
    """
    return "; ".join(dict.fromkeys(map(_word, names))) or "an error that OpenSSL does not name"


def explain_certificate(number: int) -> str:
    """Why OpenSSL does not accept a certificate: the words for its error ``number``."""
    return _CERTIFICATES.get(number, f"OpenSSL's error {number}")


def number_of(reason: BaseException) -> int | None:
    """The number of the system's error (errno); None if it is not known."""
    number: object = reason.errno if isinstance(reason, OSError) else getattr(reason, "osError", None)
    return number if isinstance(number, int) and number > 0 else None


def _explain_tls(reason: SSL.Error) -> str:
    if isinstance(reason, SSL.SysCallError):
        number = reason.args[0] if reason.args else -1
        return os.strerror(number).lower() if isinstance(number, int) and number > 0 else _CUT
    if isinstance(reason, SSL.ZeroReturnError):
        return "closed"
    queue = reason.args[0] if reason.args else ()
    names = [str(entry[-1]) for entry in queue if isinstance(entry, tuple) and entry] if isinstance(queue, list) else []
    return explain_tls(names)


def _word(name: str) -> str:
    alert = _ALERT.fullmatch(name)
    if alert is not None:
        told = alert[1].removeprefix("alert ")
        return f"{_ALERTS[told]} (alert: {told})" if told in _ALERTS else f"the peer ended TLS with the alert: {told}"
    return _OPENSSL.get(name, printable(name, _MAX_TEXT))

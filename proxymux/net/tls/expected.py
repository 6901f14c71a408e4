"""The upstream that is expected at the other end: whether a certificate is its own, asked within the handshake."""

from __future__ import annotations

from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL
from OpenSSL._util import ffi, lib
from OpenSSL.crypto import X509

from proxymux.net.tls.names import name_problem

#: Where OpenSSL keeps the connection that a certificate is verified for.
_INDEX: Final[int] = lib.SSL_get_ex_data_X509_STORE_CTX_idx()
#: X509_V_ERR_HOSTNAME_MISMATCH: the alert is bad_certificate.
_MISMATCH: Final = 62


class Expected:
    """The upstream that a connection is meant for.

    :param server_name: what its certificate must name: a host name without a dot at its end, or an IP address.
    :param pin: the SHA-256 digest of its certificate in hexadecimal, which says it all; None to go by the name.
    """

    __slots__ = ("_pin", "is_checked", "problem", "server_name")

    def __init__(self, server_name: str, pin: str | None) -> None:
        self.server_name = server_name
        self._pin = pin
        #: A certificate has been looked at.  None is shown when a session is resumed.
        self.is_checked = False
        #: Why the certificate is not the upstream's; None if it is.
        self.problem: str | None = None

    @property
    def is_pinned(self) -> bool:
        """No authority and no name vouches for the upstream, but the digest alone."""
        return self._pin is not None

    def check(self, certificate: x509.Certificate | None) -> None:
        """Compare the upstream's certificate, and set :attr:`problem`."""
        self.is_checked = True
        if certificate is None:
            self.problem = "there is no certificate"
        elif self._pin is None:
            self.problem = name_problem(certificate, self.server_name)
        else:
            digest = certificate.fingerprint(SHA256()).hex()
            self.problem = None if digest == self._pin else f"the certificate is not the pinned one but {digest}"

    def look_at(self, shown: X509) -> None:
        """As :meth:`check`, of a certificate that may be anything, and once only."""
        if not self.is_checked:
            try:
                self.check(shown.to_cryptography())
            except Exception as error:  # whatever the peer has put into it
                self.problem = f"the certificate cannot be read ({type(error).__name__})"


class AnyExpected(Expected):
    """Whoever there is: it is only asked whether TLS is spoken.

    :param server_name: is sent, and may be that of an address.
    """

    __slots__ = ()

    def __init__(self, server_name: str) -> None:
        super().__init__(server_name, None)

    @property
    def is_pinned(self) -> bool:
        return True

    def check(self, certificate: x509.Certificate | None) -> None:
        """Accept any certificate, and none."""
        self.is_checked = True


def verify_within_handshake(context: SSL.Context) -> None:
    """Have the handshakes of ``context`` fail whose certificate is not that of the :class:`Expected` in the
    connection's application data, or is not valid where it is not pinned.

    After the certificate has been found good the client's Finished is sent, and our own certificate: nobody else is to
    have them.  pyOpenSSL's callbacks cannot say what is wrong with a certificate, which makes the alert internal_error.
    """
    lib.SSL_CTX_set_verify(context._context, SSL.VERIFY_PEER, _verify)


@ffi.callback("int (*)(int, X509_STORE_CTX *)", error=0)  # type: ignore[untyped-decorator]
def _verify(is_valid: int, store: Any) -> int:
    """Answer OpenSSL, which asks about every certificate of a chain, and says what it has found itself.

    :returns: 1 if the handshake may go on.
    """
    handle = SSL.Connection._reverse_mapping[lib.X509_STORE_CTX_get_ex_data(store, _INDEX)]
    expected: Expected = handle.get_app_data()
    if not expected.is_pinned and not is_valid:
        return 0
    if not lib.X509_STORE_CTX_get_error_depth(store):
        shown = lib.X509_STORE_CTX_get_current_cert(store)
        lib.X509_up_ref(shown)
        expected.look_at(X509._from_raw_x509_ptr(shown))
        if expected.problem is not None:
            lib.X509_STORE_CTX_set_error(store, _MISMATCH)
            return 0
    lib.X509_STORE_CTX_set_error(store, lib.X509_V_OK)
    return 1

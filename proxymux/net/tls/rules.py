"""The rules of TLS listeners and upstreams, from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from OpenSSL import SSL

from proxymux.net.tls.certificates import read_file
from proxymux.settings import Settings

_VERSIONS: Final = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}


@dataclass(frozen=True, slots=True)
class ServerRules:
    """What every TLS listener of a service asks of its clients.

    :param minimum: the lowest version, OpenSSL's number.
    :param alpn: the application protocols (RFC 7301) in the server's order; empty to take no part in ALPN.
    :param client_ca: the file of the authorities whose client certificates are demanded; None to demand none.
    :param crl: the file of revoked client certificates, or None.
    :param password_file: the file with the password of encrypted keys, or None.
    """

    minimum: int = SSL.TLS1_2_VERSION
    alpn: tuple[str, ...] = ()
    client_ca: str | None = None
    crl: str | None = None
    password_file: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> ServerRules:
        """The rules that the settings ask for."""
        return cls(
            _VERSIONS[settings.tls_min],
            settings.tls_alpn,
            settings.tls_client_ca,
            settings.tls_crl,
            settings.tls_key_password_file,
        )

    def password(self) -> bytes | None:
        """The password of encrypted keys.

        :raises BadCertificate: if its file cannot be read.
        """
        return _password(self.password_file)


@dataclass(frozen=True, slots=True)
class ClientRules:
    """What holds for TLS to all upstreams of a service, where a decision does not say.

    :param minimum: the lowest version, OpenSSL's number.
    :param ca: the file of the authorities to verify by; None is OpenSSL's trust store.
    :param cert: the file with the key and chain to show, or None.
    :param password_file: the file with the password of encrypted keys, or None.
    """

    minimum: int = SSL.TLS1_2_VERSION
    ca: str | None = None
    cert: str | None = None
    password_file: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> ClientRules:
        """The rules that the settings ask for."""
        return cls(_VERSIONS[settings.tls_min], settings.tls_ca, settings.tls_cert, settings.tls_key_password_file)

    def password(self) -> bytes | None:
        """The password of encrypted keys.

        :raises BadCertificate: if its file cannot be read.
        """
        return _password(self.password_file)


def _password(path: str | None) -> bytes | None:
    return None if path is None else read_file(path).rstrip(b"\r\n")

"""The rules of TLS listeners and upstreams, from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from OpenSSL import SSL

from proxymux.errors import BadCertificate
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
        if self.password_file is None:
            return None
        try:
            with open(self.password_file, "rb") as file:
                return file.read().rstrip(b"\r\n")
        except OSError as error:
            raise BadCertificate(f"{self.password_file}: {error.strerror}; name a readable file") from None

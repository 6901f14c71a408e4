"""Certificates that are good for one run of the tests."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_SOME_TIME = datetime.timedelta(days=2)


@dataclass(frozen=True)
class Credentials:
    """A certificate and its key.

    :param file: both, as PEM.
    """

    file: Path

    def for_server(self, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """What a TLS server needs that has this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def encrypted(self, password: bytes) -> bytes:
        """The same file, with the key encrypted."""
        both = self.file.read_bytes()
        key = serialization.load_pem_private_key(both, None)
        return (
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password),
            )
            + both[both.index(b"-----BEGIN CERTIFICATE") :]
        )

    @property
    def endpoint(self) -> str:
        """The Twisted endpoint of a TLS listener that has this certificate."""
        return f"ssl:0:interface=127.0.0.1:privateKey={self.file}"


class Authority:
    """A certificate authority.

    :param folder: where its files are put.
    :param name: what it is called.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._issued = 0
        self.key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(self._name, self.key, x509.BasicConstraints(ca=True, path_length=0), True)
        #: Its own certificate, as PEM.
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, *names: str) -> Credentials:
        """A certificate for ``names``, each a host name or an address."""
        return self.issue_with(names[0], *(_general_name(name) for name in names))

    def issue_expired(self, name: str) -> Credentials:
        """A certificate for ``name`` that was good until yesterday."""
        return self.issue_with(name, x509.DNSName(name), days_left=-1)

    def issue_with(self, common_name: str, *alternatives: x509.GeneralName, days_left: int = 2) -> Credentials:
        """A certificate with these alternative names, or with no such extension if there are none."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        extension: x509.ExtensionType = x509.BasicConstraints(ca=False, path_length=None)
        if alternatives:
            extension = x509.SubjectAlternativeName(alternatives)
        certificate = self._sign(subject, key, extension, False, datetime.timedelta(days=days_left))
        self._issued += 1
        file = self._folder / f"{self.file.stem}-{self._issued}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return Credentials(file)

    def revoke(self, *revoked: Credentials) -> bytes:
        """A list of the certificates that it has revoked, as PEM."""
        now = datetime.datetime.now(datetime.timezone.utc)
        crl = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        crl = crl.last_update(now - _SOME_TIME).next_update(now + _SOME_TIME)
        for credentials in revoked:
            [certificate] = x509.load_pem_x509_certificates(credentials.file.read_bytes())
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            crl = crl.add_revoked_certificate(entry.revocation_date(now - _SOME_TIME).build())
        return crl.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def for_client(self, credentials: Credentials | None = None, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        """What a TLS client needs that trusts this authority, and may have ``credentials`` of its own."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.file)
        if credentials is not None:
            context.load_cert_chain(credentials.file)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        critical: bool,
        left: datetime.timedelta = _SOME_TIME,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SOME_TIME)
            .not_valid_after(now + left)
            .add_extension(extension, critical)
            .sign(self.key, hashes.SHA256())
        )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)

"""Certificates for TLS listeners: PEM files with a key and a chain, one or a folder of them."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from proxymux.errors import BadCertificate

SigningKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey
_KEY: Final = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
#: The file of a folder whose certificate is for clients whose name no other has.
_DEFAULT: Final = "default.pem"
_SUFFIX: Final = ".pem"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key and the certificate chain that belongs to it.

    :param chain: the certificate first.
    :param names: the host names that the certificate is for, in lower case; ``*.`` may begin one.
    :param ocsp: what the certificate's authority says of it now (OCSP, RFC 6960), for stapling; empty for nothing.
    :param digest: differs wherever the file, its key's or its OCSP answer's content does.
    """

    path: str
    key: SigningKey
    chain: tuple[x509.Certificate, ...]
    names: tuple[str, ...]
    ocsp: bytes
    digest: bytes


def pem_files(path: str) -> list[str]:
    """The PEM files at ``path``, a file or a folder; that of the default certificate is first.

    :raises BadCertificate: if the folder cannot be read or has none.
    """
    if not os.path.isdir(path):
        return [path]
    try:
        names = sorted(name for name in os.listdir(path) if name.endswith(_SUFFIX) and not name.startswith("."))
    except OSError as error:
        raise BadCertificate(f"{path}: {error.strerror}; name a readable folder of *{_SUFFIX} files") from None
    if not names:
        raise BadCertificate(f"{path}: there is no *{_SUFFIX} file; put a key and its certificate chain into one")
    names.sort(key=lambda name: name != _DEFAULT)
    return [os.path.join(path, name) for name in names]


def ocsp_path(path: str) -> str:
    """Where the OCSP answer for the certificate in the PEM file at ``path`` is looked for."""
    return path.removesuffix(_SUFFIX) + ".ocsp"


def read_key_pair(path: str, password: bytes | None = None) -> KeyPair:
    """Read the key and the chain in the PEM file at ``path``, and the OCSP answer beside it (``NAME.ocsp``).

    :param password: of the key, if it is encrypted.
    :raises BadCertificate: if the file is not that; the message names it and says what is wrong.
    """
    data = read_file(path)
    ocsp = read_file(ocsp_path(path)) if os.path.exists(ocsp_path(path)) else b""
    try:
        chain = tuple(x509.load_pem_x509_certificates(data))
    except ValueError:
        raise BadCertificate(f"{path}: there is no certificate in PEM form") from None
    key = _key_in(path, data, password)
    names = _names_in(chain[0])
    if chain[0].public_key() != key.public_key():
        raise BadCertificate(f"{path}: the key is not that of the first certificate; put the server's own first")
    return KeyPair(path, key, chain, names, ocsp, hashlib.sha256(data + b"\0" + ocsp).digest())


def read_certificates(path: str) -> tuple[x509.Certificate, ...]:
    """Read the certificates of authorities in the PEM file at ``path``.

    :raises BadCertificate: if there are none.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(read_file(path)))
    except ValueError:
        raise BadCertificate(f"{path}: there is no certificate in PEM form") from None


def read_file(path: str) -> bytes:
    """Read the file at ``path``.

    :raises BadCertificate: if it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise BadCertificate(f"{path}: {error.strerror}; name a readable PEM file") from None


def _key_in(path: str, data: bytes, password: bytes | None) -> SigningKey:
    found = _KEY.search(data)
    if found is None:
        raise BadCertificate(f"{path}: there is no private key in PEM form")
    is_encrypted = b"ENCRYPTED" in found[0]
    if is_encrypted and password is None:
        raise BadCertificate(f"{path}: the key is encrypted; give its password by --tls-key-password-file")
    try:
        key = load_pem_private_key(found[0], password if is_encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        reason = "or its password is wrong" if is_encrypted else "such as openssl writes it"
        raise BadCertificate(f"{path}: the private key cannot be read, {reason}") from None
    if not isinstance(key, (RSAPrivateKey, EllipticCurvePrivateKey, Ed25519PrivateKey, Ed448PrivateKey)):
        raise BadCertificate(f"{path}: a key of this kind is not accepted; RSA, ECDSA, Ed25519 and Ed448 keys are")
    return key


def _names_in(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names of a certificate: its alternative ones, or the common name of one that has none."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(str(each.value).lower() for each in common)
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))

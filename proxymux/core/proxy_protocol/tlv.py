"""The type-length-value vectors of version 2 (sections 2.2.1 to 2.2.8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from proxymux.errors import BadHeader

ALPN = 0x01
AUTHORITY = 0x02
CRC32C = 0x03
NOOP = 0x04
UNIQUE_ID = 0x05
SSL = 0x20
SSL_VERSION = 0x21
SSL_CN = 0x22
SSL_CIPHER = 0x23
SSL_SIG_ALG = 0x24
SSL_KEY_ALG = 0x25
#: These three were added to section 2.2.6 in 2025 and 2026.
SSL_GROUP = 0x26
SSL_SIG_SCHEME = 0x27
SSL_CLIENT_CERT = 0x28
NETNS = 0x30

_CLIENT_SSL = 0x01
_CLIENT_CERT_CONN = 0x02
_CLIENT_CERT_SESS = 0x04
_UNIQUE_ID_LIMIT = 128
#: ``client`` and ``verify``, before the inner vectors of SSL.
_SSL_FIXED = 5


@dataclass(frozen=True, slots=True)
class Ssl:
    """The value of PP2_TYPE_SSL (section 2.2.6)."""

    #: The bit field, as sent.
    client: int
    #: The result of the sender's certificate check.  HAProxy sends 0 also without a certificate: see :attr:`verified`.
    verify: int
    #: The inner (type, value) pairs in their order.
    tlvs: tuple[tuple[int, bytes], ...] = ()

    @classmethod
    def from_value(cls, value: bytes) -> Ssl:
        """Read the value of PP2_TYPE_SSL (section 2.2.6).

        :raises BadHeader: if it is malformed; never for a value of a header from ``parse``.
        """
        check(SSL, value, 0, len(value))
        inner = tuple((kind, value[at : at + size]) for kind, at, size in walk(value, _SSL_FIXED, len(value)))
        return cls(value[0], int.from_bytes(value[1:_SSL_FIXED], "big"), inner)

    @property
    def secure(self) -> bool:
        """The client connected over TLS (PP2_CLIENT_SSL)."""
        return bool(self.client & _CLIENT_SSL)

    @property
    def cert_conn(self) -> bool:
        """The client sent a certificate on this connection (PP2_CLIENT_CERT_CONN)."""
        return bool(self.client & _CLIENT_CERT_CONN)

    @property
    def cert_sess(self) -> bool:
        """The client sent a certificate at least once in this TLS session (PP2_CLIENT_CERT_SESS)."""
        return bool(self.client & _CLIENT_CERT_SESS)

    @property
    def verified(self) -> bool:
        """The client sent a certificate and the sender found it valid (section 2.2.6)."""
        return self.verify == 0 and (self.cert_conn or self.cert_sess)

    @property
    def version(self) -> str | None:
        """The version of TLS, for example ``TLSv1.3`` (PP2_SUBTYPE_SSL_VERSION)."""
        return text(self.tlvs, SSL_VERSION)

    @property
    def cn(self) -> str | None:
        """The common name in the client's certificate (PP2_SUBTYPE_SSL_CN)."""
        return text(self.tlvs, SSL_CN)

    @property
    def cipher(self) -> str | None:
        """The cipher, for example ``ECDHE-RSA-AES128-GCM-SHA256`` (PP2_SUBTYPE_SSL_CIPHER)."""
        return text(self.tlvs, SSL_CIPHER)

    @property
    def sig_alg(self) -> str | None:
        """The signature algorithm of the sender's own certificate, such as ``RSA-SHA256`` (PP2_SUBTYPE_SSL_SIG_ALG)."""
        return text(self.tlvs, SSL_SIG_ALG)

    @property
    def key_alg(self) -> str | None:
        """The key of the sender's own certificate, for example ``RSA2048`` (PP2_SUBTYPE_SSL_KEY_ALG)."""
        return text(self.tlvs, SSL_KEY_ALG)

    @property
    def group(self) -> str | None:
        """The key exchange, for example ``secp256r1`` (PP2_SUBTYPE_SSL_GROUP)."""
        return text(self.tlvs, SSL_GROUP)

    @property
    def sig_scheme(self) -> str | None:
        """The signature scheme of the handshake, for example ``rsa_pss_rsae_sha256`` (PP2_SUBTYPE_SSL_SIG_SCHEME)."""
        return text(self.tlvs, SSL_SIG_SCHEME)

    @property
    def client_cert(self) -> bytes | None:
        """The client's certificate in DER (PP2_SUBTYPE_SSL_CLIENT_CERT)."""
        return first(self.tlvs, SSL_CLIENT_CERT)


def first(tlvs: Iterable[tuple[int, bytes]], wanted: int) -> bytes | None:
    """The value of the first vector of type ``wanted``, or None."""
    return next((value for kind, value in tlvs if kind == wanted), None)


def text(tlvs: Iterable[tuple[int, bytes]], wanted: int) -> str | None:
    r"""The value of the first vector of type ``wanted`` as a text: ASCII or UTF-8, as its section says.

    Another byte becomes its escape, such as ``\xff``, and the connection is not refused for it: clients choose server
    names, and HAProxy copies common names without converting them.
    """
    value = first(tlvs, wanted)
    return None if value is None else value.decode("utf-8", "backslashreplace")


def walk(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Triples of type, start and length of the value: each vector from ``at`` to ``end``, as far as ``data`` reaches.

    :raises BadHeader: as soon as the vectors cannot end exactly at ``end`` (section 2.2).
    """
    while at < end:
        head = data[at : at + 3]
        # A byte that has not come is read as 0, for the least possible length.
        length = int.from_bytes(head[1:].ljust(2, b"\0"), "big")
        if at + 3 + length > end:
            raise BadHeader(f"v2: {end - at} bytes are left where a TLV of at least {3 + length} bytes begins")
        if len(head) < 3:
            return
        yield head[0], at + 3, length
        at += 3 + length


def check(kind: int, data: bytes, at: int, length: int) -> None:
    """Check the value of a vector of type ``kind``: ``length`` bytes at ``at``, as far as ``data`` reaches.

    :raises BadHeader: if the type does not allow the value (sections 2.2.3, 2.2.5 and 2.2.6).
    """
    if kind == CRC32C and length != 4:
        raise BadHeader(f"v2: the checksum has {length} bytes, not 4")
    if kind == UNIQUE_ID and length > _UNIQUE_ID_LIMIT:
        raise BadHeader(f"v2: the unique ID has {length} bytes, more than {_UNIQUE_ID_LIMIT}")
    if kind == SSL:
        if length < _SSL_FIXED:
            raise BadHeader(f"v2: the TLV about SSL has {length} bytes, less than {_SSL_FIXED}")
        for _ in walk(data, at + _SSL_FIXED, at + length):
            pass


def _crc_table() -> tuple[int, ...]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """The CRC32c checksum of section 2.2.3 (RFC 4960, appendix B)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF

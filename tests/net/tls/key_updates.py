"""A TLS 1.3 client's requests for new keys (RFC 8446 section 4.6.3), which Python's ssl cannot make."""

from __future__ import annotations

import ssl
import struct
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

#: KeyUpdate with update_requested, and the type of its record.
_REQUEST = b"\x18\0\0\x01\x01" + b"\x16"
_HEADER = b"\x17\x03\x03" + struct.pack("!H", len(_REQUEST) + 16)


def keep_keys(context: ssl.SSLContext, file: Path) -> None:
    """Have the client write its keys into ``file``."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.keylog_filename = str(file)


def requests(file: Path, count: int) -> bytes:
    """The next ``count`` records of a client that has sent none since its handshake.

    :param file: as for :func:`keep_keys`.
    """
    lines = file.read_text().splitlines()
    [secret] = [bytes.fromhex(line.split()[2]) for line in lines if line.startswith("CLIENT_TRAFFIC_SECRET_0")]
    records = bytearray()
    for _ in range(count):
        cipher = AESGCM(_derived(secret, b"key", 32))
        records += _HEADER + cipher.encrypt(_derived(secret, b"iv", 12), _REQUEST, _HEADER)
        secret = _derived(secret, b"traffic upd", 48)
    return bytes(records)


def _derived(secret: bytes, label: bytes, length: int) -> bytes:
    info = struct.pack("!HB", length, 6 + len(label)) + b"tls13 " + label + b"\0"
    return HKDFExpand(SHA384(), length, info).derive(secret)

"""Tokens to try, some of them made in ways that share nothing with the gateway's."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from proxymux.core.token import Claims
from proxymux.core.token.legacy import Digest, open_legacy
from proxymux.core.token.sealed import Keys

SEED: Final = b"p0S8rX680*48"
EXAMPLE: Final = b"U2FsdGVkX19KIJ9OQJKT/yHGMrS+5SsBAAjetomptQ0="

KEY: Final = bytes(range(32))
SALT: Final = bytes(range(16))
KEYS: Final = Keys({"k1": KEY})
CHECK_VALUE: Final = (
    b"pm1.k1.AAECAwQFBgcICQoLDA0ODwb2UE5IbJPQuaaUmDUeA5EjYBBKCQRpINaFk4bg6kzHxObYKltzoVu9eL-Wphh-XmsYEH5A2w"
)
CLAIMS: Final = {"e": 1893456000, "t": "127.0.0.1:62863"}


def legacy(line: bytes, secret: bytes = SEED, *digests: Digest) -> Claims:
    return open_legacy(line, secret, digests or ("md5",))


def encrypted(padded: bytes, salt: bytes = b"saltsalt", secret: bytes = SEED) -> bytes:
    """An old token of whole blocks, however they are padded, made in a way that shares nothing with the gateway's."""
    first = hashlib.md5(secret + salt).digest()
    second = hashlib.md5(first + secret + salt).digest()
    third = hashlib.md5(second + secret + salt).digest()
    encryptor = Cipher(algorithms.AES256(first + second), modes.CBC(third)).encryptor()
    return base64.b64encode(b"Salted__" + salt + encryptor.update(padded) + encryptor.finalize())


def sealed_by_hand(plain: bytes, kid: str = "k1", key: bytes = KEY, salt: bytes = SALT, data: bytes = b"") -> bytes:
    """A sealed token with any plaintext, as the contract describes it."""
    prefix = f"pm1.{kid}.".encode()
    derived = HKDF(SHA256(), 44, salt, b"proxymux token v1").derive(key)
    sealed = AESGCM(derived[:32]).encrypt(derived[32:], plain, data or prefix)
    return prefix + base64.urlsafe_b64encode(salt + sealed).rstrip(b"=")


def bits_flipped(token: bytes) -> list[bytes]:
    """Every text that differs from ``token`` in one bit."""
    flipped = []
    for bit in range(len(token) * 8):
        damaged = bytearray(token)
        damaged[bit // 8] ^= 1 << bit % 8
        flipped.append(bytes(damaged))
    return flipped

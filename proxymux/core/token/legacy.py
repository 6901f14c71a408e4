"""Old tokens, of the gateway's ancestors: ``openssl enc -e -aes-256-cbc -a -A -salt -md md5 -k SECRET``.

A token is base64 of ``Salted__``, 8 bytes of salt and the address in AES-256-CBC with PKCS #7 padding (RFC 5652
section 6.3).  Key and IV are derived from the secret by OpenSSL's EVP_BytesToKey with one round of MD5 (the ancestors)
or SHA-256 (OpenSSL's default since 1.1.0), or by PBKDF2-HMAC-SHA256 with 10,000 rounds (OpenSSL's ``-pbkdf2``).

Such a token is not authenticated.  Against a padding oracle, every damage gets the same answer after the same work: bad
padding cannot be told from a bad address.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final, Literal

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from proxymux.core.target import InetTarget
from proxymux.core.token import Claims, read_address, strict_base64
from proxymux.errors import BadToken

Digest = Literal["md5", "sha256", "pbkdf2"]

_MAGIC: Final = b"Salted__"
_SALT: Final = 8
_BLOCK: Final = 16
_KEY: Final = 32
#: Rounds of PBKDF2: OpenSSL's default for ``-pbkdf2`` without ``-iter``.
_ROUNDS: Final = 10_000
#: A leading byte for a block that is read as a number: all the numbers have one length, and computing takes equal time.
_MARK: Final = b"\1"
#: By the length of the padding in bytes: which bits of such a number are padding, and their value in good padding.
_MASKS: Final = tuple((1 << 8 * _BLOCK) + (1 << 8 * size) - 1 for size in range(_BLOCK + 1))
_TAILS: Final = tuple(_MARK + (bytes([size]) * size).rjust(_BLOCK, b"\0") for size in range(_BLOCK + 1))
#: The shape of every ``host:port``.  Noise from a wrong key fails it within a few bytes, before the costlier parser.
_SHAPE: Final = re.compile(rb"[A-Za-z0-9_.:%\[\]-]+:[0-9]{1,5}\Z")


def is_legacy(line: bytes) -> bool:
    """True if ``line`` looks like an old token, whatever its secret may be."""
    try:
        data = strict_base64(line)
    except BadToken:
        return False
    sealed = len(data) - len(_MAGIC) - _SALT
    return data.startswith(_MAGIC) and sealed > 0 and not sealed % _BLOCK


def open_legacy(line: bytes, secret: bytes, digests: tuple[Digest, ...]) -> Claims:
    """The claims of an old token: its one target.

    :param line: the token.
    :param secret: in UTF-8.
    :param digests: the key derivations that are tried, in this order.
    :raises BadToken: if none of them opens the token.
    """
    data = strict_base64(line)
    sealed = data[len(_MAGIC) + _SALT :]
    if not data.startswith(_MAGIC) or not sealed or len(sealed) % _BLOCK:
        raise BadToken("neither a sealed token nor one of OpenSSL's")
    salt = data[len(_MAGIC) : len(_MAGIC) + _SALT]
    problem = BadToken("no digest is configured")
    for digest in digests:
        try:
            return Claims((_open(sealed, *_DERIVE[digest](secret, salt)),))
        except BadToken as error:
            problem = error
    raise problem


def seal_legacy(address: str, secret: bytes, digest: Digest, salt: bytes) -> str:
    """An old token for a target.

    :param address: ``host:port``.
    :param secret: in UTF-8.
    :param digest: the key derivation.
    :param salt: 8 random bytes.
    """
    data = address.encode()
    padding = _BLOCK - len(data) % _BLOCK
    encryptor = _cipher(*_DERIVE[digest](secret, salt)).encryptor()
    sealed = encryptor.update(data + bytes([padding]) * padding) + encryptor.finalize()
    return base64.b64encode(_MAGIC + salt + sealed).decode()


def _open(sealed: bytes, key: bytes, iv: bytes) -> InetTarget:
    decryptor = _cipher(key, iv).decryptor()
    padded = decryptor.update(sealed) + decryptor.finalize()
    length = min(max(padded[-1], 1), _BLOCK)
    tail = (int.from_bytes(_MARK + padded[-_BLOCK:], "big") & _MASKS[length]).to_bytes(1 + _BLOCK, "big")
    is_padded = hmac.compare_digest(tail, _TAILS[length])
    # Also after bad padding, so that the time is the same.
    address = _address_in(padded, len(padded) - length)
    if address is not None and is_padded:
        return address
    raise BadToken("wrong secret or digest, damaged, or what it holds is not host:port")


def _address_in(padded: bytes, size: int) -> InetTarget | None:
    """The address in the first ``size`` bytes, or None.  The time it takes must not depend on ``size``."""
    shaped = _SHAPE.match(padded, 0, size)
    if shaped is not None:
        try:
            return read_address(shaped[0].decode("ascii"))
        except BadToken:
            pass
    return None


def _cipher(key: bytes, iv: bytes) -> Cipher[modes.CBC]:
    return Cipher(algorithms.AES256(key), modes.CBC(iv))


def _bytes_to_key(digest: str) -> Callable[[bytes, bytes], tuple[bytes, bytes]]:
    """OpenSSL's EVP_BytesToKey(3) with a count of 1: a function of secret and salt that returns key and IV."""

    def derive(secret: bytes, salt: bytes) -> tuple[bytes, bytes]:
        derived = block = b""
        while len(derived) < _KEY + _BLOCK:
            block = hashlib.new(digest, block + secret + salt, usedforsecurity=False).digest()
            derived += block
        return derived[:_KEY], derived[_KEY : _KEY + _BLOCK]

    return derive


def _pbkdf2(secret: bytes, salt: bytes) -> tuple[bytes, bytes]:
    derived = hashlib.pbkdf2_hmac("sha256", secret, salt, _ROUNDS, _KEY + _BLOCK)
    return derived[:_KEY], derived[_KEY:]


_DERIVE: Final[dict[Digest, Callable[[bytes, bytes], tuple[bytes, bytes]]]] = {
    "md5": _bytes_to_key("md5"),
    "sha256": _bytes_to_key("sha256"),
    "pbkdf2": _pbkdf2,
}
#: What ``--digest`` accepts.
DIGESTS: Final[tuple[Digest, ...]] = tuple(_DERIVE)

"""How ``ketama`` hashes a key, to 32 bits: as nutcracker 0.5 does on a machine whose ``char`` is signed."""

from __future__ import annotations

import binascii
import hashlib
import zlib
from collections.abc import Callable, Iterable
from typing import Final

from proxymux.core.balancing.mixed_hash import as_chars, hsieh, jenkins, murmur, one_at_a_time

KeyHash = Callable[[bytes], int]

_MASK: Final = 0xFFFFFFFF
#: The lower halves of FNV's numbers for 64 bits.
_FNV_INIT: Final = 0x84222325
_FNV_PRIME: Final = 0x1B3
#: Those for 32 bits.
_SMALL_FNV_INIT: Final = 0x811C9DC5
_SMALL_FNV_PRIME: Final = 0x01000193
#: So many bytes are hashed before the number, which has grown with each of them, is cut to 32 bits again.
_AT_ONCE: Final = 12


def fnv1a_64(key: bytes) -> int:
    """FNV-1a of 64 bits of which only the lower 32 are kept.  It costs about 60 ns a byte."""
    chars: Iterable[int] = key if key.isascii() else as_chars(key)
    value = _FNV_INIT
    if len(key) <= _AT_ONCE:
        for char in chars:
            value = (value ^ char) * _FNV_PRIME
        return value & _MASK
    for char in chars:
        value = (value ^ char) * _FNV_PRIME & _MASK
    return value


def fnv1_64(key: bytes) -> int:
    """FNV-1 of 64 bits of which only the lower 32 are kept."""
    value = _FNV_INIT
    for char in as_chars(key):
        value = (value * _FNV_PRIME ^ char) & _MASK
    return value


def fnv1a_32(key: bytes) -> int:
    """FNV-1a of 32 bits."""
    value = _SMALL_FNV_INIT
    for char in as_chars(key):
        value = (value ^ char) * _SMALL_FNV_PRIME & _MASK
    return value


def fnv1_32(key: bytes) -> int:
    """FNV-1 of 32 bits."""
    value = _SMALL_FNV_INIT
    for char in as_chars(key):
        value = (value * _SMALL_FNV_PRIME ^ char) & _MASK
    return value


def md5(key: bytes) -> int:
    """The first four bytes of MD5."""
    return int.from_bytes(hashlib.md5(key, usedforsecurity=False).digest()[:4], "little")


def crc16(key: bytes) -> int:
    """CRC-16 as Redis Cluster has it, in the lower half.  nutcracker does not clear what it shifts out: the upper half
    has the first bytes of the CRCs of the key without its last two bytes, and without its last one."""
    crc, before, first = (binascii.crc_hqx(key[: len(key) - left], 0) if left <= len(key) else 0 for left in (0, 1, 2))
    return crc | before >> 8 << 16 | first >> 8 << 24


def crc32(key: bytes) -> int:
    """CRC-32 as libmemcached has it: 15 bits of it, so that on a ring nearly all keys have the same place."""
    return zlib.crc32(key) >> 16 & 0x7FFF


#: By the names that ``hash=`` takes, which are nutcracker's.
KEY_HASHES: Final[dict[str, KeyHash]] = {
    "fnv1a_64": fnv1a_64,
    "md5": md5,
    "crc32": crc32,
    "crc32a": zlib.crc32,
    "crc16": crc16,
    "fnv1_64": fnv1_64,
    "fnv1a_32": fnv1a_32,
    "fnv1_32": fnv1_32,
    "one_at_a_time": one_at_a_time,
    "hsieh": hsieh,
    "murmur": murmur,
    "jenkins": jenkins,
}


def tagged(key: bytes, tag: bytes) -> bytes:
    """Return the part of a key that is hashed.

    :param tag: two characters; what stands between the first and the next second one counts, if it is not empty.  With
        an empty tag the whole key does.
    """
    if not tag:
        return key
    start = key.find(tag[:1]) + 1
    end = key.find(tag[1:], start)
    return key[start:end] if start and end > start else key

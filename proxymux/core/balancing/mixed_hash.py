"""The hashes of nutcracker that mix the bytes of a key into a state of 32 bits, by shifts, additions and products.

A byte is a ``char`` where the original takes it so; see :mod:`~proxymux.core.balancing.key_hash`.
"""

from __future__ import annotations

import struct
from typing import Final

_MASK: Final = 0xFFFFFFFF
_BEGIN: Final = 0xDEADBEEF
_MURMUR_FACTOR: Final = 0x5BD1E995
#: nutcracker's number for Jenkins' hash.
_JENKINS_SEED: Final = 13
_JENKINS_SHIFTS: Final = (4, 6, 8, 16, 19, 4)
_JENKINS_LAST_SHIFTS: Final = (14, 11, 25, 16, 4, 14, 24)


def as_chars(key: bytes) -> list[int]:
    """The bytes of a key, as signed characters that became numbers of 32 bits: from 128 on all upper bits are set."""
    return [byte if byte < 128 else byte | 0xFFFFFF00 for byte in key]


def one_at_a_time(key: bytes) -> int:
    """Bob Jenkins' "one at a time" (https://burtleburtle.net/bob/hash/doobs.html)."""
    value = 0
    for char in as_chars(key):
        value = (value + char) * 1025 & _MASK
        value ^= value >> 6
    value = value * 9 & _MASK
    value ^= value >> 11
    return value * 32769 & _MASK


def hsieh(key: bytes) -> int:
    """Paul Hsieh's SuperFastHash (http://www.azillionmonkeys.com/qed/hash.html), which begins with 0."""
    value = 0
    whole = len(key) & ~3
    for low, high in struct.iter_unpack("<HH", key[:whole]):
        value = value + low & _MASK
        value = (value << 16 ^ high << 11 ^ value) & _MASK
        value = value + (value >> 11) & _MASK
    rest = key[whole:]
    if len(rest) == 3:
        value = value + int.from_bytes(rest[:2], "little") & _MASK
        value ^= (value << 16 ^ as_chars(rest)[2] << 18) & _MASK
        value += value >> 11
    elif len(rest) == 2:
        value = value + int.from_bytes(rest, "little") & _MASK
        value ^= value << 11 & _MASK
        value += value >> 17
    elif rest:
        value = value + rest[0] & _MASK
        value ^= value << 10 & _MASK
        value += value >> 1
    for left, right in ((3, 5), (4, 17), (25, 6)):
        value &= _MASK
        value ^= value << left & _MASK
        value += value >> right
    return value & _MASK


def murmur(key: bytes) -> int:
    """MurmurHash2 of 32 bits by Austin Appleby, with a seed that depends on the length."""
    size = len(key)
    value = (_BEGIN * size ^ size) & _MASK
    whole = size & ~3
    for (word,) in struct.iter_unpack("<I", key[:whole]):
        word = word * _MURMUR_FACTOR & _MASK
        word = (word ^ word >> 24) * _MURMUR_FACTOR
        value = (value * _MURMUR_FACTOR ^ word) & _MASK
    if whole < size:
        value = (value ^ int.from_bytes(key[whole:], "little")) * _MURMUR_FACTOR & _MASK
    value = (value ^ value >> 13) * _MURMUR_FACTOR & _MASK
    return value ^ value >> 15


def jenkins(key: bytes) -> int:
    """Bob Jenkins' lookup3, ``hashlittle`` (https://burtleburtle.net/bob/c/lookup3.c)."""
    a = b = c = _BEGIN + len(key) + _JENKINS_SEED & _MASK
    if not key:
        return c
    padded = key + bytes(-len(key) % 12)
    blocks = list(struct.iter_unpack("<III", padded))
    for first, second, third in blocks[:-1]:
        a, b, c = _mixed(a + first, b + second, c + third)
    first, second, third = blocks[-1]
    return _last_mixed(a + first, b + second, c + third)


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    """Six rounds, after which the three have their names again."""
    for shift in _JENKINS_SHIFTS:
        a = (a - c ^ _turned(c, shift)) & _MASK
        a, b, c = b, c + b, a
    return a & _MASK, b & _MASK, c & _MASK


def _last_mixed(a: int, b: int, c: int) -> int:
    """Seven rounds, of which the last has changed what it returns."""
    for shift in _JENKINS_LAST_SHIFTS:
        c = (c ^ b) - _turned(b, shift) & _MASK
        a, b, c = b, c, a
    return b


def _turned(value: int, shift: int) -> int:
    """The 32 bits, turned to the left."""
    value &= _MASK
    return value << shift & _MASK | value >> 32 - shift

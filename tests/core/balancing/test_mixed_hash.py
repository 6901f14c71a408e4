"""Hashes of nutcracker; tests/system/test_ketama.py has them beside nutcracker itself."""

from __future__ import annotations

import pytest

from proxymux.core.balancing.key_hash import KEY_HASHES
from proxymux.core.balancing.mixed_hash import as_chars, hsieh, one_at_a_time

KEYS = (b"", b"a", b"foobar", b"0123456789ab", b"0123456789abc", b"\xff\x80caf\xc3\xa9")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("one_at_a_time", (0, 0xCA2E9442, 0xF952FDE7, 0xF6361F26, 0xCAE77770, 0xD42C5E02)),
        ("hsieh", (0, 0x93642E87, 0x07A5862C, 0xABE296D7, 0x9AEFEDFA, 0xB06AEE39)),
        ("murmur", (0, 0x4B41757C, 0xABECFF17, 0x0D4E2821, 0xC23FAF3E, 0xF0C29041)),
        ("jenkins", (0xDEADBEFC, 0xE0A38690, 0x0FDD8B60, 0x6D223753, 0x37F93EAD, 0xD4A7B15F)),
    ],
)
def test_values(name: str, values: tuple[int, ...]) -> None:
    assert tuple(KEY_HASHES[name](key) for key in KEYS) == values


def test_a_published_value() -> None:
    assert one_at_a_time(b"The quick brown fox jumps over the lazy dog") == 0x519E91F5


@pytest.mark.parametrize("name", KEY_HASHES)
@pytest.mark.parametrize("size", range(30))
def test_each_is_a_number_of_32_bits_that_every_byte_changes(name: str, size: int) -> None:
    key = bytes(range(200, 200 + size))
    values = {KEY_HASHES[name](key[:at] + b"x" + key[at + 1 :]) for at in range(size)}
    assert all(0 <= value < 2**32 for value in values)
    assert len(values) == size


def test_the_last_of_three_bytes_is_a_character() -> None:
    assert as_chars(b"\x7f\x80") == [0x7F, 0xFFFFFF80]
    assert hsieh(b"ab\x80") != hsieh(b"ab\x00")

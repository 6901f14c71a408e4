from __future__ import annotations

import hashlib
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.balancing.key_hash import KEY_HASHES, crc32, fnv1a_64, md5, tagged
from proxymux.core.balancing.mixed_hash import as_chars
from proxymux.core.cluster_spec import HASHES

quick = settings(database=None, deadline=None, max_examples=100)


def test_there_is_one_for_each_name_that_is_accepted() -> None:
    assert tuple(KEY_HASHES) == HASHES


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"", 0xCBF29CE484222325), (b"a", 0xAF63DC4C8601EC8C), (b"foobar", 0x85944171F73967E8)],
)
def test_fnv1a_64_is_the_lower_half_of_the_published_values(key: bytes, value: int) -> None:
    assert fnv1a_64(key) == value & 0xFFFFFFFF


def test_a_byte_above_127_is_a_negative_character() -> None:
    assert fnv1a_64(b"\xff") == ((0x84222325 ^ 0xFFFFFFFF) * 0x1B3) & 0xFFFFFFFF
    assert fnv1a_64(b"\x7f") == ((0x84222325 ^ 0x7F) * 0x1B3) & 0xFFFFFFFF


@quick
@given(st.binary(max_size=40))
def test_long_keys_are_hashed_as_short_ones(key: bytes) -> None:
    value = 0x84222325
    for char in as_chars(key):
        value = (value ^ char) * 0x1B3 % 2**32
    assert fnv1a_64(key) == value


@pytest.mark.parametrize(
    ("name", "values"),
    [
        # The table of http://www.isthe.com/chongo/tech/comp/fnv/ has these; of 64 bits, the lower halves.
        ("fnv1_64", (0x84222325, 0x8601B7BE, 0xA4DDA9C2)),
        ("fnv1_32", (0x811C9DC5, 0x050C5D7E, 0x31F0B262)),
        ("fnv1a_32", (0x811C9DC5, 0xE40C292C, 0xBF9CF968)),
        ("crc32a", (0, 0xE8B7BE43, 0x9EF61F95)),
        ("crc16", (0, 0x7C87, 0x9EFFB025)),
    ],
)
def test_values(name: str, values: tuple[int, ...]) -> None:
    assert tuple(KEY_HASHES[name](key) for key in (b"", b"a", b"foobar")) == values


@pytest.mark.parametrize(
    ("name", "value"),
    [("fnv1_64", 0x2032C1A2), ("fnv1a_32", 0xD954DF88), ("fnv1_32", 0x2887F862), ("crc16", 0x7150E736)],
)
def test_values_of_what_is_not_ascii(name: str, value: int) -> None:
    assert KEY_HASHES[name](b"\xff\x80caf\xc3\xa9") == value


@quick
@given(st.binary())
def test_md5_and_crc32_are_parts_of_what_the_library_makes(key: bytes) -> None:
    assert md5(key).to_bytes(4, "little") == hashlib.md5(key).digest()[:4]
    assert crc32(key) == (zlib.crc32(key) >> 16) % 2**15


@pytest.mark.parametrize(
    ("key", "part"),
    [
        (b"user", b"user"),
        (b"{user}.a", b"user"),
        (b"a{b}c{d}", b"b"),
        (b"a}{b}", b"b"),
        (b"a{{b}}", b"{b"),
        (b"a{}b", b"a{}b"),
        (b"{}{b}", b"{}{b}"),
        (b"a{b", b"a{b"),
        (b"a}b", b"a}b"),
        (b"", b""),
    ],
)
def test_what_stands_between_the_tags_counts(key: bytes, part: bytes) -> None:
    assert tagged(key, b"{}") == part
    assert tagged(key, b"") == key


def test_both_characters_of_a_tag_may_be_the_same() -> None:
    assert tagged(b"a$bc$d", b"$$") == b"bc"
    assert tagged(b"a$$d", b"$$") == b"a$$d"
    assert tagged(b"a$d", b"$$") == b"a$d"

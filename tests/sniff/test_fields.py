from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux import NEED_DATA
from proxymux.sniff.fields import Fields, Malformed, Unfinished, read


def test_a_field_that_has_not_come_is_unfinished_and_one_that_has_no_room_is_malformed() -> None:
    fields = Fields(b"abc", 5)
    assert (fields.take(2), fields.left, fields.begun) == (b"ab", 3, b"c")
    with pytest.raises(Unfinished):
        fields.take(3)
    with pytest.raises(Malformed):
        fields.take(4)
    assert fields.take(1) == b"c", "a field that fails is not passed over"


def test_what_comes_after_the_end_is_not_read() -> None:
    fields = Fields(b"abcdef", 10)
    fields.take(1)
    fields.within(2)
    fields.within(100)
    assert (fields.left, fields.begun) == (2, b"bc")
    with pytest.raises(Malformed):
        fields.take(3)


@given(st.integers(0, 2**28 - 1))
def test_a_varint_has_seven_bits_in_a_byte_the_least_first(value: int) -> None:
    groups = [value >> shift & 0x7F for shift in (0, 7, 14, 21)]
    while len(groups) > 1 and not groups[-1]:
        groups.pop()
    data = bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
    assert Fields(data, 9).varint(4) == value
    with pytest.raises(Unfinished):
        Fields(data[:-1], 9).varint(4)
    with pytest.raises(Malformed):
        Fields(data, 9).varint(len(data) - 1)


@pytest.mark.parametrize(("data", "is_good"), [(b"\0\6", True), (b"\0\7", False), (b"\1", False)])
def test_too_great_a_length_is_known_at_its_first_byte(data: bytes, is_good: bool) -> None:
    fields = Fields(data + b"x" * 10, 10)
    if is_good:
        assert fields.length(2, 2) == 6
        return
    with pytest.raises(Malformed):
        fields.length(2, 2)
    with pytest.raises(Malformed):
        Fields(data, 10).length(2, 2)


@pytest.mark.parametrize("text", ["", "a", "caf\xe9", "\u20ac", "\U0001f600x"])
def test_a_text_is_malformed_at_its_first_wrong_byte(text: str) -> None:
    data = text.encode()
    assert Fields(data, 20).text(len(data)) == text
    for length in range(len(data)):
        with pytest.raises(Unfinished):
            Fields(data[:length], 20).text(len(data))
    for wrong in (data + b"\xff", data + b"\xc3"):
        with pytest.raises(Malformed):
            Fields(wrong, 20).text(len(wrong))
    with pytest.raises(Malformed):
        Fields(data + b"\xff", 20).text(len(data) + 5)


def test_a_choice_is_made_as_soon_as_it_can_be() -> None:
    texts = (b"GET", b"GOT", b"A")
    for data, found in ((b"GETx", b"GET"), (b"GOT", b"GOT"), (b"AA", b"A")):
        assert Fields(data, 4).choice(*texts) == found
    for begun in (b"", b"G", b"GE", b"GO"):
        with pytest.raises(Unfinished):
            Fields(begun, 4).choice(*texts)
    for wrong in (b"B", b"GA", b"GEX"):
        with pytest.raises(Malformed):
            Fields(wrong, 4).choice(*texts)
    with pytest.raises(Malformed):
        Fields(b"G", 2).choice(*texts)
    with pytest.raises(Malformed):
        Fields(b"G", 4).choice()


def test_what_is_read_is_the_value_or_need_data_or_none() -> None:
    assert read(lambda fields: fields.number(2), b"\1\2\3", 2) == 258
    assert read(lambda fields: fields.number(2), b"\1", 2) is NEED_DATA
    assert read(lambda fields: fields.number(3), b"\1", 2) is None


def test_numbered_vectors_are_read_to_the_end_or_not_at_all() -> None:
    data = bytes.fromhex("0001 0002 6162 0005 0000".replace(" ", ""))
    fields = Fields(data, len(data))
    assert (fields.numbered(2), fields.left) == ({1: b"ab", 5: b""}, 0)
    for come in range(len(data)):
        with pytest.raises(Unfinished):
            Fields(data[:come], len(data)).numbered(2)
    for wrong in (data + data[:2], data[:-1], data + b"\0\6\0\1"):  # twice, cut, and longer than there is room for
        with pytest.raises(Malformed):
            Fields(wrong, len(wrong)).numbered(3)
    with pytest.raises(Malformed):
        Fields(data, len(data)).numbered(1)
    with pytest.raises(Malformed):
        Fields(data + data[:2], len(data) + 10).numbered(9)  # known to come twice as soon as its number has come

"""Values in the messages of etcd's gateway."""

from __future__ import annotations

import pytest

from proxymux.discovery.etcd.values import decoded, encoded, end_of, number
from proxymux.errors import EtcdError


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"/a/", b"/a0"), (b"a\xff", b"b"), (b"a\xff\xff", b"b"), (b"\xff", b"\0"), (b"", b"\0")]
)
def test_the_end_of_a_prefix_is_the_first_key_that_does_not_begin_with_it(prefix: bytes, end: bytes) -> None:
    assert end_of(prefix) == end


def test_bytes_are_base64_and_nothing_is_left_out() -> None:
    assert decoded(encoded(bytes(range(256)))) == bytes(range(256))
    assert decoded(None) == b""
    for value in ("a", "ä", "$$$$"):
        with pytest.raises(EtcdError):
            decoded(value)


def test_numbers_are_texts_and_zero_is_left_out() -> None:
    assert number({"n": "9223372036854775807"}, "n") == 9223372036854775807
    assert number({"n": 3}, "n") == 3
    others: list[object] = [{}, {"n": "x"}, {"n": []}, None, "text"]
    for message in others:
        assert number(message, "n") == 0

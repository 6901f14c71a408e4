"""What both forms of a token have in common: addresses, base64, and that any line is a token or a bad one."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.target import InetTarget
from proxymux.core.token import read_address, strict_base64
from proxymux.core.token.sealed import PREFIX
from proxymux.errors import BadToken
from tests.core.token.tokens import CHECK_VALUE, KEYS, encrypted, legacy, sealed_by_hand

quick = settings(database=None, deadline=None, max_examples=300)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("[0:0:0:0:0:0:0:1]:080", "[::1]:80"),
        ("[::FFFF:10.0.0.1]:80", str(read_address("[::ffff:a00:1]:80"))),
        ("Host.example:00080", "Host.example:80"),
        ("host.example.:80", "host.example.:80"),
        ("127.0.0.1:1", "127.0.0.1:1"),
    ],
)
def test_an_address_has_one_way_of_writing(text: str, address: str) -> None:
    assert str(read_address(text)) == address
    assert str(read_address(address)) == address


@pytest.mark.parametrize("value", [None, 1, b"a:1", ["a:1"], {}, True])
def test_an_address_is_a_text(value: Any) -> None:
    with pytest.raises(BadToken):
        read_address(value)


@quick
@given(st.binary(max_size=100), st.sampled_from([b"+/", b"-_"]))
def test_base64_is_what_encoders_write_and_nothing_else(data: bytes, alphabet: bytes) -> None:
    text = base64.b64encode(data, alphabet)
    assert strict_base64(text, alphabet) == data
    other = base64.b64encode(data, b"-_" if alphabet == b"+/" else b"+/")
    if other != text:
        with pytest.raises(BadToken):
            strict_base64(other, alphabet)


@quick
@given(st.text("AB01+/-_=", max_size=12))
def test_no_two_texts_are_the_same_bytes(text: str) -> None:
    try:
        data = strict_base64(text.encode())
    except BadToken:
        return
    assert base64.b64encode(data) == text.encode()


# Random lines


@settings(database=None, deadline=None, max_examples=800)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text("ABCab019+/=-_. \r", max_size=120).map(str.encode),
        st.binary(max_size=64).map(lambda data: base64.b64encode(b"Salted__" + data)),
        st.binary(min_size=24, max_size=24).map(lambda data: base64.b64encode(b"Salted__" + data)),
        st.binary(max_size=100).map(lambda data: PREFIX + b"k1." + base64.urlsafe_b64encode(data).rstrip(b"=")),
        st.binary(max_size=100).map(lambda data: PREFIX + data),
        st.binary(max_size=80).map(sealed_by_hand),
        st.tuples(st.just(CHECK_VALUE), st.integers(0, 200), st.binary(max_size=3)).map(
            lambda each: each[0][: each[1]] + each[2] + each[0][each[1] :]
        ),
    )
)
def test_a_random_line_is_a_bad_token_or_a_ticket_and_nothing_else(line: bytes) -> None:
    for opener in (legacy, KEYS.open):
        problem, targets = "", ["a:1"]
        try:
            targets = [str(each) for each in opener(line).targets]
        except BadToken as refusal:
            problem = str(refusal)
        assert len(problem) < 200
        assert len(problem.splitlines()) <= 1
        assert [str(read_address(each)) for each in targets] == targets


@settings(database=None, deadline=None, max_examples=500)
@given(
    st.one_of(
        st.text("ab-_.:[]%019 ", max_size=30),
        st.text(max_size=20),
        st.from_regex(r"\A[a-z0-9._-]{1,20}:[0-9]{1,6}\Z"),
        st.ip_addresses(v=6).map(lambda host: f"[{host}]:1"),
        st.ip_addresses(v=6).map(lambda host: f"[{host}%eth0.1-_]:65535"),
        st.ip_addresses(v=4).map(lambda host: f"{host}:00001"),
    )
)
def test_a_sealed_and_an_old_token_hold_the_same_addresses(text: str) -> None:
    """The old form's quick look at noise must not refuse what is an address."""
    try:
        address: InetTarget | None = read_address(text)
    except BadToken:
        address = None
    data = text.encode("utf-8", "surrogatepass")
    padding = 16 - len(data) % 16
    try:
        assert legacy(encrypted(data + bytes([padding]) * padding)).targets == (address,)
    except BadToken:
        assert address is None

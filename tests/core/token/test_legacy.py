"""Tokens in the old form, OpenSSL's."""

from __future__ import annotations

import base64
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.token import Claims, read_address
from proxymux.core.token.legacy import DIGESTS, Digest, open_legacy, seal_legacy
from proxymux.errors import BadToken
from tests.core.token.tokens import EXAMPLE, SEED, bits_flipped, encrypted, legacy

quick = settings(database=None, deadline=None, max_examples=300)

#: Made and opened with the openssl command: digest, secret, salt, address, token.
VECTORS: Final[list[tuple[Digest, str, str, str, str]]] = [
    ("md5", "p0S8rX680*48", "4a209f4e409293ff", "127.0.0.1:62863", EXAMPLE.decode()),
    ("md5", "test", "0001020304050607", "127.0.0.1:10010", "U2FsdGVkX18AAQIDBAUGBwGMDIMHWHBl5xUm4yyZ7fI="),
    (
        "md5",
        "p0S8rX680*48",
        "0102030405060708",
        "192.168.2.2:8080",
        "U2FsdGVkX18BAgMEBQYHCBHNrhkVqMeouhWN843hP/APibMweyNKN1Dox8pXPWxS",
    ),
    ("md5", "p0S8rX680*48", "1112131415161718", "[::1]:62863", "U2FsdGVkX18REhMUFRYXGOXxWymRPT6iXgLRUVZ1FXE="),
    (
        "md5",
        "p0S8rX680*48",
        "2122232425262728",
        "backend-01.internal.lan:65535",
        "U2FsdGVkX18hIiMkJSYnKGbipfDTWowzrPQe9+Q1T/LEARwVjyfYdmp3bu7AmfS3",
    ),
    (
        "md5",
        "p0S8rX680*48",
        "4142434445464748",
        "a234567890123456789012345678:123",
        "U2FsdGVkX19BQkNERUZHSDoUfOi00PG0sl2MfVsbIAnl1raei4NfsxC08syeAP+zvtk7nUu4GMFpO45jdXHnpw==",
    ),
    ("md5", "p\xe4ss w\xf6rd", "0a0b0c0d0e0f1011", "10.0.0.1:1", "U2FsdGVkX18KCwwNDg8QER78GTyq+6Uoyf7nM4uNPRo="),
    ("sha256", "p0S8rX680*48", "4a209f4e409293ff", "127.0.0.1:62863", "U2FsdGVkX19KIJ9OQJKT/+Zniq5GPGK7lQRym5P+jmk="),
    ("sha256", "test", "0001020304050607", "127.0.0.1:10010", "U2FsdGVkX18AAQIDBAUGBxheapVnaU4yPE0n9YL2peM="),
    ("pbkdf2", "p0S8rX680*48", "4a209f4e409293ff", "127.0.0.1:62863", "U2FsdGVkX19KIJ9OQJKT/4KoQXE3s3k3YyxMY0Kt270="),
    ("pbkdf2", "test", "0001020304050607", "127.0.0.1:10010", "U2FsdGVkX18AAQIDBAUGB6w6iBcNrAGThvBA7AmPRQE="),
]
#: Opens well, but holds the empty text.
EMPTY: Final = b"U2FsdGVkX19RUlNUVVZXWC4H9NR1qXx3vfAJKVcRHy8="


def kinds(token: bytes, secret: bytes = SEED) -> str:
    """Why an old token is not accepted."""
    with pytest.raises(BadToken) as refusal:
        legacy(token, secret)
    return str(refusal.value)


@pytest.mark.parametrize(("digest", "secret", "salt", "address", "token"), VECTORS)
def test_a_token_of_openssl_opens(digest: Digest, secret: str, salt: str, address: str, token: str) -> None:
    assert legacy(token.encode(), secret.encode(), digest) == Claims((read_address(address),))


@pytest.mark.parametrize(("digest", "secret", "salt", "address", "token"), VECTORS)
def test_sealing_makes_what_openssl_makes(digest: Digest, secret: str, salt: str, address: str, token: str) -> None:
    assert seal_legacy(address, secret.encode(), digest, bytes.fromhex(salt)) == token


@pytest.mark.parametrize(("digest", "secret", "salt", "address", "token"), VECTORS)
def test_another_digest_does_not_open_it(digest: Digest, secret: str, salt: str, address: str, token: str) -> None:
    for other in DIGESTS:
        if other != digest:
            with pytest.raises(BadToken):
                legacy(token.encode(), secret.encode(), other)


@pytest.mark.parametrize(("digest", "secret", "salt", "address", "token"), VECTORS)
def test_of_several_digests_one_opens_it(digest: Digest, secret: str, salt: str, address: str, token: str) -> None:
    assert legacy(token.encode(), secret.encode(), *DIGESTS) == Claims((read_address(address),))
    assert legacy(token.encode(), secret.encode(), *DIGESTS[::-1]) == Claims((read_address(address),))


def test_without_a_digest_nothing_opens() -> None:
    with pytest.raises(BadToken, match="no digest"):
        open_legacy(EXAMPLE, SEED, ())


def test_the_empty_text_is_no_address() -> None:
    assert "host:port" in kinds(EMPTY)


@pytest.mark.parametrize("secret", [b"", b"p0S8rX680*4", b"p0S8rX680*48 ", b"P0S8rX680*48"])
def test_a_wrong_secret_opens_nothing(secret: bytes) -> None:
    assert "wrong secret" in kinds(EXAMPLE, secret)


@pytest.mark.parametrize(
    "line",
    [
        b" ",
        b"=",
        b"====",
        b"abc",
        EXAMPLE + b"=",
        EXAMPLE[:-1],
        EXAMPLE[:-1] + b" ",
        b" " + EXAMPLE,
        EXAMPLE + b" ",
        EXAMPLE + b"\r",
        EXAMPLE + b"\0",
        EXAMPLE[:20] + b" " + EXAMPLE[20:],
        EXAMPLE[:20] + b"\r" + EXAMPLE[20:],
        EXAMPLE[:20] + b"\xff" + EXAMPLE[21:],
        EXAMPLE.replace(b"/", b"_"),
        EXAMPLE.replace(b"+", b"-"),
        EXAMPLE[:-2] + b"1=",  # bits that no byte has
        EXAMPLE + EXAMPLE,
        b"\xc3\xa4" * 22,
    ],
)
def test_what_is_not_base64_to_the_letter_is_no_token(line: bytes) -> None:
    assert kinds(line) == "not base64"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Salted_",
        b"Salted__",
        b"Salted__" + bytes(7),
        b"Salted__" + bytes(8),
        *[b"Salted__" + bytes(8 + size) for size in (1, 15, 17, 31, 33)],
        b"salted__" + bytes(24),
        b"Xalted__" + bytes(24),
        b"Slated__" + bytes(24),
        bytes(32),
    ],
)
def test_what_is_not_of_openssls_form_is_no_token(data: bytes) -> None:
    assert kinds(base64.b64encode(data)) == "neither a sealed token nor one of OpenSSL's"


ADDRESS: Final = b"10.0.0.1:80"


@pytest.mark.parametrize(
    "padded",
    [
        ADDRESS + b"\x05" * 4 + b"\x04",
        ADDRESS + b"\x00" * 5,
        ADDRESS + b"\x05\x05\x05\x05\x00",
        ADDRESS + b"\x06" * 5,
        ADDRESS + b"\x05\x05\x04\x05\x05",
        ADDRESS + b"\x04" * 5,
        ADDRESS + b"\x11" * 5,
        ADDRESS + b"\xff" * 5,
        ADDRESS + b"\x80" + bytes(4),
        b"192.168.2.2:8080",  # an ancestor's client made such, which nobody could open
        b"192.168.2.2:8080" + b"\x11" * 16,
        b"192.168.2.2:8080" + b"\x00" * 16,
        b"192.168.2.2:8080" + b"\x10" * 15 + b"\x0f",
        ADDRESS + b"\x15" * 21,
    ],
)
def test_bad_padding_opens_nothing_whatever_it_pads(padded: bytes) -> None:
    assert kinds(encrypted(padded)) == kinds(EMPTY)


@pytest.mark.parametrize("size", range(1, 40))
def test_good_padding_of_every_size_opens(size: int) -> None:
    address = "a" * size + ":1"
    padding = 16 - len(address) % 16
    assert legacy(encrypted(address.encode() + bytes([padding]) * padding)) == Claims((read_address(address),))


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":1",
        "host",
        "host:",
        "host:0",
        "host:65536",
        "host:99999",
        "host:http",
        "host:1 ",
        " host:1",
        "host:1\n",
        "host:1\r\n",
        "host:+1",
        "host:1:2",
        "::1:80",
        "[::1]",
        "[::1]:",
        "[::1:80",
        "[127.0.0.1]:80",
        "1.2.3:80",
        "1.2.3.4.5:80",
        "0x7f.1:80",
        "0177.0.0.1:80",
        "2130706433:80",
        "ho st:80",
        "h\0st:80",
        "h\xf6st:80",
        "host\u0660:80",
        "host:\u0661",
        "unix:/run/a",
        "a:1,b:2",
        "http://a:1",
        "user@host:1",
    ],
)
def test_what_is_not_strictly_host_and_port_is_as_bad_as_bad_padding(address: str) -> None:
    data = address.encode()
    padding = 16 - len(data) % 16
    assert kinds(encrypted(data + bytes([padding]) * padding)) == kinds(EMPTY)
    with pytest.raises(BadToken):
        read_address(address)


@pytest.mark.parametrize("token", [EXAMPLE, VECTORS[2][4].encode(), VECTORS[4][4].encode(), VECTORS[5][4].encode()])
def test_with_any_bit_flipped_it_is_never_the_same_ticket(token: bytes) -> None:
    ticket = legacy(token)
    for damaged in bits_flipped(token):
        try:
            assert legacy(damaged) != ticket, damaged
        except BadToken:
            pass


@quick
@given(
    st.binary(max_size=20),
    st.from_regex(r"\A[a-z][a-z0-9.-]{0,60}[a-z0-9]:[1-9][0-9]{0,3}\Z"),
    st.binary(min_size=8, max_size=8),
    st.sampled_from(["md5", "sha256"]),
)
def test_what_was_sealed_opens(secret: bytes, address: str, salt: bytes, digest: Digest) -> None:
    try:
        read_address(address)
    except BadToken:
        return
    token = seal_legacy(address, secret, digest, salt).encode()
    assert open_legacy(token, secret, (digest,)) == Claims((read_address(address),))


@pytest.mark.parametrize("character", range(256))
def test_no_character_more_is_base64(character: int) -> None:
    """Decoders overlook many, in the middle and at the end."""
    for line in (EXAMPLE + bytes([character]), EXAMPLE[:7] + bytes([character]) + EXAMPLE[7:], bytes([character])):
        with pytest.raises(BadToken):
            legacy(line)

"""Tokens: the old form and the sealed one."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.admission import parse_network
from proxymux.core.target import InetTarget
from proxymux.core.token import Claims, read_address, strict_base64
from proxymux.core.token.legacy import DIGESTS, Digest, open_legacy, seal_legacy
from proxymux.core.token.sealed import MAX_TARGETS, PREFIX, Keys, parse_keys
from proxymux.errors import BadKeys, BadToken

quick = settings(database=None, deadline=None, max_examples=300)

SEED: Final = b"p0S8rX680*48"
EXAMPLE: Final = b"U2FsdGVkX19KIJ9OQJKT/yHGMrS+5SsBAAjetomptQ0="

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

KEY: Final = bytes(range(32))
SALT: Final = bytes(range(16))
KEYS: Final = Keys({"k1": KEY})
CHECK_VALUE: Final = (
    b"pm1.k1.AAECAwQFBgcICQoLDA0ODwb2UE5IbJPQuaaUmDUeA5EjYBBKCQRpINaFk4bg6kzHxObYKltzoVu9eL-Wphh-XmsYEH5A2w"
)
CLAIMS: Final = {"e": 1893456000, "t": "127.0.0.1:62863"}


def legacy(line: bytes, secret: bytes = SEED, *digests: Digest) -> Claims:
    return open_legacy(line, secret, digests or ("md5",))


def kinds(token: bytes, secret: bytes = SEED) -> str:
    """Why an old token is not accepted."""
    with pytest.raises(BadToken) as refusal:
        legacy(token, secret)
    return str(refusal.value)


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


# Old tokens


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


# Sealed tokens


def opens(token: str | bytes, keys: Keys = KEYS) -> Claims:
    return keys.open(token if isinstance(token, bytes) else token.encode())


def why_not(token: bytes, keys: Keys = KEYS) -> str:
    with pytest.raises(BadToken) as refusal:
        keys.open(token)
    return str(refusal.value)


def test_the_check_value_is_made_and_opened() -> None:
    assert KEYS.seal(CLAIMS, SALT).encode() == CHECK_VALUE
    assert opens(CHECK_VALUE) == Claims((read_address("127.0.0.1:62863"),), 1893456000, key="k1")


def test_the_check_value_is_what_the_contract_describes() -> None:
    assert sealed_by_hand(b'{"e":1893456000,"t":"127.0.0.1:62863"}') == CHECK_VALUE


def test_with_any_bit_flipped_nothing_opens() -> None:
    other_keys = Keys({"k1": KEY, "k0": bytes(32), "K1": bytes(32), "k3": KEY})
    for damaged in bits_flipped(CHECK_VALUE):
        with pytest.raises(BadToken):
            KEYS.open(damaged)
        with pytest.raises(BadToken):
            other_keys.open(damaged)


def test_with_any_byte_missing_or_added_nothing_opens() -> None:
    for place in range(len(CHECK_VALUE) + 1):
        for damaged in (
            CHECK_VALUE[:place] + CHECK_VALUE[place + 1 :],
            CHECK_VALUE[:place],
            CHECK_VALUE[place:],
            CHECK_VALUE[:place] + b"A" + CHECK_VALUE[place:],
            CHECK_VALUE[:place] + b"=" + CHECK_VALUE[place:],
            CHECK_VALUE[:place] + b"\n" + CHECK_VALUE[place:],
        ):
            if damaged != CHECK_VALUE:
                with pytest.raises(BadToken):
                    KEYS.open(damaged)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (b"", "not a token"),
        (b"pm1", "not a token"),
        (b"pm1.", "not a token"),
        (b"pm1.k1", "not a token"),
        (b"pm1.k1.", "damaged"),
        (b"pm1..AAAA", "no key of that id"),
        (b"pm1.k2." + CHECK_VALUE[7:], "no key of that id"),
        (b"pm1.\xff." + CHECK_VALUE[7:], "no key of that id"),
        (b"pm2.k1." + CHECK_VALUE[7:], "no key of that id"),
        (CHECK_VALUE + b"=", "damaged"),
        (CHECK_VALUE + b"==", "damaged"),
        (CHECK_VALUE + b"===", "not base64"),
        (b"pm1.k1." + base64.urlsafe_b64encode(bytes(30)), "damaged"),
        (b"pm1.k1." + base64.urlsafe_b64encode(bytes(31)).rstrip(b"="), "damaged"),
        (b"pm1.k1." + base64.urlsafe_b64encode(bytes(32)).rstrip(b"="), "damaged, or sealed with another key"),
        (b"pm1.k1." + base64.b64encode(b"\xff" * 33), "not base64"),
        (b"pm1.k1.A", "not base64"),
    ],
)
def test_what_is_not_a_sealed_token_says_why_not(token: bytes, reason: str) -> None:
    assert why_not(token).startswith(reason)


def test_a_token_belongs_to_the_id_of_its_key() -> None:
    """The id is authenticated: a token is not taken for one of another id, even if both have the same key."""
    keys = Keys({"k1": KEY, "k2": KEY})
    assert why_not(b"pm1.k2." + CHECK_VALUE[7:], keys).startswith("damaged")


def test_the_first_key_seals_and_all_open() -> None:
    new = Keys({"new": bytes(32), "k1": KEY})
    token = new.seal(CLAIMS, SALT)
    assert token.startswith("pm1.new.")
    assert opens(token, new).key == "new"
    assert opens(CHECK_VALUE, new).key == "k1"
    assert why_not(token.encode()) == "no key of that id"


def test_every_claim_is_read() -> None:
    claims = {"t": ["a:1", "[::1]:2"], "e": 10, "n": 5, "c": "10.0.0.0/8", "a": "eu", "j": "once"}
    assert opens(KEYS.seal(claims, SALT)) == Claims(
        (read_address("a:1"), read_address("[::1]:2")), 10, 5, parse_network("10.0.0.0/8"), "eu", "once", "k1"
    )


GOOD_CLAIMS: list[dict[str, Any]] = [
    {"e": 0},
    {"e": 2**40 - 1},
    {"n": 0},
    {"n": None},
    {"c": None, "a": None, "j": None},
    {"c": "::/0"},
    {"c": "192.0.2.1"},
    {"a": "x"},
    {"a": "x" * 64},
    {"j": "\N{SNOWMAN}" * 64},
    {"t": ["a:1"] * MAX_TARGETS},
]


def each_bad(name: str, reason: str, *values: Any) -> list[tuple[dict[str, Any], str]]:
    return [({name: value}, reason) for value in values]


BAD_CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"e": None}, "it has no expiry"),
    *each_bad("e", "e is not a time", -1, 2**40, 1.0, 1e3, "1", True, False, [], {}),
    *each_bad("n", "n is not a time", -1, 2**40, 1.5, "1", True, []),
    *each_bad("c", "c is not a CIDR", "", "x", "10.0.0.1/8", 1, [], True, "10.0.0.0/8,::/0"),
    *each_bad("a", "a is not a text", "", "x" * 65, 1, [], True),
    *each_bad("j", "j is not a text", "", "x" * 65, 1, [], False),
    *each_bad("t", "what it holds is not host:port", None, "", "a", "unix:/a", 1, {}, True, "a:b"),
    *each_bad("t", "what it holds is not host:port", ["a"], ["a:1", "b"], [["a:1"]], [None]),
    *each_bad("t", "its targets are not 1 to 32", [], ["a:1"] * (MAX_TARGETS + 1)),
    *[({name: 1}, "a claim that this gateway does not know") for name in ("x", "T", "", "te", "exp", "x" * 1000)],
]


@pytest.mark.parametrize("claims", GOOD_CLAIMS, ids=repr)
def test_good_claims_are_sealed_and_opened(claims: dict[str, Any]) -> None:
    assert opens(KEYS.seal({**CLAIMS, **claims}, SALT)).key == "k1"


@pytest.mark.parametrize(("claims", "reason"), BAD_CLAIMS, ids=lambda each: repr(each)[:40])
def test_bad_claims_are_neither_sealed_nor_opened(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadToken) as refusal:
        KEYS.seal({**CLAIMS, **claims}, SALT)
    assert str(refusal.value).startswith(reason)
    assert len(str(refusal.value)) < 100
    plain = json.dumps({**CLAIMS, **claims}).encode()
    assert why_not(sealed_by_hand(plain)).startswith(reason)


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"a:1"',
        b"1",
        b"{",
        b"{}x",
        b'{"t":"a:1","e":1}\0',
        b"\xff\xfe{}",
        b"{'t':'a:1','e':1}",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"t":"a:1","e":' + b"9" * 5000 + b"}",
    ],
    ids=lambda plain: repr(plain[:16]),
)
def test_a_plaintext_that_is_no_json_object_opens_nothing(plain: bytes) -> None:
    assert why_not(sealed_by_hand(plain)) == "what it holds is not a JSON object"


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-0.0", b"1e400", b"1.0"])
def test_a_number_that_is_not_whole_is_no_time(number: bytes) -> None:
    assert why_not(sealed_by_hand(b'{"t":"a:1","e":' + number + b"}")).startswith("e is not a time")


def test_other_associated_data_opens_nothing() -> None:
    plain = json.dumps(CLAIMS).encode()
    for data in (b"pm1.k1", b"pm1.k2.", b"k1", b" "):
        assert why_not(sealed_by_hand(plain, data=data)).startswith("damaged")


def test_every_salt_makes_another_token() -> None:
    tokens = {KEYS.seal(CLAIMS, secrets.token_bytes(16)) for _ in range(100)}
    assert len(tokens) == 100
    assert {opens(token) for token in tokens} == {opens(CHECK_VALUE)}


def test_the_longest_list_of_targets_still_fits_a_line_if_the_names_are_short() -> None:
    assert len(KEYS.seal({"e": 1893456000, "t": ["10.0.0.1:80"] * MAX_TARGETS}, SALT)) <= 1024


def test_keys_do_not_show_themselves() -> None:
    keys = Keys({"k1": b"\x41" * 32, "k2": bytes(32)})
    assert repr(keys) == "<Keys k1, k2>"


# Key files

TEXT: Final = base64.b64encode(KEY).decode()


def test_a_key_file_is_an_id_and_a_key_a_line() -> None:
    keys = parse_keys(
        ["# the new one\n", f"new {base64.b64encode(bytes(32)).decode()}\n", "\n", f"\tk1   {TEXT} # old"]
    )
    assert repr(keys) == "<Keys new, k1>"
    assert opens(CHECK_VALUE, keys).key == "k1"
    assert keys.seal(CLAIMS, SALT).startswith("pm1.new.")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
def test_a_line_of_a_key_file_may_end_in_any_way(end: str) -> None:
    assert opens(CHECK_VALUE, parse_keys([f"k1 {TEXT}{end}"])).key == "k1"


SECRET_WORD: Final = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "holds no key"),
        (["", "# k1"], "holds no key"),
        ([f"k1 {TEXT}", "", SECRET_WORD], "line 3: has 1 words"),
        ([f"k1 {TEXT} {SECRET_WORD}"], "line 1: has 3 words"),
        ([f"k1 {SECRET_WORD}"], "line 1: the key of k1 is not base64 of 32 bytes"),
        ([f"k1 {TEXT[:-1]}"], "line 1: the key of k1 is not base64 of 32 bytes"),
        ([f"k1 {TEXT.rstrip('=')}"], "line 1: the key of k1 is not base64 of 32 bytes"),
        ([f"k1 {KEY.hex()}"], "line 1: the key of k1 is not base64 of 32 bytes"),
        (["k1 \N{SNOWMAN}"], "line 1: the key of k1 is not base64 of 32 bytes"),
        ([f"k1 {TEXT}", f"k1 {TEXT}"], "line 2: the id k1 is there already"),
        *[([f"{kid} {TEXT}"], "line 1: the id is not") for kid in ("k.1", "k/1", "x" * 33, "k\xe41", "k=")],
        ([f"{TEXT} k1"], "line 1: the id is not"),
    ],
)
def test_a_bad_key_file_says_which_line_and_nothing_of_a_key(lines: list[str], complaint: str) -> None:
    with pytest.raises(BadKeys) as refusal:
        parse_keys(lines)
    text = str(refusal.value)
    assert text.startswith(complaint)
    assert "\n" not in text
    for word in (TEXT, TEXT[:12], SECRET_WORD, KEY.hex()):
        assert word not in text


@pytest.mark.parametrize("kid", ["k", "K-1_", "x" * 32, "1"])
def test_good_ids(kid: str) -> None:
    keys = parse_keys([f"{kid} {TEXT}"])
    assert opens(keys.seal(CLAIMS, SALT), keys).key == kid


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


@settings(database=None, deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.one_of(st.sampled_from("tencaj"), st.text(max_size=3)),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("a:1")),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=6,
    )
)
def test_whatever_claims_there_are_they_are_read_or_bad(claims: dict[str, Any]) -> None:
    token = sealed_by_hand(json.dumps(claims).encode())
    try:
        ticket = KEYS.open(token)
    except BadToken:
        return
    assert ticket.expires == claims["e"]


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

"""Sealed tokens, and the files of their keys."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.admission import parse_network
from proxymux.core.target import ClusterName
from proxymux.core.token import Claims, read_address
from proxymux.core.token.sealed import MAX_TARGETS, Keys, parse_keys
from proxymux.errors import BadKeys, BadToken
from tests.core.token.tokens import CHECK_VALUE, CLAIMS, KEY, KEYS, SALT, bits_flipped, sealed_by_hand

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


def test_a_target_may_be_the_name_of_a_cluster() -> None:
    claims = opens(KEYS.seal({"t": ["users", "a:1"], "e": 10}, SALT))
    assert claims.targets == (ClusterName("users"), read_address("a:1"))


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


NO_TARGET = "what it holds is neither host:port nor the name of a cluster"
BAD_CLAIMS: list[tuple[dict[str, Any], str]] = [
    ({"e": None}, "it has no expiry"),
    *each_bad("e", "e is not a time", -1, 2**40, 1.0, 1e3, "1", True, False, [], {}),
    *each_bad("n", "n is not a time", -1, 2**40, 1.5, "1", True, []),
    *each_bad("c", "c is not a CIDR", "", "x", "10.0.0.1/8", 1, [], True, "10.0.0.0/8,::/0"),
    *each_bad("a", "a is not a text", "", "x" * 65, 1, [], True),
    *each_bad("j", "j is not a text", "", "x" * 65, 1, [], False),
    *each_bad("t", NO_TARGET, None, "", "a b", "unix:/a", 1, {}, True, "a:b"),
    *each_bad("t", NO_TARGET, ["a "], ["a:1", "b/"], [["a:1"]], [None]),
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

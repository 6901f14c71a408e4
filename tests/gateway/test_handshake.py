"""The gateway's handshake: its line, and who may use which token when."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.token import MAX_TOKEN, Claims, read_address
from proxymux.core.token.sealed import Keys
from proxymux.core.token.verifier import SKEW, ReplayCache, TokenVerifier
from proxymux.errors import BadToken
from proxymux.gateway.handshake import Line, TooLong, read_line

quick = settings(database=None, deadline=None, max_examples=300)

CLIENT: Final = "192.0.2.7"
NOW: Final = 1_000_000.0
KEYS: Final = Keys({"k1": bytes(range(32))})
EXAMPLE: Final = b"U2FsdGVkX19KIJ9OQJKT/yHGMrS+5SsBAAjetomptQ0="
BOTH: Final = TokenVerifier(b"p0S8rX680*48", ("md5",), KEYS, "eu")


def first_answer(data: bytes, step: int = 1) -> tuple[int, Line | None]:
    """After how many bytes there is a line, ``step`` coming at a time; and the line."""
    for size in range(step, len(data) + step, step):
        line = read_line(data[:size])
        if line is not None:
            return min(size, len(data)), line
    return len(data), None


# The line


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", None),
        (b"a", None),
        (b"\r", None),
        (b"abc\r", None),
        (b"\n", Line(b"", b"")),
        (b"\r\n", Line(b"", b"")),
        (b"abc\n", Line(b"abc", b"")),
        (b"abc\r\n", Line(b"abc", b"")),
        (b"abc\r\r\n", Line(b"abc\r", b"")),
        (b"a\rb\n", Line(b"a\rb", b"")),
        (b"abc\nrest", Line(b"abc", b"rest")),
        (b"abc\r\n\r\nrest\n", Line(b"abc", b"\r\nrest\n")),
        (b"abc\n\n", Line(b"abc", b"\n")),
        (b"\0\xff\n\0", Line(b"\0\xff", b"\0")),
    ],
)
def test_a_line_ends_with_lf_or_crlf(data: bytes, line: Line | None) -> None:
    assert read_line(data) == line


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [0, 1, 44, 64, 88, MAX_TOKEN - 1, MAX_TOKEN])
def test_a_line_is_there_with_its_last_byte_and_not_before(size: int, end: bytes) -> None:
    data = b"x" * size + end
    assert first_answer(data) == (len(data), Line(b"x" * size, b""))
    for rest in (b"r", b"rest" * 1000):
        assert read_line(data + rest) == Line(b"x" * size, rest)


@pytest.mark.parametrize(
    ("data", "is_too_long"),
    [
        (b"x" * MAX_TOKEN, False),
        (b"x" * MAX_TOKEN + b"\r", False),
        (b"x" * MAX_TOKEN + b"\n", False),
        (b"x" * MAX_TOKEN + b"\r\n", False),
        (b"x" * (MAX_TOKEN - 1) + b"\r", False),
        (b"x" * (MAX_TOKEN - 1) + b"\r\r", False),
        (b"x" * (MAX_TOKEN - 1) + b"\r\r\n", False),
        (b"x" * (MAX_TOKEN - 1) + b"\rx", True),
        (b"x" * (MAX_TOKEN - 1) + b"\r\rx", True),
        (b"x" * MAX_TOKEN + b"\r\r", True),
        (b"x" * MAX_TOKEN + b"\r\r\n", True),
        (b"x" * MAX_TOKEN + b"\rx", True),
        (b"x" * (MAX_TOKEN + 1), True),
        (b"x" * (MAX_TOKEN + 1) + b"\n", True),
        (b"x" * (MAX_TOKEN + 1) + b"\r", True),
        (b"x" * (MAX_TOKEN + 1) + b"\r\n", True),
        (b"x" * (MAX_TOKEN + 2) + b"\n", True),
        (b"x" * 100_000, True),
        (b"x" * 100_000 + b"\n", True),
        (bytes(100_000), True),
    ],
)
def test_a_line_is_too_long_as_soon_as_it_cannot_be_a_token_any_more(data: bytes, is_too_long: bool) -> None:
    if is_too_long:
        with pytest.raises(TooLong):
            read_line(data)
        return
    line = read_line(data)
    assert (line is not None) is data.endswith(b"\n")


@quick
@given(st.binary(max_size=30) | st.binary(min_size=MAX_TOKEN - 3, max_size=MAX_TOKEN + 4), st.binary(max_size=20))
def test_a_line_is_the_same_however_it_arrives(token: bytes, rest: bytes) -> None:
    token = token.replace(b"\n", b"x")
    data = token + b"\n" + rest
    wanted: Any = Line(token.removesuffix(b"\r"), rest)
    if len(wanted.token) > MAX_TOKEN:
        wanted = None
    for cut in range(len(data) + 1):
        try:
            line = read_line(data[:cut])
        except TooLong:
            assert wanted is None
            assert cut > MAX_TOKEN
            return
        if line is not None:
            assert line == Line(token.removesuffix(b"\r"), rest[: cut - len(token) - 1])
            assert cut > len(token)
        else:
            assert cut <= len(token)
    assert wanted is not None


# What opens


def token(**claims: Any) -> bytes:
    return KEYS.seal({"t": "a:1", "e": int(NOW) + 60, **claims}, bytes(16)).encode()


def why_not(line: bytes, verifier: TokenVerifier = BOTH, client: str = CLIENT, now: float = NOW) -> str:
    with pytest.raises(BadToken) as refusal:
        verifier.open(line, client, now)
    return str(refusal.value)


def opens(line: bytes, client: str = CLIENT, now: float = NOW) -> bool:
    try:
        BOTH.open(line, client, now)
    except BadToken:
        return False
    return True


def test_both_forms_open() -> None:
    assert BOTH.open(EXAMPLE, CLIENT, NOW) == Claims((read_address("127.0.0.1:62863"),))
    assert BOTH.open(token(), CLIENT, NOW) == Claims((read_address("a:1"),), int(NOW) + 60, key="k1")


def test_a_form_that_is_not_accepted_says_which_option_would() -> None:
    assert "--key-file" in why_not(token(), TokenVerifier(b"p0S8rX680*48", ("md5",), None, None))
    assert "--legacy" in why_not(EXAMPLE, TokenVerifier(None, ("md5",), KEYS, None))


@pytest.mark.parametrize("line", [b"", b"pm1", b"pm1.", b"pm1.k1.", b"PM1.k1.AAAA", b"abc"])
def test_what_is_neither_opens_nothing(line: bytes) -> None:
    assert why_not(line)


def test_locks_do_not_show_the_secret() -> None:
    assert repr(BOTH) == str(BOTH) == "<TokenVerifier>"


@pytest.mark.parametrize(
    ("late", "is_open"), [(-60, True), (0, True), (SKEW, True), (SKEW + 0.01, False), (SKEW + 1, False), (1e9, False)]
)
def test_a_token_expires_with_half_a_minute_of_grace(late: float, is_open: bool) -> None:
    assert opens(token(e=int(NOW)), now=NOW + late) is is_open


@pytest.mark.parametrize(("early", "is_open"), [(0, True), (SKEW, True), (SKEW + 0.01, False), (SKEW + 1, False)])
def test_a_token_is_not_valid_before_its_time_with_half_a_minute_of_grace(early: float, is_open: bool) -> None:
    assert opens(token(n=int(NOW)), now=NOW - early) is is_open


def test_what_is_wrong_with_the_time_can_be_counted_by_its_first_words() -> None:
    assert why_not(token(e=int(NOW) - 100)) == "expired: 100 s ago"
    assert why_not(token(n=int(NOW) + 100)) == "not yet valid: for another 100 s"


@pytest.mark.parametrize("client", ["192.0.2.7", "::ffff:192.0.2.7"])
@pytest.mark.parametrize("network", ["192.0.2.0/24", "192.0.2.7", "0.0.0.0/0", "::ffff:192.0.2.0/120"])
def test_the_client_is_where_the_token_says(client: str, network: str) -> None:
    assert opens(token(c=network), client)


@pytest.mark.parametrize(
    ("network", "client"),
    [
        ("192.0.2.0/24", "192.0.3.7"),
        ("192.0.2.7", "192.0.2.8"),
        ("0.0.0.0/0", "2001:db8::1"),
        ("::/0", "192.0.2.7"),
        ("2001:db8::/32", "2001:db9::1"),
        ("0.0.0.0/0", "unix:/run/client"),
        ("0.0.0.0/0", ""),
    ],
)
def test_another_client_may_not_use_it(network: str, client: str) -> None:
    assert why_not(token(c=network), client=client) == "for another client"


def test_an_ipv6_client_with_a_zone_is_where_the_token_says() -> None:
    assert opens(token(c="fe80::/10"), "fe80::1%eth0")


@pytest.mark.parametrize(("audience", "own", "is_open"), [
    ("eu", "eu", True), ("eu", "us", False), ("eu", None, False), ("EU", "eu", False), (None, "eu", True),
    (None, None, True),
])  # fmt: skip
def test_a_token_that_names_an_audience_is_for_nobody_else(audience: str, own: str | None, is_open: bool) -> None:
    verifier = TokenVerifier(None, (), KEYS, own)
    if is_open:
        assert verifier.open(token(a=audience), CLIENT, NOW).audience == audience
    else:
        assert "--audience" in why_not(token(a=audience), verifier)


def test_an_old_token_is_for_everybody_for_ever() -> None:
    for now in (0.0, 1e12):
        assert BOTH.open(EXAMPLE, "unix:/run/client", now).expires is None


# One-time tokens


def once(name: str, expires: float = NOW + 60, key: str = "k1") -> Claims:
    return Claims((read_address("a:1"),), int(expires), once=name, key=key)


def test_a_one_time_token_is_spent_once() -> None:
    spent = ReplayCache()
    spent.spend(once("a"), NOW)
    spent.spend(once("b"), NOW)
    for now in (NOW, NOW + 60, NOW + 60 + SKEW):
        with pytest.raises(BadToken, match="used before"):
            spent.spend(once("a"), now)


def test_the_same_name_under_another_key_is_another_token() -> None:
    spent = ReplayCache()
    spent.spend(once("a", key="k1"), NOW)
    spent.spend(once("a", key="k2"), NOW)
    assert len(spent) == 2


def test_the_same_name_with_another_expiry_is_the_same_token() -> None:
    spent = ReplayCache()
    spent.spend(once("a"), NOW)
    with pytest.raises(BadToken):
        spent.spend(once("a", NOW + 1000), NOW)


def test_a_token_is_remembered_for_as_long_as_it_opens_and_no_longer() -> None:
    """At every moment a spent token is refused, be it as spent or as expired."""
    spent = ReplayCache()
    line = token(e=int(NOW), j="a")
    spent.spend(BOTH.open(line, CLIENT, NOW), NOW)
    for late in (0.0, SKEW - 0.1, float(SKEW), SKEW + 0.1, 1000.0):
        with pytest.raises(BadToken):
            spent.spend(BOTH.open(line, CLIENT, NOW + late), NOW + late)
    spent.spend(once("b", NOW + 2000), NOW + 1000)
    assert len(spent) == 1


def test_the_memory_is_bounded_and_full_it_refuses_until_something_expires() -> None:
    spent = ReplayCache(limit=2)
    spent.spend(once("a", NOW + 10), NOW)
    spent.spend(once("b", NOW + 100), NOW)
    with pytest.raises(BadToken, match="more than 2"):
        spent.spend(once("c"), NOW)
    with pytest.raises(BadToken, match="used before"):
        spent.spend(once("a", NOW + 10), NOW)
    spent.spend(once("c", NOW + 100), NOW + 10 + SKEW + 1)
    assert len(spent) == 2


@quick
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 50), st.integers(0, 20)), max_size=40))
def test_no_token_is_spent_twice_while_it_opens(uses: list[tuple[str, int, int]]) -> None:
    spent, now = ReplayCache(), NOW
    good_until: dict[str, float] = {}
    for name, life, pause in uses:
        now += pause
        expires = now + life
        is_known = good_until.get(name, now) > now
        try:
            spent.spend(once(name, expires), now)
        except BadToken:
            assert name in good_until
            assert good_until[name] >= now
        else:
            assert not is_known
            good_until[name] = expires + SKEW
    assert len(spent) <= 4

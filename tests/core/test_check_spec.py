from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.check_spec import PLAIN, CheckSpec, parse_check
from proxymux.errors import BadAddress


def is_one_line(problem: BadAddress) -> None:
    assert "\n" not in str(problem)


def refusal(options: dict[str, str]) -> str:
    with pytest.raises(BadAddress) as caught:
        parse_check(options)
    is_one_line(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("options", [{}, {"health": "off"}])
def test_without_a_word_no_member_is_checked(options: dict[str, str]) -> None:
    assert parse_check(options) is None


@pytest.mark.parametrize("kind", PLAIN)
def test_a_kind_that_needs_nothing_more(kind: str) -> None:
    assert parse_check({"health": kind}) == CheckSpec(kind)


def test_http_has_a_path_statuses_and_a_part_of_the_body() -> None:
    assert parse_check({"health": "http:/"}) == CheckSpec("http", "/")
    options = {"health": "http:/up?full=1%3B", "status": "200-299", "expect": "ready"}
    assert parse_check(options) == CheckSpec("http", "/up?full=1%3B", (200, 299), expect=b"ready")
    assert parse_check({"health": "http:/", "status": "204"}) == CheckSpec("http", "/", (204, 204))


@pytest.mark.parametrize(
    "health",
    ["", "http", "http:", "http:up", "http:/a b", "http:/ä", "tcp:80", "tls:/", "TCP", "off ", "ping", "send:x"],
)
def test_any_other_kind_is_refused_with_those_that_there_are(health: str) -> None:
    text = refusal({"health": health})
    assert text == f"health: {health!r} is not accepted; off, {', '.join(PLAIN)}, send and http:/path are"


@pytest.mark.parametrize(
    "status", ["", "20", "600", "099", "2xx", "200-", "300-200", "200-299-399", "\uff1200", " 200"]
)
def test_a_status_is_one_or_a_range(status: str) -> None:
    text = refusal({"health": "http:/", "status": status})
    assert text == f"status: {status!r} is not accepted; a status or a range such as 200-399 is"


@pytest.mark.parametrize(
    ("health", "others"),
    [
        (None, ["status", "send", "expect"]),
        ("off", ["status", "send", "expect"]),
        *((kind, ["status", "send", "expect"]) for kind in PLAIN),
        ("http:/", ["send"]),
        ("send", ["status"]),
    ],
)
def test_an_option_that_means_nothing_beside_the_kind_is_refused(health: str | None, others: list[str]) -> None:
    for other in others:
        options = {other: "200"} if health is None else {"health": health, other: "200"}
        assert refusal(options) == f"{other}: means nothing with health={health or 'off'}"


def test_send_needs_something_to_send_or_to_expect() -> None:
    assert refusal({"health": "send"}) == "health=send: needs send=TEXT, expect=TEXT or both"
    assert parse_check({"health": "send", "send": "x"}) == CheckSpec("send", send=b"x")
    assert parse_check({"health": "send", "expect": "x"}) == CheckSpec("send", expect=b"x")
    assert parse_check({"health": "send", "send": "x", "expect": "y"}) == CheckSpec("send", send=b"x", expect=b"y")


def sent(text: str) -> bytes:
    spec = parse_check({"health": "send", "send": text})
    assert spec is not None
    return spec.send


def test_what_is_sent_is_not_shown() -> None:
    found = parse_check({"health": "send", "send": r"AUTH hush\r\nPING\r\n"})
    assert found is not None
    assert "hush" not in repr(found)


def test_escapes_stand_for_what_cannot_be_written() -> None:
    assert sent(r"PING\r\n") == b"PING\r\n"
    assert sent(r"\x00\xfF\0\t\\\x3b\\n") == b"\x00\xff\0\t\\;\\n"
    assert sent("grüß") == "grüß".encode()
    assert sent("\udcff!") == b"\xff!"  # a byte of the command line that is no UTF-8


@pytest.mark.parametrize(
    ("text", "shown"), [(r"\q", r"\q"), (r"a\x1", r"\x"), (r"\xgg", r"\x"), ("a\\", "\\"), ("\\\n", r"\\x0a")]
)
def test_another_escape_is_refused(text: str, shown: str) -> None:
    assert refusal({"health": "send", "send": text}).startswith("send: \\")
    assert re.match(r"expect: \\\S* ?is not accepted; ", refusal({"health": "send", "expect": text}))


def test_what_is_no_text_at_all_is_refused() -> None:
    assert "is not a text in UTF-8" in refusal({"health": "send", "send": "\ud800"})


@given(st.binary(min_size=1))
def test_every_bytes_can_be_written(data: bytes) -> None:
    assert sent("".join(f"\\x{byte:02x}" for byte in data)) == data
    text = data.decode("utf-8", "surrogateescape")
    assert sent(text.replace("\\", r"\\")) == data


@given(st.dictionaries(st.sampled_from(["health", "status", "send", "expect"]), st.text()))
def test_whatever_is_written_is_read_or_refused_in_one_line(options: dict[str, str]) -> None:
    try:
        parse_check(options)
    except BadAddress as problem:
        is_one_line(problem)

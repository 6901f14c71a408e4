"""Texts of others in a line of ours."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.excerpt import excerpt
from proxymux.errors import BadAddress, BadMessage, BadToken, ConfigError, DecisionFailed
from proxymux.printable import printable
from proxymux.user_code import describe


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words: äöü 日本 \\n 'quoted'", "plain words: äöü 日本 \\n 'quoted'"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\0b\x7fc\x9bd", "a\\x00b\\x7fc\\x9bd"),
        ("one\ntwo\r\nthree\x0b\u2028\x85", "one\\ntwo\\r\\nthree\\x0b\\u2028\\x85"),
        ("a\tb\xa0c", "a\\tb\\xa0c"),
        ("user\u202egnp.exe\u2066", "user\\u202egnp.exe\\u2066"),
        (b"\xff\xfe".decode("utf-8", "surrogateescape"), "\\udcff\\udcfe"),
        ("\ufeffbom \u200bzero", "\\ufeffbom \\u200bzero"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_is_not_printable_is_an_escape(text: str, expected: str) -> None:
    assert printable(text) == expected


@settings(database=None, deadline=None)
@given(st.text(st.characters()))
def test_every_text_becomes_one_line_that_any_terminal_and_file_takes(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown


def test_a_text_that_is_too_long_is_cut_and_says_by_how_much() -> None:
    assert printable("x" * 100, 100) == "x" * 100
    assert printable("x" * 98 + "\n" * 5, 100) == "x" * 98 + "\\n\\n... (3 characters more)"


class Odd:
    def __repr__(self) -> str:
        return "<\x1b[2J\n\0>"


NASTY = "\x1b]0;title\x07\n\udcff"


@pytest.mark.parametrize(
    "text",
    [
        str(ConfigError("--option", f"{NASTY}: no such file")),
        str(DecisionFailed(NASTY)),
        str(BadAddress(NASTY)),
        str(BadMessage(NASTY)),
        str(BadToken(NASTY, NASTY)),
        describe(ValueError(NASTY)),
        describe(type("Raised\n", (Exception,), {})(NASTY)),
        excerpt(Odd()),
        excerpt(NASTY),
    ],
)
def test_the_texts_of_errors_and_excerpts_are_printable(text: str) -> None:
    assert text.isprintable()


def test_an_exception_that_holds_all_that_a_client_has_sent_is_told_in_a_few_hundred_characters() -> None:
    told = describe(ValueError("GET " + "x" * 65536))
    assert told.startswith("ValueError: GET xxx")
    assert told.endswith(" characters more)")
    assert len(told) < 600

"""RESP: whom slots and clients log in as, and what is said of it."""

from __future__ import annotations

import pytest

from proxymux.core.codecs.resp.credentials import Credentials, parse_credentials
from proxymux.core.codecs.resp.setups import RespSetups, command
from proxymux.errors import BadKeys


def parse(text: str) -> Credentials:
    return parse_credentials(text.encode().splitlines(keepends=True))


def test_a_file_of_both() -> None:
    found = parse("# ours\n\nupstream pool open sesame\r\nclient app a\nclient app b\nclient default  c \n")
    assert found == Credentials((b"pool", b"open sesame"), {b"app": (b"a", b"b"), b"default": (b" c ",)})
    assert found.admits(b"app", b"a")
    assert found.admits(b"app", b"b")
    assert not found.admits(b"app", b"ab")
    assert "sesame" not in repr(found)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it names nobody"),
        ("# nothing\n", "it names nobody"),
        ("client app\n", "line 1: a line is"),
        ("\nsomebody app secret\n", "line 2: a line is"),
        ("upstream a secret\nupstream b secret\n", "line 2: a second upstream"),
        (f"client a {'secret' * 100}\n", "line 1: user and password have at most"),
        ("client a secret\0\n", "line 1: user and password have at most"),
    ],
)
def test_a_bad_file_is_told_of_by_its_line_and_nothing_of_it(text: str, problem: str) -> None:
    with pytest.raises(BadKeys) as error:
        parse(text)
    assert str(error.value).startswith(problem)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("user", "words"), [(b"default", [b"AUTH", b"open sesame"]), (b"pool", [b"AUTH", b"pool", b"open sesame"])]
)
def test_the_default_user_logs_in_as_before_redis_6(user: bytes, words: list[bytes]) -> None:
    setups = RespSetups()
    setups.credentials = Credentials((user, b"open sesame"))
    setups.database = 3
    login, select = setups.opening()
    assert (login.data, select.data) == (command(*words), command(b"SELECT", b"3"))
    assert "sesame" not in login.purpose


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (b"+OK\r\n", None),
        (b"%1\r\n+a\r\n-1\r\n", None),
        (b"-WRONGPASS invalid username-password pair\r\n", "WRONGPASS invalid username-password pair"),
        (b"-ERR unknown command 'AUTH', with args beginning with: 'x'\r\n", "ERR unknown command 'AUTH'"),
        (b"-ERR what is sesame?\r\n", "ERR"),
        (b"-ERR \x1b[1m\r\n", "ERR ?[1m"),
        (b"-" + b"x" * 500, "x" * 200),
    ],
)
def test_an_error_is_told_without_the_password(reply: bytes, problem: str | None) -> None:
    setups = RespSetups()
    setups.credentials = Credentials((b"default", b"sesame"))
    assert setups.problem(reply) == problem


def test_a_server_that_wants_a_login_is_told_with_the_remedy() -> None:
    setups = RespSetups()
    assert setups.problem(b"-NOAUTH Authentication required.\r\n") == (
        "NOAUTH Authentication required. (an upstream line in --auth-file logs in)"
    )
    setups.credentials = Credentials((b"default", b"sesame"))
    assert setups.problem(b"-NOAUTH Authentication required.\r\n") == "NOAUTH Authentication required."

"""RESP: what becomes of commands that depend on others before them, however they are cut."""

from __future__ import annotations

import pytest

from proxymux.core.codecs import Kind, SpecialRequest
from proxymux.core.codecs.resp import RespCodec
from proxymux.core.codecs.resp.client import _JUDGES
from proxymux.core.codecs.resp.commands import SPECIAL, WORD_LIMIT
from proxymux.core.codecs.resp.credentials import Credentials
from proxymux.core.codecs.resp.setups import RESP3, command
from tests.core.codecs.checks import ways

PLAIN = "plain"
NONE_TO_SPARE = "needs an upstream of its own, and there is none to spare"


def outcomes(text: str, *, spare: bool = False, codec: RespCodec | None = None) -> list[str]:
    """What becomes of the commands of the text, which stand between bars: a kind, or the first line of the answer.

    It is the same for lines and arrays, and however they are cut.
    """
    codec = codec or RespCodec()
    lines = [each.strip().encode() for each in text.split("|")]
    found: list[list[str]] = []
    arrays = [[b"".join(command(*line.split()) for line in lines)]] if '"' not in text else []
    for pieces in [*arrays, *ways(b"".join(line + b"\r\n" for line in lines))]:
        scanner = codec.requests_for(lambda: spare)
        came: list[str] = []
        for piece in pieces:
            for request in scanner.feed(piece):
                answer = request.answer.partition(b"\r\n")[0].decode()
                came += [answer or request.kind.value] * request.count
        if came not in found:
            found.append(came)
    assert len(found) == 1, found
    return found[0]


def asking(*clients: tuple[bytes, bytes]) -> RespCodec:
    """A codec whose clients have to log in."""
    codec = RespCodec()
    codec.setups.credentials = Credentials(None, {user: (password,) for user, password in clients})
    return codec


# Commands that take others with them


def test_a_refused_multi_takes_all_with_it_up_to_its_exec() -> None:
    refused = "-ERR the MULTI before it was refused, and so is this command"
    assert outcomes("GET a|MULTI|INCR a|WATCH a|SELECT 5|FOO|EXEC|GET a|EXEC") == [
        PLAIN,
        f"-ERR MULTI {NONE_TO_SPARE}",
        *[refused] * 4,
        "-EXECABORT Transaction discarded because its MULTI was refused",
        PLAIN,
        PLAIN,
    ]
    assert outcomes("MULTI|MULTI|discard|GET a")[1:] == [refused, "-ERR DISCARD without MULTI", PLAIN]


def test_quit_and_reset_end_a_refused_transaction() -> None:
    assert outcomes("MULTI|INCR a|RESET|INCR a")[2:] == ["+RESET", PLAIN]
    assert outcomes("MULTI|INCR a|QUIT|INCR a")[2:] == ["+OK"]


def test_a_quoted_command_in_a_refused_transaction_is_refused() -> None:
    assert outcomes('MULTI|set a "b c"|EXEC|GET a')[1:] == [
        "-ERR the MULTI before it was refused, and so is this command",
        "-EXECABORT Transaction discarded because its MULTI was refused",
        PLAIN,
    ]


def test_a_transaction_after_a_refused_watch_is_refused() -> None:
    came = outcomes("WATCH a|GET a|MULTI|SET a 1|EXEC|GET a")
    assert came[:3] == [f"-ERR WATCH {NONE_TO_SPARE}", PLAIN, "-ERR MULTI came after a WATCH that was refused"]
    assert came[4:] == ["-EXECABORT Transaction discarded because its MULTI was refused", PLAIN]


@pytest.mark.parametrize("end", ["UNWATCH", "EXEC", "DISCARD"])
def test_what_ends_a_refused_watch(end: str) -> None:
    codec, answers = RespCodec(), iter([False, True])
    scanner = codec.requests_for(lambda: next(answers))
    kinds = [request.kind for request in scanner.feed(f"WATCH a\r\n{end}\r\nMULTI\r\n".encode())]
    assert kinds == [Kind.REFUSED, Kind.PLAIN, Kind.OWN]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("SELECT 5", "SELECT"),
        ("AUTH secret", "AUTH"),
        ("HELLO 3 AUTH a secret", "HELLO"),
        ("CLIENT REPLY OFF", "CLIENT REPLY"),
        ("SCRIPT DEBUG YES", "SCRIPT"),
        ('get "a"', "a command with quotes"),
    ],
)
def test_what_others_silently_depend_on_ends_the_client_where_it_is_refused(line: str, name: str) -> None:
    data = b"GET a\r\n" + line.encode() + b"\r\nSET a 1\r\n"
    for pieces in ways(data):
        scanner = RespCodec().requests_for(lambda: False)
        [get, refused] = [request for piece in pieces for request in scanner.feed(piece)]
        assert get.kind is Kind.PLAIN
        assert isinstance(refused, SpecialRequest)
        assert (refused.kind, refused.name) == (Kind.QUIT, name)
        assert refused.problem.startswith(f"{name} {NONE_TO_SPARE}")
        assert b"secret" not in refused.answer
        assert scanner.is_between


def test_the_others_are_refused_one_by_one() -> None:
    for name in ("SUBSCRIBE", "MONITOR", "READONLY", "ASKING"):
        assert outcomes(f"{name}|GET a") == [f"-ERR {name} {NONE_TO_SPARE}", PLAIN]
    assert outcomes("CLIENT TRACKING ON|GET a") == [f"-ERR CLIENT TRACKING {NONE_TO_SPARE}", PLAIN]
    assert outcomes("CLIENT WHATEVER|BLPOP a 0") == [f"-ERR CLIENT {NONE_TO_SPARE}", f"-ERR BLPOP {NONE_TO_SPARE}"]


def test_the_words_of_a_refusal_name_the_way_out() -> None:
    assert outcomes("SELECT 5")[0].endswith("none to spare; clients share database 0 (--database)")
    assert outcomes("AUTH a")[0].endswith("none to spare; with --auth-file a login needs none")


def test_who_is_judged_is_looked_at() -> None:
    assert _JUDGES.keys() <= SPECIAL.keys()


# Version, name and database


def sent(line: str, codec: RespCodec | None = None) -> SpecialRequest:
    """The one request of a line."""
    [request] = (codec or RespCodec()).requests_for(lambda: False).feed(line.encode() + b"\r\n")
    assert isinstance(request, SpecialRequest)
    return request


@pytest.mark.parametrize("options", ["", " SETNAME app", " setname a SETNAME b"])
def test_a_version_is_asked_for_without_the_rest(options: str) -> None:
    two, three = sent("HELLO 2" + options), sent("hello 3" + options)
    assert (two.kind, two.data, two.setup) == (Kind.REPLACED, command(b"HELLO", b"2"), None)
    assert (three.kind, three.data, three.setup) == (Kind.REPLACED, command(b"HELLO", b"3"), RESP3)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("HELLO 4", "-NOPROTO unsupported protocol version"),
        ("HELLO 9999999999999999999999", "-ERR Protocol version is not an integer or out of range"),
        ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
        ("HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'"),
        ("HELLO 3 AUTH a", "-ERR Syntax error in HELLO option 'AUTH'"),
        ("HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'"),
        ("HELLO 3 SETNAME \xff", "-ERR Client names cannot contain spaces, newlines or special characters."),
        ("HELLO 3" + " SETNAME a" * 16, "-ERR Syntax error in HELLO"),
        ("CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command"),
        ("CLIENT SETNAME a b", "-ERR wrong number of arguments for 'client|setname' command"),
        ("RESET now", "-ERR wrong number of arguments for 'reset' command"),
        ("CLIENT MAINT_NOTIFICATIONS ON", "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP."),
    ],
)
def test_what_redis_would_refuse_is_refused_in_its_words(line: str, answer: str) -> None:
    assert outcomes(line + "|GET a") == [answer, PLAIN]


def test_a_name_is_remembered_for_the_client_alone() -> None:
    scanner = RespCodec().requests()
    assert [each.answer for each in scanner.feed(b"CLIENT SETNAME App\r\nCLIENT GETNAME\r\n")] == [
        b"+OK\r\n",
        b"$3\r\nApp\r\n",
    ]
    assert [each.kind for each in scanner.feed(b"RESET\r\nCLIENT GETNAME\r\n")] == [Kind.REFUSED, Kind.PLAIN]


def test_what_would_name_or_spare_a_shared_connection_is_asked_for_without_effect() -> None:
    assert sent("CLIENT SETINFO LIB-NAME redis-py").data == command(b"CLIENT", b"SETINFO", b"LIB-NAME", b"")
    assert sent("CLIENT NO-EVICT on").data == command(b"CLIENT", b"NO-EVICT", b"OFF")
    assert sent("CLIENT NO-TOUCH ON").data == command(b"CLIENT", b"NO-TOUCH", b"OFF")


def test_the_shared_database_may_be_selected() -> None:
    codec = RespCodec()
    codec.setups.database = 5
    assert outcomes("SELECT 5|GET a", codec=codec) == [PLAIN, PLAIN]
    assert outcomes("SELECT 0|GET a", codec=codec, spare=True) == ["own", PLAIN]
    assert [each.data for each in codec.setups.opening()] == [command(b"SELECT", b"5")]


def test_a_reset_client_has_the_first_version_again() -> None:
    assert sent("RESET").setup is None


# Logins at the pool

NOAUTH = "-NOAUTH Authentication required."
WRONGPASS = "-WRONGPASS invalid username-password pair or user is disabled."


def test_before_a_login_nothing_else_is_heard() -> None:
    codec = asking((b"app", b"pass word"))
    came = outcomes("GET a|MULTI|SUBSCRIBE a|EXEC|CLIENT ID|SELECT 5|get 'a'|RESET|HELLO|FOO", codec=codec, spare=True)
    assert came[:7] == [NOAUTH] * 7
    assert came[7] == "+RESET"
    assert came[8].startswith("-NOAUTH HELLO must be called with the client already authenticated")
    assert came[9] == NOAUTH
    assert outcomes('"multi"|GET a', codec=codec, spare=True) == [NOAUTH, NOAUTH]


@pytest.mark.parametrize("login", ["AUTH app pw", "HELLO 2 AUTH app pw", "HELLO 3 SETNAME a AUTH app pw", "AUTH pw"])
def test_a_login_opens_it(login: str) -> None:
    codec = asking((b"app", b"pw"), (b"default", b"pw"))
    came = outcomes(f"GET a|{login}|GET a|MULTI", codec=codec, spare=True)
    assert came == [NOAUTH, "+OK" if login.startswith("AUTH") else "replaced", PLAIN, "own"]


@pytest.mark.parametrize(
    "login",
    [
        "AUTH app px", "AUTH app p", "AUTH app pwx", "AUTH pw", "AUTH nobody pw", "AUTH app " + "x" * (WORD_LIMIT + 1),
        "AUTH app PW", "AUTH APP pw", "HELLO 3 AUTH app px", "HELLO 3 AUTH nobody pw",
    ],
)  # fmt: skip
def test_a_wrong_login_does_not(login: str) -> None:
    assert outcomes(f"{login}|GET a", codec=asking((b"app", b"pw")), spare=True) == [WRONGPASS, NOAUTH]


def test_an_empty_password_is_that_of_nobody() -> None:
    scanner = asking((b"app", b"pw")).requests_for(lambda: True)
    data = command(b"AUTH", b"app", b"") + command(b"AUTH", b"", b"") + command(b"AUTH", b"nobody", b"")
    assert [each.answer.decode().strip() for each in scanner.feed(data)] == [WRONGPASS] * 3


def test_a_login_of_wrong_length() -> None:
    came = outcomes("AUTH|AUTH a b c|GET a", codec=asking((b"app", b"pw")))
    assert came == ["-ERR wrong number of arguments for 'auth' command", "-ERR syntax error", NOAUTH]


def test_a_wrong_login_after_a_right_one_changes_nothing_and_a_reset_ends_it() -> None:
    came = outcomes("AUTH app pw|AUTH app px|GET a|RESET|GET a", codec=asking((b"app", b"pw")))
    assert came == ["+OK", WRONGPASS, PLAIN, "+RESET", NOAUTH]


def test_where_nobody_is_asked_a_login_is_for_redis_alone() -> None:
    codec = RespCodec()
    codec.setups.credentials = Credentials((b"default", b"pw"))
    assert outcomes("GET a|AUTH pw", codec=codec, spare=True) == [PLAIN, "own"]
    assert outcomes("HELLO 3 AUTH default pw", codec=codec, spare=True) == ["own"]

from __future__ import annotations

import pytest

from proxymux.core.redis_cluster.redirect import MAX_REDIRECT, Redirect, address_of, parse_redirect
from proxymux.core.target import parse_address
from proxymux.errors import BadAddress

ASKED = parse_address("10.0.0.9:6379")


@pytest.mark.parametrize(
    ("reply", "kind", "slot", "address"),
    [
        (b"-MOVED 3999 127.0.0.1:6381\r\n", "MOVED", 3999, "127.0.0.1:6381"),
        (b"-ASK 0 127.0.0.1:6381\r\n", "ASK", 0, "127.0.0.1:6381"),
        (b"-MOVED 16383 :6381\r\n", "MOVED", 16383, "10.0.0.9:6381"),
        (b"-MOVED 1 ::1:6381\r\n", "MOVED", 1, "[::1]:6381"),
        (b"-MOVED 1 one.redis.example.com:6381\r\n", "MOVED", 1, "one.redis.example.com:6381"),
    ],
)
def test_a_redirect_says_where_to_go(reply: bytes, kind: str, slot: int, address: str) -> None:
    assert parse_redirect(reply, ASKED) == Redirect("ASK" if kind == "ASK" else "MOVED", slot, parse_address(address))


@pytest.mark.parametrize(
    "reply",
    [
        b"+OK\r\n",
        b"-ERR MOVED 1 h:1\r\n",
        b"-MOVED 16384 h:1\r\n",
        b"-MOVED -1 h:1\r\n",
        b"-MOVED 1 h:0\r\n",
        b"-MOVED 1 h:65536\r\n",
        b"-MOVED 1 h\r\n",
        b"-MOVED 1 ?:6381\r\n",
        b"-MOVED 1 unix:/x:1\r\n",
        b"-MOVED 1 h:1 and more\r\n",
        b"-MOVED 1 h:1\r\n+OK\r\n",
        b"-MOVED 1 h:1",
        b"-MOVED 1 \xff:1\r\n",
        b"-moved 1 h:1\r\n",
        b"$20\r\n-MOVED 1 h:1\r\n",
        b"-MOVED 1 " + b"a" * MAX_REDIRECT + b":1\r\n",
        b"",
    ],
)
def test_what_is_none_or_leads_nowhere_is_the_client_s(reply: bytes) -> None:
    assert parse_redirect(reply, ASKED) is None


def test_an_empty_host_is_that_of_who_was_asked() -> None:
    assert address_of("", 7, parse_address("[::1]:6379")) == parse_address("[::1]:7")
    with pytest.raises(BadAddress):
        address_of("?", 7, ASKED)

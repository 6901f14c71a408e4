from __future__ import annotations

import pytest

from proxymux.core.redis_cluster.talk import Login, Said, TopologyTalk, command
from proxymux.core.redis_cluster.topology import parse_shards, parse_slots
from proxymux.core.target import parse_address
from proxymux.errors import BadMessage
from tests.core.redis_cluster.answers import SHARDS, SLOTS, encoded

NODE = parse_address("10.0.0.9:6379")
ASK_SHARDS, ASK_SLOTS = command(b"CLUSTER", b"SHARDS"), command(b"CLUSTER", b"SLOTS")


def talk(login: Login | None = None, is_tls: bool = False) -> TopologyTalk:
    return TopologyTalk(NODE, is_tls, login)


def test_the_shards_are_asked_for() -> None:
    talking = talk()
    assert talking.begin() == b"*2\r\n$7\r\nCLUSTER\r\n$6\r\nSHARDS\r\n"
    answer = encoded(SHARDS)
    assert talking.received(answer[:100]) == Said()
    assert talking.received(answer[100:]) == Said(topology=parse_shards(SHARDS, NODE, False))


@pytest.mark.parametrize("error", [b"-ERR Unknown subcommand 'SHARDS'\r\n", b"-NOPERM no\r\n"])
def test_an_older_redis_is_asked_for_the_slots(error: bytes) -> None:
    talking = talk()
    talking.begin()
    assert talking.received(error) == Said(ASK_SLOTS)
    assert talking.received(encoded(SLOTS)).topology == parse_slots(SLOTS, NODE)


@pytest.mark.parametrize(("user", "words"), [(b"", (b"AUTH", b"secret")), (b"user", (b"AUTH", b"user", b"secret"))])
def test_the_login_comes_first(user: bytes, words: tuple[bytes, ...]) -> None:
    talking = talk(Login(user, b"secret"))
    assert talking.begin() == command(*words)
    assert talking.received(b"+OK\r\n") == Said(ASK_SHARDS)
    assert talking.received(encoded(SHARDS)).topology is not None


def test_a_refused_login_is_told_without_what_was_sent() -> None:
    talking = talk(Login(b"user", b"secret"))
    talking.begin()
    with pytest.raises(BadMessage) as refused:
        talking.received(b"-WRONGPASS secret is wrong\r\n")
    assert str(refused.value) == "the login is refused: WRONGPASS"
    assert "secret" not in repr(Login(b"secret", b"secret"))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"-NOAUTH Authentication required.\r\n", "it does not say who serves what: NOAUTH"),
        (b"-what?\r\n", "it does not say who serves what: an error"),
        (b"*0\r\n", "no slot is served"),
        (b"+OK\r\n", "Redis Cluster: no list where one has to be in an answer"),
        (b"*0\r\n*0\r\n", "Redis Cluster: an answer that nobody has asked for"),
        (b"HTTP/1.1 400\r\n", "RESP: a type that is none"),
    ],
)
def test_an_answer_that_is_none_of_use(answer: bytes, problem: str) -> None:
    talking = talk()
    talking.begin()
    with pytest.raises(BadMessage) as refused:
        talking.received(answer)
    assert str(refused.value) == problem


def test_a_redis_that_is_no_cluster_is_asked_twice() -> None:
    talking = talk()
    talking.begin()
    no = b"-ERR This instance has cluster support disabled\r\n"
    assert talking.received(no) == Said(ASK_SLOTS)
    with pytest.raises(BadMessage, match="it does not say who serves what: ERR"):
        talking.received(no)

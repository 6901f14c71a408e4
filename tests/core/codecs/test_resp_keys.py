"""Where the keys of Redis commands are; tests/system/test_redis_keys.py asks Redis itself."""

from __future__ import annotations

import pytest

from proxymux.core.codecs.resp.key_rules import FixedRule, OptionRule, positions
from proxymux.core.codecs.resp.key_table import _ROWS, KEY_TABLE, ONE, rules_of
from proxymux.core.codecs.resp.reads import READS, SUBCOMMANDS
from proxymux.core.codecs.resp.view import RespView
from proxymux.core.codecs.resp.words import array_of


def keys(*words: bytes) -> tuple[bytes, ...]:
    return RespView(array_of(words)).keys


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("GET a", "a"),
        ("set a b EX 1", "a"),
        ("SeT a b", "a"),
        ("MGET a b a", "a b a"),
        ("MSET a 1 b 2", "a b"),
        ("MSET a 1 b", "a b"),
        ("MSETEX 2 a 1 b 2 EX 5", "a b"),
        ("MSETEX 3 a 1 b 2", ""),
        ("DEL a", "a"),
        ("BLPOP a b 0", "a b"),
        ("RENAME a b", "a b"),
        ("LCS a b LEN", "a b"),
        ("SINTERSTORE d a b", "d a b"),
        ("BITOP AND d a b", "d a b"),
        ("OBJECT ENCODING a", "a"),
        ("object freq a", "a"),
        ("OBJECT HELP", ""),
        ("OBJECT", ""),
        ("MEMORY USAGE a SAMPLES 5", "a"),
        ("MEMORY STATS", ""),
        ("XGROUP CREATE s g $", "s"),
        ("XINFO STREAM s FULL", "s"),
        ("ZUNION 2 a b WEIGHTS 1 2", "a b"),
        ("ZUNIONSTORE d 2 a b", "d a b"),
        ("ZUNIONSTORE d 3 a b", ""),
        ("SINTERCARD 2 a b LIMIT 1", "a b"),
        ("LMPOP 1 a LEFT", "a"),
        ("BLMPOP 0 2 a b LEFT", "a b"),
        ("EVAL script 2 a b c", "a b"),
        ("EVAL script 0 a", ""),
        ("EVAL script -1 a", ""),
        ("EVAL script 99999999999999999999 a", ""),
        ("EVAL script x a", ""),
        ("EVAL script", ""),
        ("EVALSHA sha 1 a", "a"),
        ("FCALL f 1 a b", "a"),
        ("SORT a", "a"),
        ("SORT a BY store LIMIT 0 10 GET store ASC store d", "a d"),
        ("SORT a STORE d STORE e", "a e"),
        ("SORT a STORE", "a"),
        ("GEORADIUS a 1 1 1 m STORE d", "a d"),
        ("GEORADIUS a 1 1 1 m COUNT 1 storedist d", "a d"),
        ("GEORADIUSBYMEMBER a b 1 m", "a"),
        ("GEORADIUSBYMEMBER a b 1 m STORE d", "a d"),
        ("XREAD STREAMS a b 0 0", "a b"),
        ("XREAD COUNT 1 BLOCK 2 streams a 0", "a"),
        ("XREAD STREAMS a b 0", "a"),
        ("XREAD STREAMS a", ""),
        ("XREAD COUNT 1", ""),
        ("XREADGROUP GROUP STREAMS STREAMS NOACK STREAMS a 0", "a"),
        ("MIGRATE host 1 a 0 10", "a"),
        ("MIGRATE host 1 a 0 10 COPY REPLACE AUTH KEYS", "a"),
        ("MIGRATE host 1 a 0 10 KEYS b", ""),
        ("MIGRATE host 1", ""),
        ("SPUBLISH channel text", "channel"),
        ("PING a", ""),
        ("KEYS *", ""),
        ("UNKNOWN a b", ""),
        ("JSON.MSET a $ 1 b $ 2", "a b"),
        ("JSON.MGET a b $", "a b"),
        ("JSON.SET a $ 1", "a"),
        ("VADD a VALUES 1 1 b", "a"),
    ],
)
def test_the_keys_of_a_command(command: str, found: str) -> None:
    assert keys(*command.encode().split(b" ")) == tuple(found.encode().split())


def test_migrate_has_its_keys_behind_keys_if_the_third_argument_is_empty() -> None:
    head = (b"MIGRATE", b"host", b"1", b"", b"0", b"10")
    assert keys(*head, b"AUTH2", b"user", b"KEYS", b"KEYS", b"a", b"", b"b") == (b"a", b"", b"b")
    assert keys(*head, b"KEYS") == ()
    assert keys(*head) == (b"",)


def test_a_name_that_is_too_much_is_not_looked_at() -> None:
    # Python refuses to read a number of more than 4300 digits.
    assert keys(b"EVAL", b"script", b"1" * 10_000, b"a") == ()


def test_a_rule_that_does_not_fit_takes_all_keys_away() -> None:
    words = [b"X", b"a", b"b"]
    assert positions((FixedRule(1), FixedRule(2)), words) == [1, 2]
    assert positions((FixedRule(1), FixedRule(3)), words) == []
    assert positions((FixedRule(1), OptionRule(b"STORE", 1, {})), words) == [1]


def test_no_command_is_in_two_rows() -> None:
    names = [name for _, names in _ROWS for name in names.split()]
    assert len(names) == len(set(names)) == len(KEY_TABLE)
    assert all(name == name.upper() for name in names)


def test_what_reads_has_keys_unless_it_is_about_none() -> None:
    about_none = b"DBSIZE ECHO INFO KEYS LASTSAVE LOLWUT PING RANDOMKEY ROLE SCAN TIME".split()
    assert sorted(name for name in READS if not rules_of(name, b"")) == about_none
    without = {b"CONFIG|GET", b"MEMORY|STATS", *(b"PUBSUB|" + word for name, word in SUBCOMMANDS if name == b"PUBSUB")}
    assert {b"%b|%b" % each for each in SUBCOMMANDS if not rules_of(*each)} == without


def test_the_subcommand_only_counts_where_there_is_one() -> None:
    assert rules_of(b"GET", b"USAGE") is ONE
    assert rules_of(b"MEMORY", b"") == ()

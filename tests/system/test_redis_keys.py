"""The keys of Redis commands, beside those that a Redis server finds (``COMMAND GETKEYS``)."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from proxymux.core.codecs.resp.key_table import KEY_TABLE
from proxymux.core.codecs.resp.view import RespView
from proxymux.core.codecs.resp.words import array_of
from tests.system import pools
from tests.system.conftest import Server

pytestmark = pytest.mark.slow

#: Channels, which Redis does not count as keys.
CHANNELS: Final = {"SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE"}
#: Redis looks for STREAMS also among the values of their options, where no valid command has it.
STREAMS: Final = {b"XREAD": (), b"XREADGROUP": (b"GROUP", b"a", b"b")}
#: Commands that Redis knows only with a module, or since a version after 7.0.
NEWER: Final = (
    *(b"BF.", b"CF.", b"CMS.", b"FT.", b"JSON.", b"TDIGEST.", b"TOPK.", b"TS.", b"V"),
    *(b"DELEX", b"DIGEST", b"HEXPIRE", b"HGETDEL", b"HGETEX", b"HPERSIST", b"HPEXPIRE", b"HPTTL", b"HSETEX", b"HTTL"),
    *(b"MSETEX", b"XACKDEL", b"XDELEX"),
)
#: Words that mean something to some command.
WORDS: Final = (
    *(b"0", b"1", b"2", b"3", b"-1", b"a", b"b", b"c", b"x y", b"\r\n", b"\xff"),
    *(b"STORE", b"store", b"BY", b"GET", b"LIMIT", b"STREAMS", b"COUNT", b"BLOCK", b"GROUP", b"NOACK"),
)


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[Any]:
    client = redis.Redis(port=pools.redis(server, tmp_path))
    client.response_callbacks.clear()
    yield client
    client.close()


def names_of(commands: list[Any]) -> Iterator[tuple[bytes, int]]:
    """The names of all commands and subcommands, and the fewest words that each may have."""
    for command in commands:
        yield command[0].upper(), abs(command[1])
        yield from names_of(command[9])


def ask(client: Any, command: list[bytes]) -> tuple[bytes, ...] | None:
    """The keys that Redis finds; None if it says that the command is not valid."""
    try:
        return tuple(client.execute_command("COMMAND GETKEYS", *command))
    except redis.ResponseError as error:
        problem = str(error)
    assert re.search("no key arguments|Invalid (command|arguments|number of arguments) specified", problem)
    return () if "no key" in problem else None


def test_every_command_of_the_server(client: Any) -> None:
    draw = random.Random(7)
    counts = {"same": 0, "not valid": 0}
    names = dict(names_of(client.execute_command("COMMAND")))
    for name, fewest in sorted(names.items()):  # the server has them in another order each time
        if name.decode() in CHANNELS or name in STREAMS:
            continue
        begin = name.split(b"|")
        for _ in range(20):
            command = begin + draw.choices(WORDS, k=draw.randrange(1, fewest + 4))
            ours, theirs = RespView(array_of(command)).keys, ask(client, command)
            if theirs is None:
                counts["not valid"] += 1
                continue
            counts["same"] += 1
            assert ours == theirs, command
    assert len(names) > 300
    assert counts["same"] > 3000


@pytest.mark.parametrize("name", STREAMS)
def test_the_keys_behind_streams(client: Any, name: bytes) -> None:
    draw = random.Random(name)
    for _ in range(200):
        command = [name, *STREAMS[name]]
        for option in draw.sample([[b"COUNT", b"2"], [b"block", b"0"], [b"NOACK"]], k=draw.randrange(4)):
            command += option
        keys = draw.choices(WORDS, k=draw.randrange(1, 5))
        command += [b"STREAMS", *keys, *draw.choices(WORDS, k=len(keys))]
        assert RespView(array_of(command)).keys == ask(client, command) == tuple(keys), command


@pytest.mark.parametrize(
    "line",
    [
        *("EVAL s 2 a b c", "EVALSHA s 1 a", "FCALL f 2 a b", "XREAD COUNT 1 BLOCK 5 STREAMS a b 0 0"),
        *("XREADGROUP GROUP g STREAMS COUNT 1 STREAMS a b > >", "MIGRATE h 1 a 0 9 COPY AUTH KEYS"),
        *(
            "SORT a BY store LIMIT 0 1 GET store STORE b",
            "GEORADIUS a 1 1 1 m STORE b",
            "ZUNIONSTORE d 2 a b WEIGHTS 1 2",
        ),
        *("LMPOP 2 a b LEFT", "BLMPOP 1 2 a b LEFT", "SINTERCARD 2 a b LIMIT 1", "OBJECT ENCODING a", "MEMORY USAGE a"),
        *("BITOP AND d a b", "XINFO STREAM a", "XGROUP CREATE a g $", "GEORADIUSBYMEMBER a b 1 m STOREDIST c"),
    ],
)
def test_commands_whose_keys_have_to_be_searched(client: Any, line: str) -> None:
    command = line.encode().split(b" ")
    assert RespView(array_of(command)).keys == ask(client, command) != ()


def test_migrate_with_keys(client: Any) -> None:
    command = [b"MIGRATE", b"h", b"1", b"", b"0", b"9", b"AUTH2", b"KEYS", b"KEYS", b"KEYS", b"a", b"b"]
    assert RespView(array_of(command)).keys == ask(client, command) == (b"a", b"b")


def test_the_table_has_no_other_commands_but_newer_ones(client: Any) -> None:
    names = dict(names_of(client.execute_command("COMMAND")))
    assert [name for name in KEY_TABLE if name not in names and not name.startswith(NEWER)] == []

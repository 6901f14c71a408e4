"""nutcracker and the pool that ``proxymux migrate`` has made of its file, before the same servers."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hiredis
import pytest

from proxymux.core.redis_cluster.talk import command
from tests.system.conftest import Server, Start, free_port, need

pytestmark = pytest.mark.slow

KEYS = [f"key:{number}" for number in range(10_000)]
KEYS += [f"{{user:{number % 100}}}:{number}" for number in range(2_000)]
#: Requests that are sent before their replies are read.
PIPELINE = 500


class Client:
    """A client that says nothing of itself: nutcracker closes one that does."""

    def __init__(self, port: int, password: str | None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._reader = hiredis.Reader()
        if password is not None:
            assert self.ask([("AUTH", password)]) == [b"OK"]

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, commands: Sequence[tuple[str, ...]]) -> list[Any]:
        """The replies."""
        replies: list[Any] = []
        for start in range(0, len(commands), PIPELINE):
            part = commands[start : start + PIPELINE]
            self._socket.sendall(b"".join(command(*(word.encode() for word in words)) for words in part))
            while len(replies) < start + len(part):
                reply = self._reader.gets()
                if reply is False:
                    self._reader.feed(self._socket.recv(1 << 16))
                else:
                    replies.append(reply)
        return replies


def nutcracker_yml(port: int, servers: Sequence[str], directives: Sequence[str]) -> str:
    lines = [f"listen: 127.0.0.1:{port}", "redis: true", *directives, "servers:", *(f" - {each}" for each in servers)]
    return "alpha:\n" + "".join(f"  {line}\n" for line in lines)


@pytest.mark.parametrize("count", [1, 4, 8])
@pytest.mark.parametrize(
    "directives",
    [
        (),
        ("hash: md5", 'hash_tag: "{}"'),
        ("hash: crc32",),
        ("redis_db: 3",),
        ("redis_auth: hunter2", "redis_db: 3", "server_connections: 2", "timeout: 5000"),
        ("auto_eject_hosts: true", "server_failure_limit: 3", "preconnect: true"),
    ],
)
@pytest.mark.parametrize("form", ["{address}:1", "{address}:{weight}", "{address}:1 shard{number}"])
def test_what_one_has_written_the_other_reads(
    count: int, directives: Sequence[str], form: str, server: Server, start: Start, tmp_path: Path
) -> None:
    nutcracker, redis_server, file = need("nutcracker"), need("redis-server"), tmp_path / "nutcracker.yml"
    password = "hunter2" if any("redis_auth" in each for each in directives) else None
    ports = [free_port() for _ in range(count)]
    for each in ports:
        login = ["--requirepass", password] if password else []
        server(redis_server, "--port", str(each), "--bind", "127.0.0.1", "--save", "", *login, port=each)
    servers = [
        form.format(address=f"127.0.0.1:{each}", weight=1 + number % 3, number=number)
        for number, each in enumerate(ports)
    ]
    there, here = free_port(), free_port()
    file.write_text(nutcracker_yml(there, servers, directives))
    options = ["-c", str(file), "-a", "127.0.0.1", "-s", str(free_port()), "-p", str(tmp_path / "pid")]
    server(nutcracker, *options, "-o", str(tmp_path / "log"), port=there)
    file.write_text(nutcracker_yml(here, servers, directives))
    written = subprocess.run(
        [sys.executable, "-m", "proxymux", "migrate", str(file)], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    words = shlex.split(written.splitlines()[-1])
    if password:
        auth = tmp_path / "alpha.auth"
        auth.touch(mode=0o600)
        auth.write_text(f"upstream default {password}\nclient default {password}\n")
        words[words.index("alpha.auth")] = str(auth)
    arguments = words[words.index("proxymux-pool") + 1 :]
    start(None, *arguments, service="proxymux-pool", listen=False).wait_for_log("listens on")
    with Client(there, password) as theirs, Client(here, password) as ours:
        for writer, part in ((theirs, KEYS[::2]), (ours, KEYS[1::2])):
            assert set(writer.ask([("SET", key, f"value of {key}") for key in part])) == {b"OK"}
        expected = [f"value of {key}".encode() for key in KEYS]
        for reader in (theirs, ours):
            assert reader.ask([("GET", key) for key in KEYS]) == expected
            assert reader.ask([("MGET", *KEYS[:1000])]) == [expected[:1000]]
        assert ours.ask([("DEL", *KEYS[:10])]) == theirs.ask([("DEL", *KEYS[10:20])]) == [10]

from __future__ import annotations

from pathlib import Path

import pytest

from proxymux.cli.migrate.command_line import command_line_of
from proxymux.cli.migrate.nutcracker import Listening, NutcrackerPool, Server, read_pools
from proxymux.cli.migrate.yaml_file import read_sections
from proxymux.core.target import parse_target
from proxymux.errors import ConfigError
from tests.cli.migrate.samples import LEAST


def pools_of(folder: Path, content: str) -> list[NutcrackerPool]:
    file = folder / "nutcracker.yml"
    file.write_text(content)
    return read_pools(read_sections(str(file)))


def pool_with(folder: Path, listen: str = "127.0.0.1:22121", servers: str = "h:11211:1") -> NutcrackerPool:
    [pool] = pools_of(folder, f"alpha:\n  listen: {listen}\n  servers:\n  - {servers}\n")
    return pool


@pytest.mark.parametrize(
    ("text", "listening"),
    [
        ("127.0.0.1:22121", Listening("127.0.0.1", 22121)),
        ('":22121"', Listening("", 22121)),
        ("::1:22121", Listening("::1", 22121)),
        ("/tmp/gamma", Listening(None, path="/tmp/gamma")),
        ("/tmp/gamma 0666", Listening(None, path="/tmp/gamma", mode="666")),
        ("/tmp/a b 007", Listening(None, path="/tmp/a b", mode="007")),
    ],
)
def test_where_it_listens(tmp_path: Path, text: str, listening: Listening) -> None:
    assert pool_with(tmp_path, listen=text).listening == listening


@pytest.mark.parametrize(
    ("text", "address", "weight", "name"),
    [
        ("127.0.0.1:6379:1", "127.0.0.1:6379", 1, ""),
        ("127.0.0.1:6379:7 server1", "127.0.0.1:6379", 7, "server1"),
        ("h:11211:1 h", "h:11211", 1, ""),  # that is its label in any case
        ("h:06379:1", "h:6379", 1, "h:06379"),  # which nutcracker hashes as it stands
        ("::1:6379:1", "[::1]:6379", 1, ""),
        ("0:0::1:6379:1", "[::1]:6379", 1, "0:0::1:6379"),
        ("/tmp/redis.sock:3", "unix:/tmp/redis.sock", 3, ""),
        ("/tmp/redis.sock:3 x", "unix:/tmp/redis.sock", 3, "x"),
    ],
)
def test_a_server(tmp_path: Path, text: str, address: str, weight: int, name: str) -> None:
    assert pool_with(tmp_path, servers=text).servers == [Server(parse_target(address), weight, name)]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("a:\n  listen: h:1\n", ":1: 'a' has no servers"),
        ("a:\n  listen: h:1\n  servers: []\n", ":1: 'a' has no servers"),
        ("a:\n  servers: ['h:1:1']\n", ":1: 'a' has no listen"),
        (f"{LEAST}  hsah: md5\n", ":6: 'hsah' is no directive of nutcracker; did you mean hash?"),
        (f"{LEAST}  redis_auth: x\n", ":6: redis_auth: is for redis: true only"),
        (f"{LEAST}beta:\n  listen: 127.0.0.1:22121\n  servers: ['h:1:1']\n", ":6: listen: there are two pools with"),
        (f"{LEAST}alpha:\n  listen: 127.0.0.1:2\n  servers: ['h:1:1']\n", ":6: name: there are two pools with 'alpha'"),
        (f"{LEAST}  timeout: 1s\n", ":6: timeout: '1s' is no whole number"),
        (f"{LEAST}  preconnect: yes\n", ":6: preconnect: 'yes' is not accepted; true, false are"),
        (f"{LEAST}  distribution: rendezvous\n", ":6: distribution: 'rendezvous' is not accepted; ketama, modula"),
        (f"{LEAST}  hash_tag: abc\n", ":6: hash_tag: 'abc' is not accepted; two characters such as {} are"),
        (f"{LEAST}  server_connections: 0\n", ":6: server_connections: 0 is not accepted"),
    ],
)
def test_what_nutcracker_would_not_accept(tmp_path: Path, content: str, error: str) -> None:
    with pytest.raises(ConfigError) as refused:
        _ = [command_line_of(pool) for pool in pools_of(tmp_path, content)]
    assert str(refused.value).startswith(f"{tmp_path}/nutcracker.yml{error}")


@pytest.mark.parametrize("text", ["h:0", "h:x", "h:65536", "nothing", "/tmp/x 888", "/tmp/x 01777"])
def test_where_it_cannot_listen(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"nutcracker.yml:2: listen: "):
        _ = pool_with(tmp_path, listen=text).listening


@pytest.mark.parametrize(
    "text", ["h:1", "h:1:0", "h:1:x", "h:0:1", "h:70000:1", "h_:x:1:1", "/tmp/a;b:1", "/tmp/a,b:1", "h:1:1 a;b", "x"]
)
def test_what_is_no_server_of_ours(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"nutcracker.yml:4: servers: "):
        _ = pool_with(tmp_path, servers=text).servers


def test_two_servers_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nutcracker.yml:5: servers: 'x' is given twice"):
        _ = pool_with(tmp_path, servers="h:1:1 x\n  - h:2:1 x").servers

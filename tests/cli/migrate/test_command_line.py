from __future__ import annotations

from pathlib import Path

import pytest

from proxymux.cli.migrate.command_line import CommandLine, command_line_of
from proxymux.cli.migrate.nutcracker import read_pools
from proxymux.cli.migrate.yaml_file import read_sections
from proxymux.core.cluster_spec import HASHES
from tests.cli.migrate.samples import LEAST


class Translate:
    """Translates a pool."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "nutcracker.yml"

    def __call__(self, *directives: str, pool: str = LEAST) -> CommandLine:
        self.file.write_text(pool + "".join(f"  {each}\n" for each in directives))
        [found] = read_pools(read_sections(str(self.file)))
        return command_line_of(found)


@pytest.fixture
def translate(tmp_path: Path) -> Translate:
    return Translate(tmp_path)


def value_of(line: CommandLine, option: str) -> str:
    return line.options[line.options.index(option) + 1]


def test_the_defaults_of_nutcracker_are_said(translate: Translate) -> None:
    line = translate()
    assert line.options == (
        *("--listen", "tcp:22121:interface=127.0.0.1", "--mode", "funnel", "--async", "--codec", "memcache"),
        "--cluster",
        "alpha=127.0.0.1:11211,127.0.0.1:11212;policy=ketama;hash=key;hash=fnv1a_64;health=off;max_ejected=0%",
        *("--target", "alpha"),
    )
    assert [note.partition(":")[0] for note in line.notes] == ["timeout"]
    assert line.is_faithful


@pytest.mark.parametrize(
    ("listen", "endpoint"),
    [
        ('":80"', "tcp:80"),
        ("::1:80", "tcp:80:interface=\\:\\:1"),
        ("/tmp/a:b 0660", "unix:/tmp/a\\:b:mode=660"),
        ("/tmp/a", "unix:/tmp/a:mode=600"),
    ],
)
def test_the_endpoint(translate: Translate, listen: str, endpoint: str) -> None:
    line = translate(pool=LEAST.replace("127.0.0.1:22121", listen))
    assert value_of(line, "--listen") == endpoint
    assert any("umask" in note for note in line.notes) is (listen == "/tmp/a")


@pytest.mark.parametrize("hash_name", HASHES)
def test_every_hash_stays(translate: Translate, hash_name: str) -> None:
    line = translate(f"hash: {hash_name}")
    assert line.is_faithful
    assert f";hash=key;hash={hash_name};" in value_of(line, "--cluster")


def test_one_server_has_all_keys_whatever_the_hash(translate: Translate) -> None:
    one = "alpha:\n  listen: h:1\n  servers: ['h:6379:100000']\n"
    assert translate("hash: hsieh", "distribution: modula", pool=one).is_faithful


def test_modula_stays_with_the_weights_as_they_are(translate: Translate) -> None:
    two = "alpha:\n  listen: h:1\n  servers: ['a:1:2', 'b:1:4']\n"
    line = translate("distribution: modula", "hash_tag: '{}'", pool=two)
    assert line.is_faithful
    cluster = "alpha=a:1 weight=2,b:1 weight=4;policy=modula;hash=key;hash=fnv1a_64;hash_tag={};"
    assert value_of(line, "--cluster").startswith(cluster)


def test_random_needs_no_place(translate: Translate) -> None:
    line = translate("distribution: random", "hash: hsieh")
    assert line.is_faithful
    assert ";policy=random;health=off" in value_of(line, "--cluster")


def test_weights_lose_a_common_divisor(translate: Translate) -> None:
    line = translate(pool="alpha:\n  listen: h:1\n  servers: ['a:1:100000', 'b:1:300000']\n")
    assert line.is_faithful
    assert value_of(line, "--cluster").startswith("alpha=a:1,b:1 weight=3;")


def test_a_weight_that_is_too_large_places_keys_elsewhere(translate: Translate) -> None:
    line = translate(pool="alpha:\n  listen: h:1\n  servers: ['a:1:100000', 'b:1:1']\n")
    assert not line.is_faithful
    assert value_of(line, "--cluster").startswith("alpha=a:1 weight=65535,b:1;")
    equal = "alpha:\n  listen: h:1\n  servers: ['a:1:100000', 'b:1:100000']\n"
    assert translate(pool=equal).is_faithful
    assert not translate("distribution: modula", pool=equal).is_faithful


def test_what_would_be_out_of_bounds_becomes_the_least(translate: Translate) -> None:
    line = translate("auto_eject_hosts: true", "server_failure_limit: 0", "server_retry_timeout: 0", "backlog: 0")
    assert ";fall=1;interval=0.01;max_ejected=100%" in value_of(line, "--cluster")
    assert value_of(line, "--backlog") == "1"


def test_an_ejection_has_the_defaults_of_nutcracker(translate: Translate) -> None:
    assert ";fall=2;interval=30;max_ejected=100%" in value_of(translate("auto_eject_hosts: true"), "--cluster")


@pytest.mark.parametrize("directive", ["timeout: 0", "client_connections: 0", "redis_db: 3", "redis: false"])
def test_what_has_no_effect_in_nutcracker_has_no_option(translate: Translate, directive: str) -> None:
    assert translate(directive).options == translate().options


def test_a_pool_whose_name_is_no_cluster_s_gets_one(translate: Translate) -> None:
    line = translate("redis: true", "redis_auth: x", pool=LEAST.replace("alpha", '"1;rm -rf"'))
    assert value_of(line, "--target") == "pool1"
    assert value_of(line, "--auth-file") == "pool1.auth"
    assert line.notes[0] == "'1;rm -rf' is no name of a cluster here; it is called pool1"


def test_reuseport_has_a_note_only(translate: Translate) -> None:
    line = translate("reuseport: true")
    assert line.options == translate().options
    assert line.notes[-1].startswith("reuseport: ")


def test_a_database_behind_a_password_is_the_one_where_nutcracker_really_is(translate: Translate) -> None:
    assert value_of(translate("redis: true", "redis_db: 3"), "--database") == "3"
    line = translate("redis: true", "redis_db: 3", "redis_auth: x")
    assert "--database" not in line.options
    assert any(note.endswith("--database 3 selects it") for note in line.notes)

"""What ``proxymux migrate`` writes for a file of nutcracker's: twistd accepts it, and it places keys as nutcracker."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from proxymux.core.balancing import make_balancer
from proxymux.core.cluster_spec import parse_cluster
from proxymux.core.health import Health, HealthRules
from proxymux.core.member import Member, parse_entry
from tests.cli.migrate.samples import LEAST, PASSWORD, WHOLE
from tests.system.conftest import Server, free_port, need, twistd_command
from tests.system.test_ketama import servers_of, some_keys, stand_ins

pytestmark = pytest.mark.slow

#: Pools of every kind, of which nutcracker is asked, too.
UNIX = """\
gamma:
  listen: /tmp/gamma 0666
  distribution: random
  servers:
   - /tmp/redis.sock:1 one
   - 127.0.0.1:6380:100000
"""
NOT_OURS = LEAST.replace("alpha", "delta").replace("22121", "22122") + "  hash: hsieh\n"


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_the_shell_runs_the_script_and_twistd_accepts_each_line(tmp_path: Path) -> None:
    (tmp_path / "nutcracker.yml").write_text(WHOLE + UNIX + NOT_OURS)
    assert run(need("nutcracker"), "-t", "-c", "nutcracker.yml", folder=tmp_path).returncode == 0
    written = run(sys.executable, "-m", "proxymux", "migrate", "nutcracker.yml", folder=tmp_path)
    assert (written.returncode, written.stderr) == (0, "")
    lines = written.stdout.splitlines()
    commands = [line.removeprefix("# ") for line in lines if line.removeprefix("# ").startswith("twistd ")]
    assert len(commands) == 3
    auth = tmp_path / "cache.auth"
    auth.touch(mode=0o600)
    auth.write_text(f"upstream default {PASSWORD}\nclient default {PASSWORD}\n")
    for command in commands:
        twistd = f"{shlex.join(twistd_command())} {command.removeprefix('twistd ')} --check"
        checked = run("sh", "-c", twistd, folder=tmp_path)
        assert (checked.stdout, checked.returncode) == ("ok\n", 0), checked.stderr


@pytest.mark.parametrize("directives", ["", "  hash: md5\n  hash_tag: '{}'\n", "  distribution: modula\n"])
def test_each_key_stays_where_nutcracker_has_it(directives: str, server: Server, tmp_path: Path) -> None:
    nutcracker, keys, file = need("nutcracker"), some_keys(), tmp_path / "nutcracker.yml"
    with stand_ins([("127.0.0.1", 0)] * 4) as ports:
        port = free_port()
        weights = ["200000", "600000 heavy", "200000 x.y", "400000"]  # more than a weight may be here
        if "modula" in directives:  # which has no weights but these
            weights = ["2", "6 heavy", "2 x.y", "4"]
        servers = "".join(f"  - 127.0.0.1:{each}:{weight}\n" for each, weight in zip(ports, weights, strict=True))
        file.write_text(f"alpha:\n  listen: 127.0.0.1:{port}\n  redis: true\n{directives}  servers:\n{servers}")
        options = ["-c", str(file), "-a", "127.0.0.1", "-s", str(free_port()), "-p", str(tmp_path / "pid")]
        server(nutcracker, *options, "-o", str(tmp_path / "log"), port=port)
        theirs = servers_of(keys, port)
    written = run(sys.executable, "-m", "proxymux", "migrate", "nutcracker.yml", folder=tmp_path)
    words = shlex.split(written.stdout.splitlines()[-1])
    spec = parse_cluster(words[words.index("--cluster") + 1])
    members = [Member(parse_entry(text), 1, Health(HealthRules()), 0.0) for text in spec.source.split(",")]
    balancer = make_balancer(spec, lambda: 0.0)
    balancer.update(members, members)
    ours = [
        None if member is None else members.index(member) for member in (balancer.choose(key, None) for key in keys)
    ]
    assert ours == theirs
    assert set(theirs) == {0, 1, 2, 3}

"""All of ``proxymux migrate``; tests/system/test_migrate.py gives what it writes to twistd."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from proxymux.cli import main
from proxymux.tap.pool import Options
from tests.cli.migrate.samples import LEAST, PASSWORD, WHOLE


def migrated(folder: Path, content: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    file = folder / "nutcracker.yml"
    file.write_text(content)
    with pytest.raises(SystemExit) as ended:
        main(["migrate", str(file)])
    said = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, said.out, said.err.replace(f"{folder}/", "")


def test_a_script_has_a_line_for_each_pool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = LEAST.replace("alpha", "beta").replace("22121", "22122")
    status, script, errors = migrated(tmp_path, LEAST + second, capsys)
    assert (status, errors) == (0, "")
    commands = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert [shlex.split(line)[:4] for line in commands] == [["twistd", "-n", "--pidfile=", "proxymux-pool"]] * 2
    assert "# alpha, line 1\n" in script
    assert "# beta, line 6\n" in script


def test_our_own_options_read_what_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, script, _ = migrated(tmp_path, WHOLE, capsys)
    options = Options()
    options.parseOptions(shlex.split(script.splitlines()[-1])[4:])
    settings, [cluster] = options.settings, options.settings.cluster
    assert (settings.chosen_mode, settings.async_, settings.codec, settings.warmup) == ("funnel", True, "resp", True)
    assert (settings.request_timeout, settings.queue_timeout) == (0.4, 0.4)
    assert (settings.backlog, settings.max_connections, settings.database) == (1024, 100, 0)
    assert (cluster.name, cluster.policy, cluster.key_of, cluster.hash_name, cluster.hash_tag) == (
        *("cache", "ketama", "key", "md5", "{}"),
    )
    assert (cluster.health.fall, cluster.health.interval, cluster.health.is_checked) == (4, 2.5, False)
    assert (cluster.max_ejected, cluster.connections) == (1.0, 2)
    assert cluster.source == "127.0.0.1:6379 name=one,127.0.0.1:6380 weight=2"


def test_a_password_is_nowhere_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, script, _ = migrated(tmp_path, WHOLE, capsys)
    assert PASSWORD not in script
    assert "--auth-file cache.auth" in script
    assert f"what stands in {tmp_path}/nutcracker.yml:11: upstream default PASSWORD" in script


def test_a_pool_whose_keys_would_be_elsewhere_is_a_comment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, script, _ = migrated(tmp_path, LEAST.replace("11211:1", "11211:65536"), capsys)
    assert "a weight above 65535 has no counterpart" in script
    assert script.splitlines()[-1].startswith("# twistd ")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "nutcracker.yml: has no pools"),
        ("alpha: [\n", "nutcracker.yml:2: is no YAML"),
        (f"{LEAST}  hash: sha1\n", "nutcracker.yml:6: hash: 'sha1' is not accepted; fnv1a_64"),
        (f"{LEAST}  hash_tag: ';;'\n", "nutcracker.yml:1: alpha cannot be said in our options: --cluster: "),
    ],
)
def test_an_error_is_one_line_with_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, error: str
) -> None:
    status, script, errors = migrated(tmp_path, content, capsys)
    assert (status, script) == (1, "")
    assert errors.startswith(f"proxymux migrate: {error}")
    assert len(errors.splitlines()) == 1

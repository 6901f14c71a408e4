"""The files in docs/deploy: units as systemd reads them, and the container's commands as they stand there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import until
from tests.system.conftest import free_port, need
from tests.system.systemd import script

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
UNITS = sorted(path.name for path in DEPLOY.iterdir() if path.suffix in (".service", ".socket"))
#: The one that is installed, as the units name it.
TWISTD = "/opt/proxymux/bin/twistd"


def test_the_units_are_good(tmp_path: Path) -> None:
    analyze = need("systemd-analyze")
    program = tmp_path / "twistd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in UNITS:
        text = (DEPLOY / name).read_text()
        (tmp_path / name).write_text(text.replace(TWISTD, str(program)))
    units = [f"./{name.replace('@.', '@web.')}" for name in UNITS]
    assert len(units) == 5
    verify = [analyze, "verify", "--man=no"]
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    done = subprocess.run([*verify, *units], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (tmp_path / "bad.service").write_text("[Service]\nType=notify\nFileDescriptorStoreMaximum=1\n")
    done = subprocess.run([*verify, "./bad.service"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "FileDescriptorStoreMaximum" in done.stderr  # it would tell of a mistake


def test_the_exposure_of_the_units_is_as_the_docs_say() -> None:
    """Newer versions of systemd-analyze know more to complain of: less than a tenth of a point for each."""
    analyze = need("systemd-analyze")
    page = (DEPLOY.parent / "security.rst").read_text().replace("\n", " ")
    said = re.search(r"exposure ([\d.]+) of 10, where less is better; the plain unit's is ([\d.]+)\.", page)
    assert said is not None
    for name, rated in zip(("proxymux-hardened.service", "proxymux.service"), map(float, said.groups()), strict=True):
        command = [analyze, "security", "--offline=true", "--no-pager", str(DEPLOY / name)]
        done = subprocess.run(command, capture_output=True, text=True)
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
        assert found is not None, done.stderr
        assert float(found[1]) == pytest.approx(rated, abs=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_the_command_of_a_unit_is_one_of_ours(name: str, tmp_path: Path) -> None:
    """``--check`` takes the options, as far as it comes without the sockets of systemd and the files of the unit."""
    text = (DEPLOY / name).read_text().replace("\\\n", "")
    (command,) = re.findall(rf"^ExecStart={TWISTD} (.*)$", text, re.MULTILINE)
    (tmp_path / "router.py").write_text("def proxy(data):\n    return None\n")
    for word, here in {
        "/etc/proxymux/router.py": "router.py",
        "/etc/proxymux/%i.py": "router.py",
        "$OPTIONS": "--port 8000 --workers 2",
        "--port 8000": "--port 0",
        "--workers auto": "--workers 1",
        "/var/log/proxymux/": "",
    }.items():
        command = command.replace(word, here)
    done = subprocess.run(
        [sys.executable, *script(), *command.split(), "--check"], cwd=tmp_path, capture_output=True, text=True
    )
    if "systemd:" in command:
        assert "systemd has passed no socket (LISTEN_FDS); start the service by its .socket unit" in done.stderr
    else:
        assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr


@pytest.mark.slow
def test_the_container_runs_is_healthy_and_stops(tmp_path: Path) -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    (command,) = (json.loads(each) for each in re.findall(r"^ +command: (\[.*\])$", text, re.MULTILINE))
    (probe,) = (json.loads(each) for each in re.findall(r"^ +test: (\[.*\])$", text, re.MULTILINE))
    port, admin = free_port(), free_port()
    (tmp_path / "router.py").write_text("def proxy(data):\n    return {'close': b'served'}\n")
    program = tmp_path / "opt" / "bin" / "twistd"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {" ".join(script())} "$@"\n')
    program.chmod(0o755)
    here = {
        "/opt/proxymux": str(tmp_path / "opt"),
        "/etc/proxymux": str(tmp_path),
        "8000": str(port),
        "9090": str(admin),
        "--workers auto": "--workers 1",
    }
    for word, replaced in here.items():
        assert word in command[2]
        command = [each.replace(word, replaced) for each in command]
    assert probe[:2] == ["CMD", "python"]
    healthy = [sys.executable, *(each.replace("9090", str(admin)) for each in probe[2:])]
    assert subprocess.run(healthy, capture_output=True).returncode == 1
    with (
        open(tmp_path / "output", "wb") as output,
        subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output) as container,
    ):
        until(lambda: "listens on" in (tmp_path / "output").read_text(), "the container to start")
        until(lambda: subprocess.run(healthy, capture_output=True).returncode == 0, "the container to be healthy")
        container.send_signal(signal.SIGTERM)
        assert container.wait(30) == 0

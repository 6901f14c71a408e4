"""``proxymux init`` and ``proxymux new``: what they write works as it is, and nothing is written over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxymux.cli import main
from proxymux.testing import decide, forward_of
from tests.system.conftest import need

ROOT = Path(__file__).parents[2]
ROUTER_FILES = ["get.sample", "router.py", "shop.service", "test_router.py"]
CODEC_FILES = ["framed.py", "test_framed.py"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> int:
    """The exit status of a command."""
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(*arguments) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    return err.rstrip("\n")


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_init_writes_a_router_and_says_what_to_do_with_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", "shop") == 0
    assert files_in(folder / "shop") == ROUTER_FILES
    out = capsys.readouterr().out
    assert out.startswith("wrote shop: router.py, test_router.py, get.sample, shop.service\n\n    cd shop\n")
    assert "    proxymux check router.py --sample get.sample\n" in out
    sample = (folder / "shop" / "get.sample").read_bytes()
    assert forward_of(decide("shop/router.py", sample)).remote == ("127.0.0.1:8001", "127.0.0.1:8002")
    unit = (folder / "shop" / "shop.service").read_text()
    assert "Description=shop, a router of proxymux\n" in unit
    assert (
        f"ExecStart={Path(sys.executable).parent}/twistd -n --pidfile= proxymux --router /etc/shop/router.py " in unit
    )
    assert "ExecReload=/bin/kill -HUP $MAINPID\n" in unit


def test_init_takes_a_folder_that_is_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / "notes").touch()
    monkeypatch.chdir(folder / "shop")
    assert run("init", ".") == 0
    assert files_in(folder / "shop") == sorted([*ROUTER_FILES, "notes"])


def test_new_writes_a_codec_and_says_what_to_do_with_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("new", "codec", "framed") == 0
    assert files_in(folder) == CODEC_FILES
    out = capsys.readouterr().out
    assert out.startswith("wrote framed.py and test_framed.py\n\n    python -m pytest test_framed.py\n")
    assert " --codec framed:Codec " in out


@pytest.mark.parametrize("arguments", [["init", "shop"], ["new", "codec", "framed"]])
def test_nothing_is_left_of_the_placeholders(folder: Path, arguments: list[str]) -> None:
    assert run(*arguments) == 0
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        assert "@NAME@" not in path.read_text()
        assert "@TWISTD@" not in path.read_text()


@pytest.mark.parametrize("name", ROUTER_FILES)
def test_init_writes_over_nothing(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / name).write_text("mine")
    said = complaint(capsys, "init", "shop")
    assert said == f"proxymux init: shop/{name}: is there already; nothing was written"
    assert files_in(folder / "shop") == [name]
    assert (folder / "shop" / name).read_text() == "mine"


@pytest.mark.parametrize("name", CODEC_FILES)
def test_new_writes_over_nothing(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / name).symlink_to("nowhere")  # a link that leads nowhere is something, too
    said = complaint(capsys, "new", "codec", "framed")
    assert said == f"proxymux new codec: {name}: is there already; nothing was written"
    assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["init", "a b"], "proxymux init: 'a b' is no name for a router: up to 64 letters, digits, _, . and - are"),
        (["init", ".hidden"], "proxymux init: '.hidden' is no name for a router"),
        (["init", "@NAME@"], "proxymux init: '@NAME@' is no name for a router"),
        (["init", "no/where"], "proxymux init: no/where: No such file or directory; nothing was written"),
        (["init", "file"], "proxymux init: file: File exists; nothing was written"),
        (["init", "file/shop"], "proxymux init: file/shop: Not a directory; nothing was written"),
        (["new", "codec", "Framed"], "proxymux new codec: 'Framed' is no name for a codec: a small letter, then up to"),
        (["new", "codec", "a" * 33], "proxymux new codec: 'aaa"),
        (["new", "codec", "class"], "proxymux new codec: 'class' is no name for a codec"),
        (["new", "codec", "json"], "proxymux new codec: json: there is a module of that name, which this one would"),
        (["new", "codec", "proxymux"], "proxymux new codec: proxymux: there is a module of that name"),
    ],
)
def test_what_cannot_be_written_is_one_line(
    folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "file").touch()
    assert complaint(capsys, *arguments).startswith(said)
    assert [path.name for path in folder.rglob("*")] == ["file"]


def test_what_was_begun_is_taken_back(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second file comes from somewhere between the look and the writing."""
    lexists = os.path.lexists
    (folder / "test_framed.py").write_text("mine")
    monkeypatch.setattr(os.path, "lexists", lambda path: Path(path).name == "nothing" and lexists(path))
    said = complaint(capsys, "new", "codec", "framed")
    assert said == "proxymux new codec: test_framed.py: File exists; nothing was written"
    assert [path.name for path in folder.iterdir()] == ["test_framed.py"]
    assert (folder / "test_framed.py").read_text() == "mine"


# As a user would go on


def outcome(*arguments: str, folder: Path) -> str:
    """What a program of this Python prints, which has to end well."""
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_style(folder: Path) -> None:
    """Ruff has nothing to say, by its own rules and by ours."""
    pytest.importorskip("ruff", reason="ruff is not installed")
    for arguments in (["format", "--diff"], ["check"]):
        outcome("ruff", *arguments, "--isolated", ".", folder=folder)
    outcome("ruff", "format", "--diff", "--config", str(ROOT / "pyproject.toml"), ".", folder=folder)
    outcome("ruff", "check", "--isolated", "--select", "E,F,W,I,B,UP,N,SIM,C4,RET,PT,RUF", ".", folder=folder)


@pytest.mark.slow
def test_a_router_that_init_has_written_passes_its_tests(folder: Path) -> None:
    assert run("init", "shop") == 0
    shop = folder / "shop"
    assert "7 passed" in outcome("pytest", "-q", "-p", "no:cacheprovider", folder=shop)
    found = outcome("proxymux", "check", "router.py", "--sample", "get.sample", folder=shop)
    assert "split-invariant: all 39 splits tried act alike" in found
    check_style(shop)


@pytest.mark.slow
def test_a_codec_that_new_has_written_passes_its_tests(folder: Path) -> None:
    assert run("new", "codec", "framed") == 0
    assert "12 passed" in outcome("pytest", "-q", "-p", "no:cacheprovider", folder=folder)
    check_style(folder)
    command = "--codec framed:Codec --listen tcp:0:interface=127.0.0.1 --target 127.0.0.1:7000 --check"
    twistd = ["-c", "from twisted.scripts.twistd import run; run()", "proxymux-pool", *command.split()]
    done = subprocess.run([sys.executable, *twistd], cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


@pytest.mark.slow
def test_systemd_takes_the_unit_that_init_has_written(folder: Path) -> None:
    analyze = need("systemd-analyze")
    assert run("init", "shop") == 0
    unit, program = folder / "shop" / "shop.service", folder / "twistd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit.write_text(unit.read_text().replace(str(Path(sys.executable).with_name("twistd")), str(program)))
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"}
    command = [analyze, "verify", "--man=no", str(unit)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

"""The scripts, in the shells that they are for."""

from __future__ import annotations

import contextlib
import functools
import os
import pty
import select
import signal
import subprocess
from pathlib import Path

import pytest

from proxymux.cli import main
from proxymux.cli.shell import SHELLS, completion
from tests.conftest import until
from tests.system.conftest import need

#: What is typed, and what the shell offers for its last word.
OFFERED = [
    ("proxymux to", ["token", "top"]),
    ("proxymux token ", ["open", "seal"]),
    ("proxymux token seal --k", ["--key-file"]),
    ("proxymux token seal --digest ", ["md5", "pbkdf2", "sha256"]),
    ("proxymux new ", ["codec"]),
    ("proxymux completion ", ["bash", "fish", "zsh"]),
    ("proxymux man proxymux-", ["proxymux-gateway", "proxymux-pool", "proxymux-router"]),
    ("twistd -n proxymux", ["proxymux", "proxymux-gateway", "proxymux-pool"]),
    ("twistd -n proxymux --wat", ["--watch"]),
    ("twistd -n proxymux --relay ", ["auto", "fd", "transport"]),
    ("twistd -n --pidfile= proxymux-pool --port 1 --mo", ["--mode"]),
    ("twistd -n proxymux-gateway --mo", []),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the scripts."""
    monkeypatch.chdir(tmp_path)
    for shell in SHELLS:
        (tmp_path / f"script.{shell}").write_text(completion(shell))
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", shell])
    assert capsys.readouterr().out == completion(shell)


@pytest.mark.slow
def test_bash_offers_what_can_follow() -> None:
    calls = ["source script.bash"]
    for typed, _ in OFFERED:
        words = typed.split(" ")
        quoted = " ".join(f"'{word}'" for word in words)
        calls.append(f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _proxymux; echo ${{COMPREPLY[*]}}")
    done = subprocess.run([need("bash"), "--norc", "-c", "\n".join(calls)], capture_output=True, text=True)
    assert done.stderr == ""
    assert [sorted(line.split()) for line in done.stdout.splitlines()] == [offered for _, offered in OFFERED]


@pytest.mark.slow
def test_bash_knows_a_value_behind_an_equals_sign() -> None:
    call = (
        "source script.bash; COMP_WORDS=(twistd proxymux --relay = tr); COMP_CWORD=4; _proxymux; echo ${COMPREPLY[*]}"
    )
    done = subprocess.run([need("bash"), "--norc", "-c", call], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("transport\n", "")


@pytest.mark.slow
def test_fish_offers_what_can_follow(folder: Path) -> None:
    calls = ["source script.fish", *(f"complete -C '{typed}'; echo ." for typed, _ in OFFERED)]
    environment = {**os.environ, "HOME": str(folder)}
    command = [need("fish"), "--no-config", "-c", "\n".join(calls)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    found = [sorted(line.split("\t")[0] for line in part.splitlines()) for part in done.stdout.split(".\n")[:-1]]
    assert found == [offered for _, offered in OFFERED]


@pytest.mark.slow
def test_zsh_completes_commands_options_and_words(folder: Path) -> None:
    """It completes nothing but at a terminal: this is one."""
    shell = need("zsh")
    pid, terminal = pty.fork()
    if pid == 0:  # the shell
        os.execve(
            shell, [shell, "-f", "-i"], {"HOME": str(folder), "TERM": "dumb", "PATH": os.environ["PATH"], "PS1": ""}
        )
    seen = ""

    def has(text: str) -> bool:
        nonlocal seen
        while select.select([terminal], [], [], 0)[0]:
            seen += os.read(terminal, 4096).decode(errors="replace")
        return text in seen

    try:
        os.write(terminal, b"autoload -Uz compinit; compinit -u; source ./script.zsh; PS1='>'; print rea''dy\n")
        until(lambda: has("ready"), "zsh")
        for typed, completed in [
            ("proxymux tok", "proxymux token "),
            ("proxymux token se", "proxymux token seal "),
            ("proxymux token seal --key-f", "proxymux token seal --key-file "),
            ("proxymux token seal --digest pb", "proxymux token seal --digest pbkdf2 "),
            ("proxymux completion fi", "proxymux completion fish "),
        ]:
            seen = ""
            os.write(terminal, b"\x15" + typed.encode() + b"\t")  # the line is emptied first
            until(functools.partial(has, completed), f"{completed!r} in {seen!r}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)

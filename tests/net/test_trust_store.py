"""SSL_CERT_FILE, as the router finds it at its start."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from proxymux.errors import ConfigError
from proxymux.net.trust_store import check_trust_store
from tests.services.certificates import Authority
from tests.system.conftest import twistd_command

REMEDY = "; name a PEM file of the authorities to trust, or unset it"
BROKEN = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def complaint(value: str) -> str:
    with pytest.raises(ConfigError) as failed:
        check_trust_store({"SSL_CERT_FILE": value})
    line = str(failed.value)
    assert line.startswith("SSL_CERT_FILE: ")
    assert line.endswith(REMEDY)
    return line.removeprefix("SSL_CERT_FILE: ").removesuffix(REMEDY)


def test_a_file_of_certificates_is_good_and_so_is_none(authority: Authority, tmp_path: Path) -> None:
    check_trust_store({})
    check_trust_store({"SSL_CERT_FILE": str(authority.file)})
    two = tmp_path / "two.pem"
    two.write_bytes(b"# Comments may stand before them.\n" + authority.file.read_bytes() * 2)
    check_trust_store({"SSL_CERT_FILE": str(two)})


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    """As in a shell's ``SSL_CERT_FILE=<(cat ...)``: what is read from it is not there when it is needed."""
    os.mkfifo(tmp_path / "pipe")
    check_trust_store({"SSL_CERT_FILE": str(tmp_path / "pipe")})


def test_a_file_that_is_missing_or_no_file_is_said(tmp_path: Path) -> None:
    assert complaint("/nonexistent/ca.pem") == "/nonexistent/ca.pem: No such file or directory"
    assert complaint(str(tmp_path)) == f"{tmp_path}: Is a directory"
    assert complaint("") == "is set to nothing"


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read every file, so that the system's answer is made here."""
    path = tmp_path / "ca.pem"
    path.touch(0)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert complaint(str(path)) == f"{path}: Permission denied"


@pytest.mark.parametrize("content", [b"", b"\n", b"no certificate\n", b"-----BEGIN CERTIFICATE-----\nMIIB\n"])
def test_a_file_without_a_certificate_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    assert complaint(str(path)).startswith(f"{path}: it holds ")


def test_a_bad_certificate_beside_a_good_one_is_said(authority: Authority, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.file.read_bytes() + BROKEN)
    assert complaint(str(path)) == f"{path}: it holds what is no certificate, beside any that are"


@pytest.mark.parametrize("arguments", [["--check"], []])
def test_it_is_one_line_at_the_start_and_of_check(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "router.py").write_text("def proxy(data):\n    return {'close': data}\n")
    (tmp_path / "ca.pem").touch()
    command = [*twistd_command(), "-n", "--pidfile=", "proxymux", "--router", "router.py", "--port", "0", *arguments]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "SSL_CERT_FILE": "ca.pem"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"proxymux: SSL_CERT_FILE: ca.pem: it holds no certificate{REMEDY}\n"

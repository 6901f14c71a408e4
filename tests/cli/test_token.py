"""``proxymux token``."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from proxymux.cli import main
from proxymux.core.token.sealed import parse_keys
from proxymux.core.token.verifier import TokenVerifier

KEYS = "k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
SECRET = "p0S8rX680*48"


@pytest.fixture
def keys(tmp_path: Path) -> str:
    path = tmp_path / "keys"
    path.write_text(KEYS)
    return str(path)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    """The exit status and what was printed."""
    with pytest.raises(SystemExit) as ended:
        main(["token", *arguments])
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


def test_a_sealed_token_opens_the_gateway(keys: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, token, _ = run(
        capsys, "seal", "--key-file", keys, "--target", "10.0.0.1:80", "--target", "[::1]:81", "--expires-in", "60",
        "--client", "192.0.2.0/24", "--audience", "eu", "--once", "--not-before-in", "0",
    )  # fmt: skip
    assert status == 0
    verifier = TokenVerifier(None, (), parse_keys([KEYS]), "eu")
    claims = verifier.open(token.strip().encode(), "192.0.2.7", time.time())
    assert tuple(map(str, claims.targets)) == ("10.0.0.1:80", "[::1]:81")
    assert claims.once
    status, said, _ = run(capsys, "open", "--key-file", keys, token.strip())
    assert status == 0
    assert re.search(
        r"form: +sealed with key k1\ntarget: +10.0.0.1:80\ntarget: +\[::1\]:81\nexpires: .*Z \(in \d+ s\)\n"
        r"not before: .*\nclient: +192.0.2.0/24\naudience: +eu\none time: +\w+\n",
        said,
    )


@pytest.mark.parametrize("digest", ["md5", "sha256", "pbkdf2"])
def test_openssl_opens_an_old_token(secret: str, digest: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, token, _ = run(
        capsys, "seal", "--legacy", "--secret-file", secret, "--digest", digest, "--target", "192.168.2.2:8080"
    )
    how = ["-pbkdf2"] if digest == "pbkdf2" else ["-md", digest]
    opened = subprocess.run(
        ["openssl", "enc", "-d", "-aes-256-cbc", "-a", "-A", *how, "-k", SECRET],
        input=token.strip().encode(), capture_output=True, check=True,
    )  # fmt: skip
    assert opened.stdout == b"192.168.2.2:8080"
    status, said, _ = run(capsys, "open", "--secret-file", secret, token.strip())
    assert (status, said) == (0, "form:       old\ntarget:     192.168.2.2:8080\n")


def test_the_secret_may_be_in_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXYMUX_SECRET", SECRET)
    _, said, _ = run(capsys, "open", "U2FsdGVkX19KIJ9OQJKT/yHGMrS+5SsBAAjetomptQ0=")
    assert "127.0.0.1:62863" in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["seal", "--target", "a:1", "--expires-in", "1"], "--key-file: missing"),
        (["seal", "--target", "a:1", "--key-file", "KEYS"], "--expires-in: missing"),
        (["seal", "--target", "a", "--key-file", "KEYS", "--expires-in", "1"], "not host:port"),
        (["seal", "--target", "a:1", "--key-file", "KEYS", "--expires-in", "1", "--client", "x"], "c is not a CIDR"),
        (["seal", "--target", "a:1", "--key-file", "/none", "--expires-in", "1"], "--key-file: /none: No such file"),
        (["seal", "--legacy", "--target", "a:1"], "--secret-file: missing"),
        (["seal", "--legacy", "--target", "a:1", "--target", "b:1"], "--target: an old token has one"),
        (["seal", "--legacy", "--target", "a:1", "--expires-in", "1"], "--expires-in: old tokens have none"),
        (["seal", "--legacy", "--target", "a:1", "--once"], "--once: old tokens have none"),
        (["open", "pm1.k1.AAAA"], "--key-file: missing"),
        (["open", "--key-file", "KEYS", "pm1.k1.AAAA"], "damaged"),
        (["open", "--key-file", "KEYS", "pm1.k2.AAAA"], "no key of that id"),
        (["open", "--secret-file", "/none", "abc"], "--secret-file: /none: No such file"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], problem: str, keys: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROXYMUX_SECRET", raising=False)
    status, said, complaint = run(capsys, *[keys if word == "KEYS" else word for word in arguments])
    assert (status, said) == (1, "")
    assert re.fullmatch(f"proxymux token {arguments[0]}: .*{re.escape(problem)}.*\n", complaint)

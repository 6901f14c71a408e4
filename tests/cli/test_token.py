"""``proxymux token``."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from proxymux.cli import main
from proxymux.core.target import ClusterName, parse_address
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


def test_a_sealed_token_may_name_clusters(keys: str, capsys: pytest.CaptureFixture[str]) -> None:
    targets = ("--target", "users", "--target", "10.0.0.1:80")
    status, token, _ = run(capsys, "seal", "--key-file", keys, *targets, "--expires-in", "60")
    assert status == 0
    claims = parse_keys([KEYS]).open(token.strip().encode())
    assert claims.targets == (ClusterName("users"), parse_address("10.0.0.1:80"))
    _, said, _ = run(capsys, "open", "--key-file", keys, token.strip())
    assert "\ncluster:    users\ntarget:     10.0.0.1:80\n" in said


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


SEAL = ["seal", "--key-file", "KEYS", "--expires-in", "1"]
SEAL_OLD = ["seal", "--legacy", "--secret-file", "SECRET", "--target", "a:1"]
OLD = "U2FsdGVkX19KIJ9OQJKT/yHGMrS+5SsBAAjetomptQ0="
NO_TOKEN = "this is no token; a sealed one begins with pm1., an old one is base64 that begins with U2FsdGVkX1"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["seal", "--target", "a:1", "--expires-in", "1"], "--key-file: missing; name the file of keys, or --legacy"),
        (["seal", "--target", "a:1", "--key-file", "KEYS"], "--expires-in: missing"),
        ([*SEAL, "--target", "127.0.0.1"], "--target: '127.0.0.1' is not host:port or [v6]:port; HOST:PORT such as"),
        ([*SEAL, "--target", "unix:/x"], "--target: 'unix:/x' is not host:port or [v6]:port; HOST:PORT such as"),
        ([*SEAL, "--target", "a:1", "--target", "a:0"], "--target: 'a:0': the port is not a number from 1 to 65535"),
        ([*SEAL, *["--target", "a:1"] * 33], "--target: is given 33 times; a token has at most 32"),
        ([*SEAL, "--target", "a:1", "--client", "x"], "--client: 'x' is not an address or CIDR such as 10.0.0.0/8"),
        ([*SEAL, "--target", "a:1", "--client", "10.0.0.1/8"], "--client: '10.0.0.1/8' has bits set beyond its prefix"),
        ([*SEAL, "--target", "a:1", "--audience", ""], "--audience: '' is not a name of 1 to 64 characters"),
        ([*SEAL, "--target", "a:1", "--digest", "md5"], "--digest: is of old tokens; leave it away, or give --legacy"),
        ([*SEAL, "--target", "a:1", "--secret-file", "SECRET"], "--secret-file: is for old tokens; give --legacy, or"),
        (["seal", "--secret-file", "SECRET", "--target", "a:1"], "--secret-file: is for old tokens; give --legacy, or"),
        (["seal", "--target", "a:1", "--key-file", "/none", "--expires-in", "1"], "--key-file: /none: No such file"),
        (["seal", "--legacy", "--target", "a:1"], "--secret-file: missing; an old token needs its secret: name the"),
        (["seal", "--legacy", "--secret-file", "SECRET", "--target", "a"], "--target: 'a' is not host:port"),
        ([*SEAL_OLD, "--target", "b:1"], "--target: an old token has one; leave --legacy away for several"),
        ([*SEAL_OLD, "--key-file", "KEYS"], "--key-file: is for sealed tokens; leave it away, or --legacy"),
        ([*SEAL_OLD, "--expires-in", "1"], "--expires-in: old tokens have none"),
        ([*SEAL_OLD, "--once"], "--once: old tokens have none"),
        (["open", "junk"], NO_TOKEN),
        (["open", ""], NO_TOKEN),
        (["open", "pm1"], NO_TOKEN),
        (["open", "aGVsbG8="], NO_TOKEN),
        (["open", OLD[:-5]], NO_TOKEN),
        (["open", "pm1.k1.AAAA"], "--key-file: missing; the token is a sealed one"),
        (["open", "--secret-file", "SECRET", "pm1.k1.AAAA"], "--key-file: missing; the token is a sealed one"),
        (["open", "--key-file", "KEYS", "pm1.k1.AAAA"], "damaged"),
        (["open", "--key-file", "KEYS", "pm1.k2.AAAA"], "no key of that id"),
        (["open", OLD], "--secret-file: missing; an old token needs its secret: name the file, or set PROXYMUX_SECRET"),
        (["open", "--key-file", "KEYS", OLD], "--secret-file: missing; an old token needs its secret"),
        (["open", "--secret-file", "/none", OLD], "--secret-file: /none: No such file"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str],
    problem: str,
    keys: str,
    secret: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PROXYMUX_SECRET", raising=False)
    files = {"KEYS": keys, "SECRET": secret}
    status, said, complaint = run(capsys, *[files.get(word, word) for word in arguments])
    assert (status, said) == (1, "")
    assert re.fullmatch(f"proxymux token {arguments[0]}: .*{re.escape(problem)}.*\n", complaint)


def test_what_a_token_says_is_printed_in_printable_characters(keys: str, capsys: pytest.CaptureFixture[str]) -> None:
    claims = {"t": "a:1", "e": 1893456000, "a": "\x1b[31m\n\u202e"}
    token = parse_keys([KEYS]).seal(claims, bytes(16))
    status, said, _ = run(capsys, "open", "--key-file", keys, token)
    assert status == 0
    assert "audience:   \\x1b[31m\\n\\u202e\n" in said
    assert said.replace("\n", "").isprintable()


@pytest.mark.parametrize("seconds", ["-5", "x", "1.5", "500ms", "9999999999", ""])
def test_seconds_that_are_none_are_told_with_what_is_accepted(
    keys: str, seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, complaint = run(capsys, "seal", "--key-file", keys, "--target", "a:1", "--expires-in", seconds)
    assert status == 2
    assert complaint.endswith(
        f"--expires-in: {seconds!r} is not a whole number of seconds from 0 to 3153600000,"
        " or with a unit such as 500ms, 10s, 5m, 1h or 1d\n"
    )


def test_seconds_may_have_a_unit(keys: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = int(time.time())
    _, token, _ = run(capsys, "seal", "--key-file", keys, "--target", "a:1", "--expires-in", "1h")
    claims = parse_keys([KEYS]).open(token.strip().encode())
    assert before + 3600 <= (claims.expires or 0) <= int(time.time()) + 3600

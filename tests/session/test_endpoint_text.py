"""The parts of endpoint descriptions, and what is said about those that make no sense."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactor

from proxymux.session.endpoint_text import EndpointText, mistake


@pytest.mark.parametrize(
    ("text", "kind", "positional", "named"),
    [
        ("tcp:8000:interface=127.0.0.1", "tcp", ("8000",), {"interface": "127.0.0.1"}),
        (r"tcp6:0:interface=\:\:1", "tcp6", ("0",), {"interface": "::1"}),
        ("tcp:0:interface=::", "tcp", ("0", "", ""), {"interface": ""}),
        ("tcp:", "tcp", ("",), {}),
        ("", "", (), {}),
        ("plug:b=c=d:e", "plug", ("e",), {"b": "c=d"}),
        (r"unix:/a\=b\\:mode=660", "unix", ("/a=b\\",), {"mode": "660"}),
        ("unix:/a\nb:mode=660", "unix", ("/a\nb",), {"mode": "660"}),
    ],
)
def test_it_is_divided_as_twisted_divides_it(
    text: str, kind: str, positional: tuple[str, ...], named: dict[str, str]
) -> None:
    assert EndpointText.read(text) == EndpointText(kind, positional, named)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("ssl:443:privateKey=/etc/key.pem", "/etc/key.pem"),
        ("ssl:443", "server.pem"),
        ("tcp:443", None),
        ("unix:/privateKey=x", None),
    ],
)
def test_the_private_key_is_known(text: str, key: str | None) -> None:
    assert EndpointText.read(text).private_key == key


def refused(text: str) -> str:
    with pytest.raises(Exception, match=r".") as refusal:  # Twisted raises whatever comes
        serverFromString(MemoryReactor(), text)
    said = mistake(text, refusal.value)
    assert len(said.splitlines()) == 1
    assert "_parse" not in said
    return said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tcp:0:interface=::", r"as in tcp:8000:interface=\:\:1"),
        ("tcp:0:interface=::1", r"as in tcp:8000:interface=\:\:1"),
        ("tcp6:0:interface=fe80:1:2:3:4:5:6:7", r"as in tcp:8000:interface=\:\:1"),
        ("tcp:0:inteface=127.0.0.1", "it takes no argument inteface; "),
        ("tcp", "the argument 'port' is missing; "),
        ("tcp:http", "'http' is no number; "),
        ("unix:/run/a:mode=9", "'9' is no octal number; "),
        ("tcp:1:2:3:4:5", "there are too many parts between colons; "),
        ("nonsense", "Unknown endpoint type: 'nonsense'; "),
    ],
)
def test_what_is_wrong_is_said_in_words(text: str, words: str) -> None:
    assert words in refused(text)


def test_a_file_of_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = refused(f"ssl:0:privateKey={tmp_path}/key.pem")
    assert said == f"{tmp_path}/key.pem: No such file or directory; name a file that can be read"


@pytest.mark.parametrize("content", ["", "junk", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_files_that_hold_no_key_are_named(tmp_path: Path, content: str) -> None:
    key = tmp_path / "key.pem"
    key.write_text(content)
    certificate = tmp_path / "certificate.pem"
    certificate.write_text("junk")
    said = refused(f"ssl:0:privateKey={key}:certKey={certificate}")
    assert said.startswith(f"{key}, {certificate}: no private key with its certificate in PEM form (")
    assert said.endswith("; name such files")
    assert "[" not in said

"""proxymux.sniff as a package: its names, its documentation, what it imports."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from proxymux import NEED_DATA, sniff
from tests.sniff import hellos

FUNCTIONS = [
    "amqp",
    "http2_preface",
    "http_request",
    "minecraft",
    "mqtt",
    "mysql_greeting",
    "postgres",
    "proxy_protocol",
    "rdp",
    "redis",
    "socks4",
    "socks5_greeting",
    "socks5_request",
    "ssh",
    "tls_client_hello",
]
TYPES = [
    "Amqp",
    "ClientHello",
    "Http2Preface",
    "HttpRequest",
    "Minecraft",
    "Mqtt",
    "MysqlGreeting",
    "Parameters",
    "Postgres",
    "ProxyProtocol",
    "Rdp",
    "Redis",
    "Socks4Request",
    "Socks5Greeting",
    "Socks5Request",
    "Ssh",
]
FILES = sorted(Path(sniff.__file__).parent.glob("*.py"))


def test_the_names_are_these() -> None:
    assert sorted(sniff.__all__) == sorted([*FUNCTIONS, *TYPES, "NEED_DATA", "matches_host"])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_in_the_overview_and_documented(name: str) -> None:
    assert f"\n`{name}`" in str(sniff.__doc__)
    assert getattr(sniff, name).__doc__
    assert list(inspect.signature(getattr(sniff, name)).parameters) == ["data"]


@pytest.mark.parametrize("name", TYPES)
def test_every_type_is_documented(name: str) -> None:
    assert len(getattr(sniff, name).__doc__) > 40


def test_the_note_on_protocols_in_which_the_server_speaks_first() -> None:
    note = str(sniff.__doc__).partition("**Server-first protocols.**")[2]
    for word in ("MySQL", "SMTP", "FTP", "IMAP", "proxy_accepted", "mysql_greeting"):
        assert word in note


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_imported_but_the_standard_library(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.Import) or all(name.name in sys.stdlib_module_names for name in node.names)
        if isinstance(node, ast.ImportFrom):
            module, names = str(node.module), {name.name for name in node.names}
            if module == "proxymux.core.decision":
                assert names <= {"NEED_DATA", "NeedData"}
            elif path.name == "proxy_protocol.py" and module.startswith("proxymux."):
                assert module in ("proxymux.core.proxy_protocol", "proxymux.errors")
            else:
                assert module.partition(".")[0] in sys.stdlib_module_names or module.startswith("proxymux.sniff.")
                assert module.partition(".")[0] not in {"socket", "ssl", "asyncio", "select", "time", "threading"}


def example() -> Any:
    """The router of the documentation."""
    text = str(sniff.__doc__).partition("One port for three of them::\n")[2].partition("**Server-first")[0]
    names: dict[str, Any] = {}
    exec(textwrap.dedent(text), names)
    return names["proxy"]


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (hellos.CURL, {"remote": "10.0.0.1:443"}),
        (b"SSH-2.0-x\r\n", {"remote": "10.0.0.1:22"}),
        (b"SEARCH / HTTP/1.1\r\n\r\n", {"remote": "10.0.0.1:80"}),
        (b"", NEED_DATA),
        (b"S", NEED_DATA),
        (hellos.CURL[:-1], NEED_DATA),
        (b"\0", {"close": True}),
    ],
)
def test_the_example_in_the_documentation(data: bytes, result: object) -> None:
    assert example()(data) == result

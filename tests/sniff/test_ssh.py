from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux import NEED_DATA
from proxymux.sniff import Ssh, ssh
from proxymux.sniff.ssh import LIMIT
from tests.sniff.checks import answers, is_read, is_refused

START = b"SSH-2.0-"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u6\r\n", Ssh("2.0", "OpenSSH_9.2p1", "Debian-2+deb12u6")),
        (b"SSH-2.0-OpenSSH_for_Windows_8.1\r\n", Ssh("2.0", "OpenSSH_for_Windows_8.1")),
        (b"SSH-2.0-PuTTY_Release_0.78\r\n", Ssh("2.0", "PuTTY_Release_0.78")),
        (b"SSH-2.0-libssh-0.6.3\r\n", Ssh("2.0", "libssh-0.6.3")),
        (b"SSH-2.0-Go\r\n", Ssh("2.0", "Go")),
        (b"SSH-2.0-paramiko_3.4.0\r\n", Ssh("2.0", "paramiko_3.4.0")),
        (b"SSH-1.99-x\r\n", Ssh("1.99", "x")),
        (b"SSH-1.5-x\n", Ssh("1.5", "x")),
        (b"SSH-2.0-x \r\n", Ssh("2.0", "x")),
        (b"SSH-2.0-x  a  b \r\n", Ssh("2.0", "x", " a  b ")),
        (START + b"a" * 245 + b"\r\n", Ssh("2.0", "a" * 245)),
        (START + b"a" * 246 + b"\n", Ssh("2.0", "a" * 246)),
    ],
)
def test_what_clients_send_is_read(data: bytes, value: Ssh) -> None:
    assert len(data) <= LIMIT == 255
    is_read(ssh, data, value)


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"s",
        b"SSH_",
        b"SSH--",
        b"SSH-x",
        b"SSH-2-",
        b"SSH-.",
        b"SSH-2..",
        b"SSH-2.-",
        b"SSH-2.0.",
        b"SSH-2.0 ",
        b"SSH-2.0\r",
        b"SSH-2.0\n",
        b"SSH-2.0--\0",
        b"SSH-2.0- ",
        b"SSH-2.0-\r",
        b"SSH-2.0-\n",
        b"SSH-2.0-a\0",
        b"SSH-2.0-a\t",
        b"SSH-2.0-a\x7f",
        b"SSH-2.0-a\xe4",
        b"SSH-2.0-a\r\r",
        b"SSH-2.0-a\rb",
        b"SSH-2.0-a b\0",
        b"SSH-2.0-a b\xe4",
        b"SSH-2.0-a b\r ",
        START + b"a" * 247,
        START + b"a" * 246 + b"\r",
        START + b"a" + b" " * 246,
    ],
)
def test_what_is_not_ssh_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(ssh, data)


def test_a_line_that_ends_beyond_the_limit_is_none() -> None:
    data = START + b"a" * 246 + b"\r\n"
    assert ssh(data[: LIMIT - 1]) is NEED_DATA
    assert ssh(data[:LIMIT]) is None
    assert ssh(data) is None


PRINTABLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)


@settings(max_examples=200, deadline=None)
@given(
    st.from_regex(re.compile(r"[0-9]{1,3}\.[0-9]{1,3}", re.ASCII), fullmatch=True),
    st.text(PRINTABLE, min_size=1, max_size=60),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60),
    st.sampled_from(["\n", "\r\n"]),
    st.binary(max_size=9),
)
def test_whatever_is_put_into_a_line_is_read_from_it(
    protocol: str, software: str, comments: str, end: str, more: bytes
) -> None:
    data = f"SSH-{protocol}-{software}{' ' if comments else ''}{comments}{end}".encode()
    value = Ssh(protocol, software, comments)
    assert answers(ssh, data) == [NEED_DATA] * len(data) + [value]
    assert ssh(data + more) == value

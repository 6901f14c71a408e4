from __future__ import annotations

import contextlib
import random
import re
import ssl
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from proxymux import NEED_DATA
from proxymux.sniff import ClientHello, tls_client_hello
from proxymux.sniff.tls import LIMIT
from tests.sniff import hellos
from tests.sniff.checks import answers, is_monotone, is_read, is_refused, milliseconds
from tests.sniff.hellos import alpn, extension, in_records, message, record, server_name, vector, versions

NAME = server_name(b"a.example")
OLD, NEW = 0x0303, 0x0304


def hello(*extensions: bytes) -> bytes:
    return record(message(b"".join(extensions)))


# What clients send.


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (hellos.CURL, ClientHello("shop.example", ("h2", "http/1.1"), (0x0304, 0x0303, 0x0302, 0x0301))),
        (hellos.from_ssl(), ClientHello("a.example", (), (NEW, OLD))),
        (hellos.from_ssl(None), ClientHello(None, (), (NEW, OLD))),
        (hellos.from_ssl("B.Example", ["h2", "x"]), ClientHello("b.example", ("h2", "x"), (NEW, OLD))),
        (hellos.from_ssl("bücher.example"), ClientHello("xn--bcher-kva.example", (), (NEW, OLD))),
        (hellos.from_ssl(maximum_version=ssl.TLSVersion.TLSv1_2), ClientHello("a.example", (), (OLD,))),
        (hellos.from_ssl(minimum_version=ssl.TLSVersion.TLSv1_3), ClientHello("a.example", (), (NEW,))),
        (hellos.from_ssl(ciphers="ALL:COMPLEMENTOFALL:@SECLEVEL=0"), ClientHello("a.example", (), (NEW, OLD))),
    ],
    ids=["curl", "ssl", "no name", "ALPN", "IDN", "TLS 1.2", "TLS 1.3", "many ciphers"],
)
@pytest.mark.parametrize("size", [0, 1, 7, 100], ids=["one record", "records of 1", "records of 7", "records of 100"])
def test_a_hello_is_read_in_whatever_records_it_comes(data: bytes, value: ClientHello, size: int) -> None:
    content = hellos.message_of(data)
    is_read(tls_client_hello, in_records(content, [size] * (len(content) // size) if size else ()), value)


@pytest.mark.parametrize("at", range(1, 12))
def test_a_cut_within_the_head_of_the_message_does_not_matter(at: int) -> None:
    is_read(tls_client_hello, in_records(message(NAME), [at]), ClientHello("a.example", (), (OLD,)))


def test_a_hello_with_hundreds_of_protocols_is_read() -> None:
    names = [f"protocol-{number}" for number in range(300)]
    data = hellos.from_ssl(alpn=names)
    assert len(data) > 4000
    found = tls_client_hello(data)
    assert isinstance(found, ClientHello)
    assert found.alpn == tuple(names)


def test_a_hello_larger_than_a_record_is_read() -> None:
    data = in_records(hellos.padded(20000, NAME, alpn(b"h2")), [16384])
    assert len(data) == 4 + 20000 + 2 * 5
    value = ClientHello("a.example", ("h2",), (OLD,))
    assert tls_client_hello(data) == value
    for length in (*range(100), *range(0, len(data), 97), *range(16380, 16400), *range(len(data) - 20, len(data))):
        assert tls_client_hello(data[:length]) is NEED_DATA, length


# Made by hand.


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (record(message(None)), ClientHello(None, (), (OLD,))),
        (record(message(None, version=b"\3\0")), ClientHello(None, (), (0x0300,))),
        (record(message(b"")), ClientHello(None, (), (OLD,))),
        (record(message(NAME, session=bytes(32))), ClientHello("a.example", (), (OLD,))),
        (record(message(NAME, compression=b"\1\0")), ClientHello("a.example", (), (OLD,))),
        (record(message(NAME, ciphers=b"\x13\1" * 3000)), ClientHello("a.example", (), (OLD,))),
        (record(message(NAME), b"\3\0"), ClientHello("a.example", (), (OLD,))),
        (record(message(NAME), b"\3\xff"), ClientHello("a.example", (), (OLD,))),
        (hello(extension(0x1234, b"x"), NAME), ClientHello("a.example", (), (OLD,))),
        (hello(server_name(b"A.example.")), ClientHello("a.example.", (), (OLD,))),
        (hello(server_name(b"a_b-c.example")), ClientHello("a_b-c.example", (), (OLD,))),
        (hello(server_name(b"a" * 255)), ClientHello("a" * 255, (), (OLD,))),
        (hello(server_name(b"\xff", kind=9)), ClientHello(None, (), (OLD,))),
        (hello(alpn(b"\n\n", b"\xff")), ClientHello(None, ("\n\n", "\xff"), (OLD,))),
        (hello(alpn(b"h2", b"h2")), ClientHello(None, ("h2", "h2"), (OLD,))),
        (hello(versions(0x7F1C, 0x0304)), ClientHello(None, (), (0x7F1C, 0x0304))),
        (hello(versions(0x0A0A)), ClientHello(None, (), ())),
    ],
)
def test_what_the_rules_allow_is_read(data: bytes, value: ClientHello) -> None:
    assert tls_client_hello(data[:-1]) is NEED_DATA
    assert tls_client_hello(data) == value
    assert tls_client_hello(data + b"\x14\3\3\0\1\1") == value


def test_values_that_mean_nothing_are_passed_over() -> None:
    """GREASE, RFC 8701, wherever Chrome puts it."""
    grease = extension(0x3A3A) + NAME + extension(hellos.SUPPORTED_GROUPS, vector(2, b"\xaa\xaa\0\x1d"))
    data = record(
        message(grease + versions(0xFAFA, 0x0304, 0x1A2A) + extension(0xDADA, b"\0"), ciphers=b"\x4a\x4a\x13\1")
    )
    is_read(tls_client_hello, data, ClientHello("a.example", (), (0x0304, 0x1A2A)))


def test_what_follows_in_the_same_record_is_not_looked_at() -> None:
    assert tls_client_hello(record(message(NAME) + b"\xff" * 9)) == ClientHello("a.example", (), (OLD,))


def test_a_hello_is_known_before_the_end_of_its_record() -> None:
    content = message(NAME)
    assert tls_client_hello(b"\x16\3\1\x40\0" + content) == ClientHello("a.example", (), (OLD,))
    assert tls_client_hello(b"\x16\3\1\x40\0" + content[:-1]) is NEED_DATA


# What is something else.

BODY = message(NAME)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x14", id="change of ciphers"),
        pytest.param(b"\x15", id="alert"),
        pytest.param(b"\x17", id="application data"),
        pytest.param(b"\x80", id="SSL 2"),
        pytest.param(b"G", id="HTTP"),
        pytest.param(b"\x16\2", id="major version 2"),
        pytest.param(b"\x16\xfe", id="DTLS"),
        pytest.param(b"\x16\3\1\0\0", id="empty record"),
        pytest.param(b"\x16\3\1\x40\1", id="long record"),
        pytest.param(b"\x16\3\1\x41", id="longer record"),
        pytest.param(b"\x16\3\1\0\4\2", id="ServerHello"),
        pytest.param(b"\x16\3\1\0\4\0", id="HelloRequest"),
        pytest.param(b"\x16\3\1\0\4\1\0\x80\1", id="long message"),
        pytest.param(b"\x16\3\1\0\4\1\1", id="longer message"),
        pytest.param(b"\x16\3\1\0\4\1\0\0\x28", id="short message"),
        pytest.param(b"\x16\3\1\0\1\1\x15", id="an alert between its records"),
        pytest.param(b"\x16\3\1\0\1\1\x16\2", id="another version between its records"),
        pytest.param(b"\x16\3\1\0\1\1\x16\3\1\0\0", id="an empty record between its records"),
        pytest.param(record(message(version=b"\2\3"))[:11], id="version of the message"),
        pytest.param(record(message(session=bytes(33)))[: 9 + 2 + 32 + 1], id="long session"),
        pytest.param(record(message(ciphers=b""))[: 9 + 2 + 32 + 1 + 2], id="no ciphers"),
        pytest.param(record(message(ciphers=b"\1\2\3"))[: 9 + 2 + 32 + 1 + 5], id="half a cipher"),
        pytest.param(record(message(ciphers=b"\0\0", compression=b""))[: 9 + 2 + 32 + 1 + 4 + 1], id="no compression"),
        pytest.param(record(message(NAME, after=b"\0"))[: 9 + 2 + 32 + 1 + 4 + 2 + 2], id="bytes after the block"),
        pytest.param(record(b"\1\0\0\x2b" + BODY[4:45] + b"\0\1"), id="block longer than the message"),
        pytest.param(record(message(None, after=b"\0"))[:-1], id="half a length"),
        pytest.param(hello(b"\0")[:-1], id="half an extension"),
        pytest.param(hello(b"\x12\x34\0")[:-1], id="most of an extension"),
        pytest.param(hello(b"\x12\x34\0\1"), id="an extension without its content"),
        pytest.param(hello(b"\x12\x34\0\2\0")[:-1], id="an extension with half its content"),
        pytest.param(hello(NAME, NAME)[: -len(NAME) + 2], id="an extension twice"),
    ],
)
def test_what_is_not_a_hello_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(tls_client_hello, data)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(extension(0), id="name: empty"),
        pytest.param(extension(0, b"\0"), id="name: half a length"),
        pytest.param(extension(0, b"\0\0"), id="name: no names"),
        pytest.param(extension(0, b"\0\4\0\0\1a\0"), id="name: bytes after the names"),
        pytest.param(extension(0, b"\0\5\0\0\1a"), id="name: longer than the extension"),
        pytest.param(extension(0, b"\0\4\0\0\2a"), id="name: longer than the names"),
        pytest.param(extension(0, b"\0\3\0\0\0"), id="name: empty name"),
        pytest.param(extension(0, b"\0\1\0"), id="name: no length"),
        pytest.param(server_name(b"a", b"b"), id="name: two"),
        pytest.param(server_name(b"a", b"a"), id="name: twice the same"),
        pytest.param(server_name(b"a\0b"), id="name: NUL"),
        pytest.param(server_name(b"a b"), id="name: space"),
        pytest.param(server_name(b"a\n"), id="name: line feed"),
        pytest.param(server_name(b"a\x7f"), id="name: DEL"),
        pytest.param(server_name("ä".encode()), id="name: not ASCII"),
        pytest.param(server_name(b"a" * 256), id="name: long"),
        pytest.param(extension(16), id="ALPN: empty"),
        pytest.param(extension(16, b"\0\0"), id="ALPN: no protocols"),
        pytest.param(extension(16, b"\0\1\0"), id="ALPN: empty protocol"),
        pytest.param(extension(16, b"\0\3\2h2\0"), id="ALPN: bytes after the list"),
        pytest.param(extension(16, b"\0\3\3h2"), id="ALPN: longer than the list"),
        pytest.param(extension(43), id="versions: empty"),
        pytest.param(extension(43, b"\0"), id="versions: none"),
        pytest.param(extension(43, b"\3\3\4\3"), id="versions: half a one"),
        pytest.param(extension(43, b"\2\3\4\0"), id="versions: bytes after them"),
    ],
)
@pytest.mark.parametrize("before", [True, False], ids=["before others", "last"])
def test_a_malformed_extension_makes_the_hello_none(wrong: bytes, before: bool) -> None:
    other = extension(0x1234, b"abc")
    data = hello(wrong, other) if before else hello(other, wrong)
    assert tls_client_hello(data) is None
    assert tls_client_hello(data + b"\0") is None
    is_monotone(tls_client_hello, data + b"\0")


def test_an_ssl_2_hello_is_none() -> None:
    """The version 2 form in which old clients offered SSL 3 and TLS 1.0 (RFC 5246 appendix E.2)."""
    body = struct.pack("!BHHHH", 1, 0x0301, 3, 0, 16) + b"\0\0\x2f" + bytes(16)
    assert tls_client_hello(struct.pack("!H", 0x8000 | len(body)) + body) is None


# Limits.


def test_the_largest_message_in_the_most_records_is_read() -> None:
    data = in_records(hellos.padded(32768, NAME), [1] * 1020 + [40] * 700 + [1] * 327)
    assert data.count(b"\x16\3\1") == 2048
    assert len(data) == LIMIT == 43012
    assert tls_client_hello(data[:-1]) is NEED_DATA
    assert tls_client_hello(data) == ClientHello("a.example", (), (OLD,))


def test_a_larger_message_is_none() -> None:
    assert tls_client_hello(in_records(hellos.padded(32769, NAME), [16384, 16384])) is None


def test_one_more_record_is_none() -> None:
    content = hellos.padded(3000, NAME)
    assert tls_client_hello(in_records(content, [1] * 2047)) == ClientHello("a.example", (), (OLD,))
    data = in_records(content, [1] * 2048)
    assert tls_client_hello(data) is None
    assert tls_client_hello(data[: 2048 * 6]) is NEED_DATA
    assert tls_client_hello(data[: 2048 * 6 + 1]) is None


def test_so_many_extensions_are_none() -> None:
    def numbered(count: int) -> bytes:
        return hello(*(extension(0x1000 + number) for number in range(count)))

    assert tls_client_hello(numbered(256)) == ClientHello(None, (), (OLD,))
    assert tls_client_hello(numbered(257)) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(in_records(hellos.padded(32768), [1] * 9000), id="records"),
        pytest.param(hello(*(extension(number) for number in range(4000))), id="extensions"),
        pytest.param(hello(alpn(*[b"a"] * 8000))[:-1], id="protocols, all but one byte"),
        pytest.param(in_records(hellos.padded(32768), [16384])[:-1], id="bytes"),
    ],
)
def test_no_answer_takes_long(data: bytes) -> None:
    """A client may make the proxy answer as often as it sends a byte.  These took ten milliseconds each."""
    assert milliseconds(tls_client_hello, data) < 4


# Any bytes at all.


@st.composite
def made_hellos(draw: st.DrawFn) -> tuple[bytes, ClientHello]:
    """A hello, and what is to be read from it."""
    name = draw(st.none() | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40))
    names = draw(st.lists(st.binary(min_size=1, max_size=20), max_size=6))
    numbers = draw(st.lists(st.sampled_from([0x0301, 0x0302, 0x0303, 0x0304, 0x7F1C]), max_size=4))
    others = draw(st.dictionaries(st.integers(50, 65535), st.binary(max_size=60), max_size=5))
    extensions = [extension(kind, content) for kind, content in others.items()]
    if name is not None:
        extensions.append(server_name(name.encode()))
    if names:
        extensions.append(alpn(*names))
    if numbers:
        extensions.append(versions(*numbers))
    content = message(
        b"".join(draw(st.permutations(extensions))),
        session=draw(st.binary(max_size=32)),
        ciphers=b"\0\x2f" * draw(st.integers(1, 40)),
    )
    data = in_records(content, draw(st.lists(st.integers(1, 80), max_size=20)))
    offered = tuple(numbers) or (OLD,)
    return data, ClientHello(name.lower() if name else None, tuple(each.decode("latin-1") for each in names), offered)


@settings(max_examples=200, deadline=None)
@given(made_hellos(), st.binary(max_size=20))
def test_whatever_is_put_into_a_hello_is_read_from_it(made: tuple[bytes, ClientHello], more: bytes) -> None:
    data, value = made
    assert answers(tls_client_hello, data) == [NEED_DATA] * len(data) + [value]
    assert tls_client_hello(data + more) == value


def as_openssl_reads(data: bytes) -> list[bytes | None]:
    """The server name that a server on OpenSSL reads in ``data``: in a list, which is empty if it reads no hello."""
    read: list[bytes | None] = []
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_tlsext_servername_callback(lambda connection: read.append(connection.get_servername()))
    connection = SSL.Connection(context)
    connection.set_accept_state()
    connection.bio_write(data)
    with contextlib.suppress(SSL.Error):
        connection.do_handshake()
    return read


def test_openssl_and_we_read_the_same_name() -> None:
    assert as_openssl_reads(hellos.CURL) == [b"shop.example"]
    assert as_openssl_reads(hellos.CURL[:-1]) == []


@settings(max_examples=400, deadline=None)
@given(st.integers(5, 0x11F), st.binary(min_size=1, max_size=2), st.lists(st.integers(1, 300), max_size=3))
@example(0x8C, b"\0", [])
@example(0x8D, b"\x0d", [])
def test_what_openssl_reads_in_a_changed_hello_we_read_too(at: int, new: bytes, sizes: list[int]) -> None:
    """No hello gets past us with another name than the server behind us reads, which is what routes by name trust."""
    changed = hellos.CURL[:at] + new + hellos.CURL[at + len(new) :]
    data = in_records(hellos.message_of(changed), sizes)
    theirs, ours = as_openssl_reads(data), tls_client_hello(data)
    if isinstance(ours, ClientHello) and theirs:
        assert ours.server_name == (theirs[0].decode("ascii").lower() if theirs[0] else None)
    assert not (ours is NEED_DATA and theirs)
    if ours is None and theirs and changed[9] == 3:  # OpenSSL takes any version
        assert theirs[0] is not None
        assert re.search(rb"[^!-~]", theirs[0])  # and any byte but NUL in a name


def test_random_changes_never_raise_or_change_an_answer() -> None:
    source = random.Random(8446)
    for _ in range(150):
        data = bytearray(in_records(hellos.message_of(hellos.CURL), [source.randrange(1, 200) for _ in range(3)]))
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        is_monotone(tls_client_hello, bytes(data))

"""ClientHellos: of Python's ssl module, of curl, and made by hand."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Iterable, Sequence
from typing import Any

#: curl 7.88.1 with OpenSSL 3.0, https://Shop.Example/: curl says it in lower case.
CURL = bytes.fromhex(
    "1603010200010001fc0303b8c98462bea2689250b1c8fd74a1a7c058a2e6e6d275a2d238c2a1dd9f271e9f20aa01306626400c972f6df8d1"
    "a3f5cee82cc0eab68865a5a14207551f7d4c720d003e130213031301c02cc030009fcca9cca8ccaac02bc02f009ec024c028006bc023c027"
    "0067c00ac0140039c009c0130033009d009c003d003c0035002f00ff0100017500000011000f00000c73686f702e6578616d706c65000b00"
    "0403000102000a00160014001d0017001e00190018010001010102010301040010000e000c02683208687474702f312e3100160000001700"
    "0000310000000d002a0028040305030603080708080809080a080b080408050806040105010601030303010302040205020602002b000908"
    "0304030303020301002d00020101003300260024001d0020c8a1f95eaa9be9ce20ae6ab1b638ac0d8b53d157047756e8e8278f46cb35aa59"
    "001500b1"
) + bytes(0xB1)

SERVER_NAME, SUPPORTED_GROUPS, ALPN, PADDING, VERSIONS = 0, 10, 16, 21, 43


def from_ssl(name: str | None = "a.example", alpn: Sequence[str] = (), ciphers: str = "", **options: Any) -> bytes:
    """What Python's ssl module says first."""
    context = ssl.create_default_context()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if ciphers:
        context.set_ciphers(ciphers)
    for option, value in options.items():
        setattr(context, option, value)
    context.check_hostname = name is not None
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("the handshake needs no answer")


def vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def extension(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("!H", kind) + vector(2, content)


def server_name(*names: bytes, kind: int = 0) -> bytes:
    return extension(SERVER_NAME, vector(2, b"".join(bytes([kind]) + vector(2, name) for name in names)))


def alpn(*names: bytes) -> bytes:
    return extension(ALPN, vector(2, b"".join(vector(1, name) for name in names)))


def versions(*numbers: int) -> bytes:
    return extension(VERSIONS, vector(1, b"".join(struct.pack("!H", number) for number in numbers)))


def message(
    extensions: bytes | None = b"",
    *,
    version: bytes = b"\3\3",
    session: bytes = b"",
    ciphers: bytes = b"\x13\1",
    compression: bytes = b"\0",
    after: bytes = b"",
) -> bytes:
    """A handshake message; with extensions of None it ends before them, as those of SSL 3.0 did."""
    block = b"" if extensions is None else vector(2, extensions)
    body = version + bytes(32) + vector(1, session) + vector(2, ciphers) + vector(1, compression) + block + after
    return b"\1" + vector(3, body)


def padded(length: int, *extensions: bytes) -> bytes:
    """A handshake message whose body has ``length`` bytes."""
    rest = length - (len(message(b"".join(extensions))) - 4) - 4
    return message(b"".join(extensions) + extension(PADDING, bytes(rest)))


def in_records(content: bytes, sizes: Iterable[int], version: bytes = b"\3\1") -> bytes:
    """``content`` in records of these sizes; what is left goes into one more."""
    records = []
    for size in sizes:
        records.append(content[:size])
        content = content[size:]
    records.append(content)
    return b"".join(b"\x16" + version + vector(2, part) for part in records if part)


def record(content: bytes, version: bytes = b"\3\1") -> bytes:
    return in_records(content, (), version)


def message_of(hello: bytes) -> bytes:
    """The handshake message of a hello in one record."""
    return hello[5:]

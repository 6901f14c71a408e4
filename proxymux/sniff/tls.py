"""TLS: the ClientHello (RFC 8446 section 4.1.2), with server name (RFC 6066) and ALPN (RFC 7301)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NEED_DATA, NeedData
from proxymux.sniff.fields import Fields, Malformed, read

#: The most bytes of the handshake message; browsers send about two thousand.
_MESSAGE_LIMIT: Final = 32768
#: The most records and extensions.  They are read again whenever bytes have come: without these limits, a client that
#: sends records of one byte would cost ten milliseconds for each byte.
_RECORDS_LIMIT: Final = 2048
_EXTENSIONS_LIMIT: Final = 256
_RECORD_LIMIT: Final = 16384  # RFC 8446 section 5.1
_NAME_LIMIT: Final = 255
_PRINTABLE: Final = re.compile(rb"[!-~]+")
#: Bytes from which on the answer is never NEED_DATA.
LIMIT: Final = 4 + _MESSAGE_LIMIT + 5 * _RECORDS_LIMIT

#: Bytes of the shortest message: version, random, and the shortest session id, cipher suites and compression methods.
_SHORTEST: Final = 2 + 32 + 1 + 4 + 2
_SERVER_NAME: Final = 0
_ALPN: Final = 16
_SUPPORTED_VERSIONS: Final = 43


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a TLS client says first (RFC 8446).

    :param server_name: the host name that the client asks for (RFC 6066), in lower case, or None.
    :param alpn: the application protocols that it offers (RFC 7301), such as ``h2`` and ``http/1.1``, in its order.
    :param versions: the TLS versions that it offers, such as 0x0303 for TLS 1.2 and 0x0304 for 1.3, in its order and
        without reserved values (GREASE, RFC 8701).
    """

    server_name: str | None = None
    alpn: tuple[str, ...] = ()
    versions: tuple[int, ...] = ()


def tls_client_hello(data: bytes) -> ClientHello | NeedData | None:
    """The ClientHello that ``data`` begins with, in one record or several."""
    message = _message(data)
    if message is None or message[:1] not in (b"", b"\1"):
        return None
    # Missing bytes of the length are read as 0, so that too long a message is refused early.
    size = int.from_bytes(message[1:4].ljust(3, b"\0"), "big")
    if size > _MESSAGE_LIMIT or (len(message) >= 4 and size < _SHORTEST):
        return None
    if len(message) < 4:
        return NEED_DATA
    return read(_client_hello, message[4 : 4 + size], size)


def _message(data: bytes) -> bytes | None:
    """The part of the first handshake message that has come, without record headers; None if it is not TLS."""
    message = bytearray()
    start = 0
    for _ in range(_RECORDS_LIMIT):
        header = data[start : start + 5]
        if not _may_be_record(header):
            return None
        end = start + 5 + int.from_bytes(header[3:5], "big")
        message += data[start + 5 : end]
        if len(data) <= end or len(header) < 5:
            return bytes(message)
        if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4], "big"):
            return bytes(message)
        start = end
    return None


def _may_be_record(header: bytes) -> bool:
    # The minor version is to be ignored (RFC 8446 section 5.1).
    if header[:1] not in (b"", b"\x16") or header[1:2] not in (b"", b"\3"):
        return False
    if len(header) < 5:
        return header[3:4] <= b"\x40"
    # An empty handshake record is forbidden (RFC 8446 section 5.1).
    return 1 <= int.from_bytes(header[3:5], "big") <= _RECORD_LIMIT


def _client_hello(fields: Fields) -> ClientHello:
    version = fields.number(2)
    if version >> 8 != 3:
        raise Malformed
    fields.take(32)
    fields.vector(1, most=32)
    if len(fields.vector(2, least=2)) % 2:
        raise Malformed
    fields.vector(1, least=1)
    # Their contents are read only once all have come, so that a long list is not read again with each byte.
    extensions = _extensions(fields)
    name, alpn, versions = (extensions.get(kind) for kind in (_SERVER_NAME, _ALPN, _SUPPORTED_VERSIONS))
    return ClientHello(
        None if name is None else _host_name(name),
        () if alpn is None else _protocols(alpn),
        (version,) if versions is None else _versions(versions),
    )


def _extensions(fields: Fields) -> dict[int, bytes]:
    if fields.left and fields.number(2) != fields.left:
        raise Malformed
    return fields.numbered(_EXTENSIONS_LIMIT)


def _only_vector(extension: bytes, size: int) -> bytes:
    """The vector that fills a whole extension; an empty one is not allowed in any extension that is read here."""
    inner = extension[size:]
    if not inner or int.from_bytes(extension[:size], "big") != len(inner):
        raise Malformed
    return inner


def _host_name(extension: bytes) -> str | None:
    names = _only_vector(extension, 2)
    found: str | None = None
    at = 0
    while at < len(names):
        kind, start = names[at], at + 3
        at = start + int.from_bytes(names[at + 1 : start], "big")
        name = names[start:at]
        if not name or len(names) < at:
            raise Malformed
        if kind == 0:
            if found is not None or len(name) > _NAME_LIMIT or not _PRINTABLE.fullmatch(name):
                raise Malformed
            # In lower case, as DNS ignores case and a router's table should too.
            found = name.decode("ascii").lower()
    return found


def _protocols(extension: bytes) -> tuple[str, ...]:
    inner = _only_vector(extension, 2)
    names = Fields(inner, len(inner))
    found = []
    while names.left:
        found.append(names.vector(1, least=1).decode("latin-1"))
    return tuple(found)


def _versions(extension: bytes) -> tuple[int, ...]:
    inner = _only_vector(extension, 1)
    if len(inner) % 2:
        raise Malformed
    numbers = struct.unpack(f"!{len(inner) // 2}H", inner)
    # Without reserved values: both bytes alike, and of the form 0x?A.
    return tuple([number for number in numbers if number & 0x0F0F != 0x0A0A or number >> 8 != number & 0xFF])

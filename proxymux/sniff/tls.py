"""TLS: the ClientHello (RFC 8446 section 4.1.2), with server name (RFC 6066) and ALPN (RFC 7301)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NEED_DATA, NeedData

#: Bytes of the handshake message beyond which it is not looked at; those of browsers have two thousand.
LIMIT: Final = 16384
#: Records that a hello may be cut into.  They are walked through whenever more bytes have come, so that a client that
#: sends the smallest records byte by byte would cost more and more time without a limit.
RECORDS_LIMIT: Final = 1024
_RECORD_LIMIT: Final = 16384  # RFC 8446 section 5.1
_SERVER_NAME: Final = 0
_ALPN: Final = 16


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a TLS client says first.

    :param server_name: the host name it wants, in lower case, or None if it does not say.
    :param alpn: the protocols it offers, such as ``h2`` and ``http/1.1``, in its order.
    """

    server_name: str | None = None
    alpn: tuple[str, ...] = ()


class _Malformed(Exception):
    """The message breaks the rules of its form."""


def tls_client_hello(data: bytes) -> ClientHello | NeedData | None:
    """The ClientHello that ``data`` begins with, in as many records as it came."""
    message = bytearray()
    at = records = 0
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        records += 1
        header = data[at : at + 5]
        if records > RECORDS_LIMIT or not _may_be_record(header):
            return None
        length = int.from_bytes(header[3:5], "big")
        message += data[at + 5 : at + 5 + length] if len(header) == 5 else b""
        if message and (message[0] != 1 or (len(message) >= 4 and int.from_bytes(message[1:4], "big") > LIMIT)):
            return None
        at += 5 + length
        if len(header) < 5 or len(data) < at:
            if len(message) >= 4 and len(message) >= 4 + int.from_bytes(message[1:4], "big"):
                break
            return NEED_DATA
    try:
        return _read(_Fields(bytes(message[4 : 4 + int.from_bytes(message[1:4], "big")])))
    except _Malformed:
        return None


def _may_be_record(header: bytes) -> bool:
    if header[:1] not in (b"", b"\x16") or header[1:2] not in (b"", b"\x03") or header[2:3] > b"\x04":
        return False
    # An empty handshake record is not allowed, so that no endless row of them can be sent.
    return len(header) < 5 or 1 <= int.from_bytes(header[3:5], "big") <= _RECORD_LIMIT


class _Fields:
    """Takes fields from the front of a block."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._block)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._block):
            raise _Malformed
        field = self._block[self._at : end]
        self._at = end
        return field

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        """A field behind its length of ``size`` bytes."""
        return self.take(self.number(size))


def _read(fields: _Fields) -> ClientHello:
    if fields.take(2)[:1] != b"\x03":
        raise _Malformed
    fields.take(32)
    session, ciphers, compression = fields.vector(1), fields.vector(2), fields.vector(1)
    if len(session) > 32 or len(ciphers) < 2 or len(ciphers) % 2 or not compression:
        raise _Malformed
    extensions = _extensions(fields)
    name = extensions.get(_SERVER_NAME)
    alpn = extensions.get(_ALPN)
    return ClientHello(None if name is None else _host_name(name), () if alpn is None else _protocols(alpn))


def _extensions(fields: _Fields) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    if not fields:
        return found
    block = _Fields(fields.vector(2))
    if fields:
        raise _Malformed
    while block:
        kind = block.number(2)
        if kind in found:
            raise _Malformed
        found[kind] = block.vector(2)
    return found


def _host_name(extension: bytes) -> str | None:
    outer = _Fields(extension)
    names = _Fields(outer.vector(2))
    if outer:
        raise _Malformed
    found: str | None = None
    while names:
        kind, name = names.number(1), names.vector(2)
        if kind == 0:
            if found is not None or not name or not all(0x21 <= byte <= 0x7E for byte in name):
                raise _Malformed
            found = name.decode("ascii").lower()
    return found


def _protocols(extension: bytes) -> tuple[str, ...]:
    outer = _Fields(extension)
    names = _Fields(outer.vector(2))
    if outer or not names:
        raise _Malformed
    found = []
    while names:
        name = names.vector(1)
        if not name:
            raise _Malformed
        found.append(name.decode("latin-1"))
    return tuple(found)

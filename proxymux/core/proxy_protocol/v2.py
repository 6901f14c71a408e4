"""Version 2 of the PROXY header: a binary block (section 2.2)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable

from proxymux.core.proxy_protocol import tlv
from proxymux.core.proxy_protocol.header import Endpoint, Header, address_text, inet_ends
from proxymux.errors import BadHeader

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
#: Bytes of the longest header that is accepted or sent.  The specification wants a header to fit one segment, of 536
#: bytes, but its length field allows 65551.  4096, nginx's limit, has room for a client's certificate, and can be kept
#: for each connection that has not been admitted yet.
LIMIT = 4096
_FIXED = 16
_LOCAL, _PROXY = 0x20, 0x21
_UNSPEC, _TCP4, _TCP6, _UNIX = 0x00, 0x11, 0x21, 0x31
_DGRAM = 2
_BLOCKS = {_TCP4: struct.Struct("!4s4sHH"), _TCP6: struct.Struct("!16s16sHH"), _UNIX: struct.Struct("!108s108s")}
_PATH_LIMIT = 108
#: Type and length of a checksum, and its value while it is computed.
_CHECKSUM, _ZERO = b"\x03\x00\x04", b"\0\0\0\0"
#: The TLVs of a header, and whether there was a checksum beside them.
_Tlvs = tuple[tuple[tuple[int, bytes], ...], bool]
_NO_TLVS: _Tlvs = ((), False)


def parse(data: bytes) -> tuple[Header, int] | None:
    """The header at the start of ``data`` and its length, or None while more bytes are needed (section 2.2).

    :raises BadHeader: as soon as ``data`` cannot become a header.
    """
    _check_fixed(data[:_FIXED])
    if len(data) < _FIXED:
        return None
    total = _FIXED + int.from_bytes(data[14:_FIXED], "big")
    data = data[:total]
    command, family = data[12], data[13]
    tlvs = _NO_TLVS
    if command == _PROXY and family in _BLOCKS:
        # Before the header is complete, to refuse a malformed TLV as soon as it can be seen.
        tlvs = _tlvs(data, _FIXED + _BLOCKS[family].size, total)
    if len(data) < total:
        return None
    if command == _LOCAL:
        # Section 2.2 wants the rest of such a header discarded.
        return Header(2, None, None, True), total
    if family in _BLOCKS:
        return Header(2, *_ends(family, data), False, *tlvs), total
    # If only the family or only the protocol is UNSPEC, the addresses have no known length: no TLV can be found.
    return Header(2, None, None, False, *(_unspec_tlvs(data) if family == _UNSPEC else _NO_TLVS)), total


def encode(
    source: Endpoint, destination: Endpoint, tlvs: Iterable[tuple[int, bytes]], has_checksum: bool = False
) -> bytes:
    """The block for a connection from ``source`` to ``destination`` (section 2.2).

    :param has_checksum: append a CRC32C (section 2.2.3).
    :raises BadHeader: if an address, a port, a path or a TLV is not valid, or the header exceeds :data:`LIMIT`.
    """
    family, addresses = _addresses(source, destination)
    block = addresses + b"".join(_tlv(kind, value) for kind, value in tlvs)
    if has_checksum:
        block += _CHECKSUM + _ZERO
    if _FIXED + len(block) > LIMIT:
        raise BadHeader(f"v2: the header would have {_FIXED + len(block)} bytes, more than {LIMIT}")
    # Unknown ends are sent as LOCAL.  PROXY with UNSPEC would be exact, but HAProxy refuses it, and sends LOCAL itself.
    command = _LOCAL if family == _UNSPEC else _PROXY
    data = SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block
    return data[:-4] + tlv.crc32c(data).to_bytes(4, "big") if has_checksum else data


def _check_fixed(head: bytes) -> None:
    """Check the first 16 bytes, as far as they have come."""
    if len(head) > 12 and head[12] not in (_LOCAL, _PROXY):
        raise BadHeader(f"v2: version and command {head[12]:#04x} are neither LOCAL (0x20) nor PROXY (0x21)")
    proxy = head[12:13] == bytes([_PROXY])
    if len(head) > 13 and proxy:
        _check_family(head[13])
    if len(head) > 14:
        # A second byte that has not come is read as 0, for the least possible size.
        size = int.from_bytes(head[14:].ljust(2, b"\0"), "big")
        if _FIXED + size > LIMIT:
            raise BadHeader(f"v2: the header has at least {_FIXED + size} bytes, more than {LIMIT}")
        if len(head) == _FIXED and proxy and head[13] in _BLOCKS and size < _BLOCKS[head[13]].size:
            raise BadHeader(f"v2: {size} bytes are too few for addresses of the family {head[13]:#04x}")


def _check_family(family: int) -> None:
    """Check the 14th byte of a PROXY command."""
    if family >> 4 > _UNIX >> 4 or family & 0x0F > _DGRAM:
        raise BadHeader(f"v2: address family and protocol {family:#04x} are not specified")
    # A receiver may treat as UNSPEC what it does not support, and may reject UNSPEC.  Datagrams are rejected: they
    # cannot be relayed as a stream.
    if family & 0x0F == _DGRAM:
        raise BadHeader(f"v2: the protocol {family:#04x} is one of datagrams, not a stream")


def _ends(family: int, data: bytes) -> tuple[Endpoint, Endpoint]:
    fields = _BLOCKS[family].unpack_from(data, _FIXED)
    if family == _UNIX:
        return _path(fields[0]), _path(fields[1])
    source, destination = (address_text(ipaddress.ip_address(packed)) for packed in fields[:2])
    return (source, fields[2]), (destination, fields[3])


def _path(field: bytes) -> str:
    return _trimmed(field).decode("utf-8", "surrogateescape")


def _trimmed(field: bytes) -> bytes:
    """The name in a ``sun_path``: up to the first NUL, or, of an abstract socket, without the NULs at its end."""
    return field.rstrip(b"\0") if field.startswith(b"\0") else field.partition(b"\0")[0]


def _tlvs(data: bytes, at: int, end: int) -> _Tlvs:
    """The TLVs from ``at`` to ``end``, as far as ``data`` reaches, without NOOP and CRC32C, which are used up here."""
    kept = []
    checksum = None
    for kind, start, length in tlv.walk(data, at, end):
        tlv.check(kind, data, start, length)
        if kind == tlv.CRC32C:
            if checksum is not None:
                raise BadHeader("v2: there are two checksums")
            checksum = start
        elif kind != tlv.NOOP:
            kept.append((kind, data[start : start + length]))
    if checksum is not None and len(data) == end:
        _verify(data, checksum)
    return tuple(kept), checksum is not None


def _verify(data: bytes, at: int) -> None:
    """Verify the checksum at ``at`` (section 2.2.3).

    :raises BadHeader: if it is wrong.
    """
    if tlv.crc32c(data[:at] + _ZERO + data[at + 4 :]) != int.from_bytes(data[at : at + 4], "big"):
        raise BadHeader("v2: the checksum is wrong")


def _unspec_tlvs(data: bytes) -> _Tlvs:
    """The TLVs of a header with AF_UNSPEC, which has no addresses.

    Addresses that are there all the same are to be ignored, not refused.  So the bytes are read as TLVs only if they
    are TLVs from the first to the last.
    """
    try:
        for _ in tlv.walk(data, _FIXED, len(data)):
            pass
    except BadHeader:
        return _NO_TLVS
    return _tlvs(data, _FIXED, len(data))


def _addresses(source: Endpoint, destination: Endpoint) -> tuple[int, bytes]:
    """The 14th byte of the header, and the address block."""
    if isinstance(source, str) and isinstance(destination, str):
        return _UNIX, _BLOCKS[_UNIX].pack(_sun_path(source), _sun_path(destination))
    ends = inet_ends(source, destination)
    if ends is None:
        return _UNSPEC, b""
    (first, first_port), (second, second_port) = ends
    family = _TCP4 if first.version == 4 else _TCP6
    return family, _BLOCKS[family].pack(first.packed, second.packed, first_port, second_port)


def _sun_path(path: str) -> bytes:
    try:
        field = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadHeader(f"{path!r:.60} is not the path of a Unix socket") from None
    if len(field) > _PATH_LIMIT or field != _trimmed(field):
        raise BadHeader(f"{path!r:.60} is not the path of a Unix socket, of at most {_PATH_LIMIT} bytes")
    return field


def _tlv(kind: int, value: bytes) -> bytes:
    if not 0 <= kind <= 0xFF or len(value) > 0xFFFF:
        raise BadHeader(f"v2: {kind!r:.20} with {len(value)} bytes is not a TLV: its type has 8 bits, its length 16")
    if kind == tlv.CRC32C:
        raise BadHeader("v2: a checksum belongs to one header and cannot be put into another")
    tlv.check(kind, value, 0, len(value))
    return struct.pack("!BH", kind, len(value)) + value

"""Minecraft, Java edition: the handshake, and the ping of versions before 1.7 (wiki.vg, "Handshaking" and "Server List
Ping", now on minecraft.wiki)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NeedData
from proxymux.sniff.fields import Fields, Malformed, read

#: The most bytes of the address: 255 UTF-16 units, of three bytes each in UTF-8.
_ADDRESS_LIMIT: Final = 3 * 255
#: Bytes of what stands beside it in the longest handshake: packet id, protocol version, length; port, next state.
_BESIDE: Final = 1 + 5 + 2 + 3
#: Bytes from which on the answer is never NEED_DATA.
LIMIT: Final = 2 + _BESIDE + _ADDRESS_LIMIT
_SHORTEST: Final = 1 + 1 + 1 + 3
#: Status, login, and transfer from another server.
_STATES: Final = (b"\1", b"\2", b"\3")

_OLD_PING: Final = b"\xfe\1\xfa" + b"\0\x0b" + "MC|PingHost".encode("utf-16-be")
_OLD_HOST_LIMIT: Final = 255
_OLD_LIMIT: Final = len(_OLD_PING) + 2 + 1 + 2 + 2 * _OLD_HOST_LIMIT + 4


@dataclass(frozen=True, slots=True)
class Minecraft:
    """What a Minecraft client says first.

    :param host: the host name that the player has typed, or the one that its SRV record leads to: in lower case,
        without a dot at its end and without what mods append.
    :param port: likewise.
    :param next_state: 1 asks for the server's status, 2 logs in, 3 logs in after a transfer from another server.
    :param protocol: the protocol version: 47 is Minecraft 1.8; -1 of programs that only ask for the status.
    :param suffix: what follows the host name, from its first NUL on: ``\\0FML\\0``, ``\\0FML2\\0``, ``\\0FML3\\0`` or
        ``\\0FORGE`` of Forge, addresses of BungeeCord; or empty.
    :param is_old: True for the ping of versions before 1.7, which later ones send when the new one fails.
    """

    host: str
    port: int
    next_state: int
    protocol: int
    suffix: str = ""
    is_old: bool = False


def minecraft(data: bytes) -> Minecraft | NeedData | None:
    """The handshake or the old ping that ``data`` begins with.

    Versions before 1.6 ping with ``FE`` or ``FE 01`` alone, without a host name.  That may still become a handshake or
    the ping of 1.6: it stays NEED_DATA, until ``--decide-timeout`` closes it or the router decides by itself.
    """
    if data.startswith(_OLD_PING[:3]):
        return read(_old_ping, data, _OLD_LIMIT)
    return read(_handshake, data, LIMIT)


def _handshake(fields: Fields) -> Minecraft:
    length = fields.varint(2)
    if not _SHORTEST <= length <= _BESIDE + _ADDRESS_LIMIT:
        raise Malformed
    fields.within(length)
    fields.choice(b"\0")
    protocol = fields.varint(min(5, fields.left - 1 - 3))
    if protocol >> 32:
        raise Malformed
    # The packet's length says how long the address is, so that a wrong length is known at its first byte.
    lengths = {_varint(fields.left - count - 3, count): fields.left - count - 3 for count in (1, 2)}
    size = lengths[fields.choice(*(each for each in lengths if each))]
    host, suffix = _host(fields.text(size))
    port = fields.number(2)
    state = fields.choice(*_STATES)
    return Minecraft(host, port, state[0], protocol - (protocol >> 31 << 32), suffix)


def _varint(value: int, count: int) -> bytes:
    """The varint of ``count`` bytes, one or two, for the length of an address; empty if there is none."""
    if not 0 <= value <= min(_ADDRESS_LIMIT, 128**count - 1):
        return b""
    return bytes([value]) if count == 1 else bytes([value & 0x7F | 0x80, value >> 7])


def _old_ping(fields: Fields) -> Minecraft:
    fields.choice(_OLD_PING)
    rest, protocol, size = fields.number(2), fields.number(1), fields.number(2)
    if size > _OLD_HOST_LIMIT or rest != 7 + 2 * size:
        raise Malformed
    try:
        host, suffix = _host(fields.take(2 * size).decode("utf-16-be"))
    except UnicodeDecodeError:
        raise Malformed from None
    fields.choice(b"\0\0")  # the port has four bytes
    return Minecraft(host, fields.number(2), 1, protocol, suffix, True)


def _host(address: str) -> tuple[str, str]:
    host, nul, more = address.partition("\0")
    return host.removesuffix(".").lower(), nul + more

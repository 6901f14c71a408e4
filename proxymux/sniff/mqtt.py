"""MQTT: the CONNECT packet (OASIS MQTT 3.1.1 section 3.1, MQTT 5.0 section 3.1; IBM's MQTT V3.1 section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from proxymux.core.decision import NeedData
from proxymux.sniff.fields import Fields, Malformed, read

Version = Literal["3.1", "3.1.1", "5.0"]

#: The most bytes up to the end of the user name.  Before it may stand a will message of up to 65535 bytes, and, in 5.0,
#: properties without a limit.
LIMIT: Final = 65536
#: Bytes after the level in the shortest packet: flags, keep alive, the length of the client id; of 5.0 also that of the
#: properties.
_AFTER_LEVEL: Final[dict[Version, int]] = {"3.1": 5, "3.1.1": 5, "5.0": 6}
#: Protocol name and level.  Mosquitto sets the high bit of the level where it connects as a bridge.
_VERSIONS: Final[dict[bytes, Version]] = {
    b"\0\6MQIsdp\x03": "3.1",
    b"\0\6MQIsdp\x83": "3.1",
    b"\0\4MQTT\x04": "3.1.1",
    b"\0\4MQTT\x84": "3.1.1",
    b"\0\4MQTT\x05": "5.0",
}
# The connect flags, MQTT 3.1.1 section 3.1.2.3.
_RESERVED: Final = 0x01
_WILL: Final = 0x04
_WILL_DETAILS: Final = 0x38
_QOS: Final = 0x18
_PASSWORD: Final = 0x40
_USER_NAME: Final = 0x80


@dataclass(frozen=True, slots=True)
class Mqtt:
    """What an MQTT client says first.

    :param version: ``3.1``, ``3.1.1`` or ``5.0``.
    :param client_id: empty if the server is to choose one.
    :param user: the user name; None if there is none.
    """

    version: Version
    client_id: str
    user: str | None = None


def mqtt(data: bytes) -> Mqtt | NeedData | None:
    """The CONNECT packet that ``data`` begins with, read up to the user name.

    For MQTT over WebSocket see :attr:`HttpRequest.is_websocket`.
    """
    return read(_connect, data, LIMIT)


def _connect(fields: Fields) -> Mqtt:
    fields.choice(b"\x10")
    length = fields.varint(4)
    fields.within(length)
    fitting = [start for start, version in _VERSIONS.items() if len(start) + _AFTER_LEVEL[version] <= fields.left]
    version = _VERSIONS[fields.choice(*fitting)]
    flags = fields.number(1)
    _check(flags, version)
    # How many bytes at least the fields after the client id have, so that a wrong length is known at once.
    properties = 1 if version == "5.0" else 0
    user_name, password = (2 if flags & flag else 0 for flag in (_USER_NAME, _PASSWORD))
    will = properties + 2 + 2 if flags & _WILL else 0
    if fields.left < 2 + properties + 2 + will + user_name + password:
        raise Malformed
    fields.take(2)  # keep alive
    if properties:
        fields.take(fields.varint(4, 2 + will + user_name + password))
    client_id = _text(fields, will + user_name + password)
    if not user_name:
        return Mqtt(version, client_id)
    if will:
        if properties:
            fields.take(fields.varint(4, 2 + 2 + user_name + password))
        fields.take(fields.length(2, 2 + user_name + password))  # the topic
        fields.take(fields.length(2, user_name + password))  # the message
    return Mqtt(version, client_id, _text(fields, password))


def _check(flags: int, version: Version) -> None:
    if flags & _RESERVED or flags & _QOS == _QOS or (flags & _WILL_DETAILS and not flags & _WILL):
        raise Malformed
    if flags & _PASSWORD and not flags & _USER_NAME and version != "5.0":
        raise Malformed


def _text(fields: Fields, room: int) -> str:
    """Read a text, which must be good UTF-8 and without U+0000 (MQTT 3.1.1 section 1.5.3).

    :param room: bytes of the packet that must be left after it.
    """
    size = fields.length(2, room)
    if b"\0" in fields.begun[:size]:
        raise Malformed
    return fields.text(size)

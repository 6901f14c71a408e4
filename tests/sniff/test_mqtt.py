from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux import NEED_DATA
from proxymux.sniff import Mqtt, mqtt
from proxymux.sniff.mqtt import LIMIT, Version
from tests.sniff.checks import answers, is_read, is_refused, milliseconds

#: OASIS MQTT 3.1.1, figure 3.6: the variable header of a CONNECT packet with user name, password and a will.
FIGURE_3_6 = bytes.fromhex("00044d515454" + "04" + "ce" + "000a")
#: OASIS MQTT 5.0, figure 3.6: the same, and the property Session Expiry Interval.
FIGURE_3_6_OF_5 = bytes.fromhex("00044d515454" + "05" + "ce" + "000a" + "05" + "110000000a")
#: IBM's MQTT V3.1, section 3.1: the same in that version.
SECTION_3_1_OF_31 = bytes.fromhex("00064d514973647003" + "ce" + "000a")


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(2, "big") + data


def varint(value: int) -> bytes:
    """A variable byte integer, by the algorithm of MQTT 3.1.1 section 2.2.3."""
    encoded = bytearray()
    while True:
        value, byte = divmod(value, 128)
        encoded.append(byte | 0x80 if value else byte)
        if not value:
            return bytes(encoded)


def packet(body: bytes) -> bytes:
    return b"\x10" + varint(len(body)) + body


def connect(name: bytes, level: int, flags: int, *payload: bytes) -> bytes:
    return packet(text(name) + bytes([level, flags]) + b"\0\x3c" + b"".join(payload))


#: As mosquitto_pub 2.0 sends it: clean session, an empty client id.
MOSQUITTO = bytes.fromhex("100c00044d5154540402003c0000")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (MOSQUITTO, Mqtt("3.1.1", "")),
        (connect(b"MQTT", 4, 0x02, text("sensor-7")), Mqtt("3.1.1", "sensor-7")),
        (connect(b"MQTT", 5, 0x02, b"\0", text("sensor-7")), Mqtt("5.0", "sensor-7")),
        (connect(b"MQTT", 5, 0x02, b"\5\x11\0\0\0\x0a", text("s")), Mqtt("5.0", "s")),
        (connect(b"MQIsdp", 3, 0x02, text("paho123")), Mqtt("3.1", "paho123")),
        (connect(b"MQTT", 4, 0x82, text("s"), text("alice")), Mqtt("3.1.1", "s", "alice")),
        (connect(b"MQTT", 4, 0x82, text("s"), text("")), Mqtt("3.1.1", "s", "")),
        (connect(b"MQTT", 4, 0x82, text("s"), text("A\u0300\U0002a6d4")), Mqtt("3.1.1", "s", "A\u0300\U0002a6d4")),
        (connect(b"MQTT", 0x84, 0x00, text("bridge")), Mqtt("3.1.1", "bridge")),
        (connect(b"MQIsdp", 0x83, 0x00, text("bridge")), Mqtt("3.1", "bridge")),
    ],
)
def test_what_clients_send_is_read(data: bytes, value: Mqtt) -> None:
    is_read(mqtt, data, value)


@pytest.mark.parametrize(
    ("begun", "value"),
    [
        (FIGURE_3_6 + text("c") + text("t") + text(b"\0\xff") + text("alice"), Mqtt("3.1.1", "c", "alice")),
        (
            FIGURE_3_6_OF_5 + text("c") + b"\2\x01\x01" + text("t") + text("m") + text("alice"),
            Mqtt("5.0", "c", "alice"),
        ),
        (SECTION_3_1_OF_31 + text("c") + text("t") + text("m") + text("alice"), Mqtt("3.1", "c", "alice")),
    ],
    ids=["3.1.1", "5.0", "3.1"],
)
def test_the_examples_of_the_specifications_are_read_before_the_password_comes(begun: bytes, value: Mqtt) -> None:
    password = text("a password of some length")
    is_read(mqtt, packet(begun + password).removesuffix(password), value)


def test_properties_and_a_will_are_passed_over_whatever_is_in_them() -> None:
    """MQTT 5.0: the client's properties, the will's, its topic and its message."""
    data = connect(
        b"MQTT",
        5,
        0xC6,
        varint(200) + b"\xff" * 200,
        text("c"),
        varint(3) + b"xyz",
        text("t"),
        text(b"\xff" * 300),
        text("u"),
        text("p"),
    )
    assert mqtt(data[:-3]) == Mqtt("5.0", "c", "u")
    assert mqtt(data[:-4]) is NEED_DATA


def test_a_client_without_a_user_name_need_not_send_its_will() -> None:
    data = connect(b"MQTT", 4, 0x06, text("c"), text("t"), text("m"))
    assert mqtt(data[: -len(text("t") + text("m"))]) == Mqtt("3.1.1", "c")


def test_in_5_0_there_may_be_a_password_without_a_user_name() -> None:
    """MQTT 5.0 section 3.1.2.9; 3.1.1 forbids it (3.1.2.9)."""
    assert mqtt(connect(b"MQTT", 5, 0x42, b"\0", text("c"), text("token"))) == Mqtt("5.0", "c")


START = b"\x10\x20\0\4MQTT\4"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\0", id="NUL"),
        pytest.param(b"\x11", id="CONNECT with flags"),
        pytest.param(b"\x20", id="another packet"),
        pytest.param(b"\x10\x0b", id="too short a packet"),
        pytest.param(b"\x10\x8b\x00", id="too short a packet, in two bytes"),
        pytest.param(b"\x10\xff\xff\xff\x80", id="a length of five bytes"),
        pytest.param(b"\x10\x20\1", id="a long protocol name"),
        pytest.param(b"\x10\x20\0\5", id="a protocol name of 5"),
        pytest.param(b"\x10\x20\0\4MQTX", id="another protocol name"),
        pytest.param(b"\x10\x20\0\4MQI", id="an old name that is too short"),
        pytest.param(b"\x10\x20\0\4MQTT\3", id="level 3 of MQTT"),
        pytest.param(b"\x10\x20\0\4MQTT\6", id="level 6"),
        pytest.param(b"\x10\x20\0\6MQIsdp\4", id="level 4 of MQIsdp"),
        pytest.param(START + b"\3", id="the reserved flag"),
        pytest.param(START + b"\x1e", id="QoS 3"),
        pytest.param(START + b"\x0a", id="QoS without a will"),
        pytest.param(START + b"\x22", id="retain without a will"),
        pytest.param(START + b"\x42", id="a password without a user name"),
        pytest.param(START + b"\x02\0\x3c\1", id="a client id beyond the packet"),
        pytest.param(START + b"\x02\0\x3c\0\2\xc3\x28", id="bad UTF-8"),
        pytest.param(START + b"\x02\0\x3c\0\3\xed\xa0\x80", id="a surrogate"),
        pytest.param(START + b"\x02\0\x3c\0\4a\0", id="U+0000"),
        pytest.param(START + b"\x82\0\x3c\0\1c\0\x20", id="a user name beyond the packet"),
        pytest.param(b"\x10\x20\0\4MQTT\5\2\0\x3c\x20", id="properties beyond the packet"),
        pytest.param(b"\x10\x20\0\4MQTT\5\2\0\x3c\xff", id="properties beyond the packet, in two bytes"),
        pytest.param(b"\x10\xff\xff\x7f\0\4MQTT\5\2\0\x3c\xff\xff\xff", id="properties beyond the limit"),
        pytest.param(START + b"\xc2\0\x3c\0\x11", id="no room for user name and password"),
        pytest.param(b"\x10\x0f\0\4MQTT\4\xc2", id="no room for a password"),
        pytest.param(b"\x10\x0f\0\4MQTT\4\x06", id="no room for a will"),
        pytest.param(b"\x10\x0d\0\6", id="no room for a client id"),
    ],
)
def test_what_is_not_mqtt_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(mqtt, data)


def will(size: int) -> bytes:
    return connect(b"MQTT", 4, 0x86, text("c"), text("t"), text(b"x" * size), text("alice"))


def test_the_user_name_must_end_within_the_limit() -> None:
    size = LIMIT - len(will(60000)) + 60000
    assert len(will(size)) == LIMIT == 65536
    is_whole = will(size)
    assert mqtt(is_whole[:-1]) is NEED_DATA
    assert mqtt(is_whole) == Mqtt("3.1.1", "c", "alice")
    larger = will(size + 1)
    assert mqtt(larger) is None
    assert mqtt(larger[:-5]) is None, "the length of the user name says so"


def test_a_packet_may_be_longer_than_what_is_read_of_it() -> None:
    start = b"\x10\xff\xff\xff\x7f" + text(b"MQTT") + b"\4\x06\0\x3c"
    assert mqtt(start + text("c")) == Mqtt("3.1.1", "c")


@pytest.mark.parametrize("data", [will(65000)[:-1], b"\x10\xff\xff\x03\0\4MQTT\5\2\0\x3c\xff\xff\x02" + bytes(49000)])
def test_no_answer_takes_long(data: bytes) -> None:
    assert mqtt(data) is NEED_DATA
    assert milliseconds(mqtt, data) < 1


NAMES: dict[Version, tuple[bytes, int]] = {"3.1": (b"MQIsdp", 3), "3.1.1": (b"MQTT", 4), "5.0": (b"MQTT", 5)}
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


@settings(max_examples=200, deadline=None)
@given(
    version=st.sampled_from(sorted(NAMES)),
    client_id=TEXT,
    user_name=st.none() | TEXT,
    password=st.none() | st.binary(max_size=20),
    last_will=st.none() | st.tuples(TEXT, st.binary(max_size=200), st.sampled_from([0, 0x08, 0x10, 0x28])),
    properties=st.binary(max_size=200),
    clean=st.booleans(),
)
def test_whatever_is_put_into_a_packet_is_read_from_it(
    version: Version,
    client_id: str,
    user_name: str | None,
    password: bytes | None,
    last_will: tuple[str, bytes, int] | None,
    properties: bytes,
    clean: bool,
) -> None:
    name, level = NAMES[version]
    flags = 2 * clean
    payload = [varint(len(properties)) + properties] if version == "5.0" else []
    payload.append(text(client_id))
    if last_will is not None:
        topic, message, details = last_will
        flags |= 0x04 | details
        payload += [varint(len(properties)) + properties] if version == "5.0" else []
        payload += [text(topic), text(message)]
    if user_name is not None:
        flags |= 0x80
        payload.append(text(user_name))
    if password is not None and (user_name is not None or version == "5.0"):
        flags |= 0x40
        payload.append(text(password))
    data = connect(name, level, flags, *payload)
    found = answers(mqtt, data)
    value = Mqtt(version, client_id, user_name)
    needed = found.count(NEED_DATA)
    assert found == [NEED_DATA] * needed + [value] * (len(data) + 1 - needed)


def test_the_parts_have_these_names() -> None:
    found = mqtt(will(0))
    assert isinstance(found, Mqtt)
    assert (found.version, found.client_id, found.user) == ("3.1.1", "c", "alice")

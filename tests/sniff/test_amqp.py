from __future__ import annotations

import pytest

from proxymux.sniff import Amqp, amqp
from tests.sniff.checks import is_read, is_refused


@pytest.mark.parametrize(
    ("data", "value"),
    [
        # AMQP 0-9-1 section 4.2.2: the literal, %d0.0.9.1.
        (b"AMQP\x00\x00\x09\x01", Amqp("0.9.1")),
        # OASIS AMQP 1.0 part 2 section 2.2; part 5 sections 5.2 (TLS) and 5.3 (SASL).
        (b"AMQP\x00\x01\x00\x00", Amqp("1.0.0")),
        (b"AMQP\x02\x01\x00\x00", Amqp("1.0.0", "tls")),
        (b"AMQP\x03\x01\x00\x00", Amqp("1.0.0", "sasl")),
        # AMQP 0-10 section 4.3, 0-9 and 0-8 section 4.2.2: class 1, instance 1, major, minor.
        (b"AMQP\x01\x01\x00\x0a", Amqp("0.10")),
        (b"AMQP\x01\x01\x00\x09", Amqp("0.9")),
        (b"AMQP\x01\x01\x08\x00", Amqp("8.0")),
        # A version that there is not yet: the server answers with one that it has.
        (b"AMQP\x00\x02\x00\x00", Amqp("2.0.0")),
        (b"AMQP\x00\xff\xff\xff", Amqp("255.255.255")),
    ],
)
def test_the_headers_of_the_specifications_are_read(data: bytes, value: Amqp) -> None:
    is_read(amqp, data, value)


@pytest.mark.parametrize("data", [b"\0", b"a", b"AMQp", b"AMQQ", b"AMQP\4", b"AMQP ", b"AMQP0", b"AMQP\xff"])
def test_what_is_not_amqp_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(amqp, data)

"""AMQP: the protocol header (AMQP 0-9-1 section 4.2.2; OASIS AMQP 1.0 section 2.2, for TLS and SASL its part 5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from proxymux.core.decision import NeedData
from proxymux.sniff.fields import Fields, read

Layer = Literal["amqp", "tls", "sasl"]

#: Bytes of the header.
LIMIT: Final = 8
_LAYERS: Final[dict[bytes, Layer]] = {b"AMQP\0": "amqp", b"AMQP\1": "amqp", b"AMQP\2": "tls", b"AMQP\3": "sasl"}


@dataclass(frozen=True, slots=True)
class Amqp:
    """The protocol header of an AMQP client.

    :param version: ``0.9.1`` of RabbitMQ's own protocol, ``1.0.0`` of AMQP 1.0; ``0.10``, ``0.9`` and, as it is sent,
        ``8.0`` of older ones.  Whether there is such a version is for the server to say.
    :param layer: ``amqp``; in AMQP 1.0 also ``tls`` or ``sasl``, which are negotiated before it.
    """

    version: str
    layer: Layer = "amqp"


def amqp(data: bytes) -> Amqp | NeedData | None:
    """The protocol header that ``data`` begins with."""
    return read(_header, data, LIMIT)


def _header(fields: Fields) -> Amqp:
    start = fields.choice(*_LAYERS)
    # Before 0-9-1: class and instance of the protocol, both 1, and major and minor.
    numbers = fields.take(3)[1:] if start == b"AMQP\1" else fields.take(3)
    return Amqp(".".join(map(str, numbers)), _LAYERS[start])

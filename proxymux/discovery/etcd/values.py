"""Values in the messages of etcd's JSON gateway: bytes are base64, and numbers of 64 bits are texts."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from proxymux.errors import EtcdError


def end_of(prefix: bytes) -> bytes:
    """The first key behind all that begin with ``prefix``; a zero byte, which stands for no end, if there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else b"\0"


def encoded(data: bytes) -> str:
    """Bytes as the gateway takes them."""
    return base64.b64encode(data).decode("ascii")


def decoded(value: object) -> bytes:
    """Bytes as the gateway gives them; it leaves out what is empty.

    :raises EtcdError: if it is something else.
    """
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        raise EtcdError("a key or a value in etcd's answer is not base64", is_unsure=True) from None


def number(message: object, name: str) -> int:
    """A number of a message: the gateway writes those of 64 bits as texts, and leaves out a zero."""
    value = message.get(name, 0) if isinstance(message, Mapping) else 0
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0

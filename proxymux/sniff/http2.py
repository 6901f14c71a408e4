"""HTTP/2 without TLS: the preface (RFC 9113 section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NeedData
from proxymux.sniff.fields import Fields, read

#: What every HTTP/2 client sends first, gRPC's among them; a SETTINGS frame follows.
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Http2Preface:
    """The preface of an HTTP/2 client that knows beforehand that the server speaks HTTP/2.

    It says nothing of a host: that is in a compressed header of a later frame.

    :param length: bytes of the preface.
    """

    length: int = len(PREFACE)


def http2_preface(data: bytes) -> Http2Preface | NeedData | None:
    """The preface that ``data`` begins with.  :func:`http_request` takes it for a request with the method PRI."""
    return read(_preface, data, len(PREFACE))


def _preface(fields: Fields) -> Http2Preface:
    fields.choice(PREFACE)
    return Http2Preface()

from __future__ import annotations

import pytest

from proxymux.sniff import Http2Preface, HttpRequest, http2_preface, http_request
from tests.sniff.checks import is_read, is_refused

#: RFC 9113 section 3.4, in hexadecimal digits as it stands there.
PREFACE = bytes.fromhex("505249202a20485454502f322e300d0a0d0a534d0d0a0d0a")


def test_the_preface_of_the_rfc_is_read() -> None:
    is_read(http2_preface, PREFACE, Http2Preface(24))


def test_the_settings_that_follow_are_not_looked_at() -> None:
    assert http2_preface(PREFACE + bytes.fromhex("000000040000000000")) == Http2Preface(24)


@pytest.mark.parametrize("length", range(24))
def test_a_wrong_byte_is_known_at_once(length: int) -> None:
    is_refused(http2_preface, PREFACE[:length] + b"\0")


def test_it_is_a_request_for_http_request_too() -> None:
    assert http_request(PREFACE) == HttpRequest("PRI", "*", "2.0")
    assert http2_preface(b"PRI * HTTP/1.1\r\n\r\n") is None

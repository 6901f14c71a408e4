"""What the TLVs of a header say."""

from __future__ import annotations

import pytest

from proxymux.core.proxy_protocol import Header, Ssl
from proxymux.core.proxy_protocol.tlv import crc32c
from proxymux.errors import BadHeader
from tests.core.proxy_protocol.vectors import PLAIN1, SSL_VALUE


def test_crc32c() -> None:
    """The check value of the catalogue of CRCs, and the vectors of RFC 3720, appendix B.4."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"\0" * 32) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_properties() -> None:
    header = Header(
        2, None, None, False, ((2, b"b\xc3\xbccher.example"), (1, b"h2"), (5, b"\xff"), (0x30, b"blue"), (1, b"x"))
    )
    assert (header.alpn, header.authority, header.unique_id, header.netns) == (b"h2", "bücher.example", b"\xff", "blue")
    assert header.ssl is None


def test_properties_without_tlvs() -> None:
    assert (PLAIN1.alpn, PLAIN1.authority, PLAIN1.unique_id, PLAIN1.netns, PLAIN1.ssl) == (None,) * 5


def test_text_that_is_not_utf8() -> None:
    assert Header(2, None, None, False, ((2, b"a\xff.example"),)).authority == "a\\xff.example"


def test_ssl() -> None:
    ssl = Header(2, None, None, False, ((0x20, SSL_VALUE),)).ssl
    assert ssl is not None
    assert (ssl.client, ssl.verify) == (7, 0)
    assert (ssl.secure, ssl.cert_conn, ssl.cert_sess, ssl.verified) == (True, True, True, True)
    assert (ssl.version, ssl.cn, ssl.cipher) == ("TLSv1.3", "example.com", "ECDHE-RSA-AES128-GCM-SHA256")
    assert (ssl.sig_alg, ssl.key_alg, ssl.group) == ("RSA-SHA256", "RSA2048", "secp256r1")
    assert (ssl.sig_scheme, ssl.client_cert) == ("rsa_pss_rsae_sha256", b"\x30\x03\x01")


@pytest.mark.parametrize(
    ("value", "secure", "verify", "verified"),
    [
        (b"\x00\x00\x00\x00\x00", False, 0, False),
        (b"\x01\x00\x00\x00\x00", True, 0, False),
        (b"\x03\x00\x00\x00\x00", True, 0, True),
        (b"\x05\x00\x00\x00\x00", True, 0, True),
        (b"\x07\x00\x00\x00\x14", True, 20, False),
        (b"\x07\xff\x00\x00\x00", True, 0xFF000000, False),
    ],
)
def test_ssl_flags(value: bytes, secure: bool, verify: int, verified: bool) -> None:
    ssl = Ssl.from_value(value)
    assert (ssl.secure, ssl.verify, ssl.verified) == (secure, verify, verified)
    assert (ssl.version, ssl.cn, ssl.client_cert, ssl.tlvs) == (None, None, None, ())


def test_malformed_ssl_in_a_header_made_by_hand() -> None:
    with pytest.raises(BadHeader):
        _ = Header(2, None, None, False, ((0x20, b"\0"),)).ssl

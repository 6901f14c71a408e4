from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux import NEED_DATA
from proxymux.sniff import Rdp, rdp
from proxymux.sniff.rdp import LIMIT
from tests.sniff.checks import answers, is_read, is_refused

#: MS-RDPBCGR section 4.1.1, the annotated dump of a Client X.224 Connection Request.
EXAMPLE = bytes.fromhex("0300002c27e00000000000436f6f6b69653a206d737473686173683d656c746f6e730d0a0100080000000000")
#: MSFT-SDLBTS, "Routing Token Format".
TOKEN = "Cookie: msts=3640205228.15629.0000"


def negotiation(protocols: int, flags: int = 0) -> bytes:
    """RDP_NEG_REQ, section 2.2.1.1.1."""
    return bytes([1, flags, 8, 0]) + protocols.to_bytes(4, "little")


def correlation() -> bytes:
    """RDP_NEG_CORRELATION_INFO, section 2.2.1.1.2."""
    return bytes([6, 0, 36, 0]) + bytes(range(1, 17)) + bytes(16)


def request(*parts: bytes, code: int = 0xE0, destination: int = 0, source: int = 0, options: int = 0) -> bytes:
    """TPKT, X.224 Connection Request, and what follows."""
    body = (
        bytes([code]) + destination.to_bytes(2, "big") + source.to_bytes(2, "big") + bytes([options]) + b"".join(parts)
    )
    return b"\3\0" + (5 + len(body)).to_bytes(2, "big") + bytes([len(body)]) + body


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (EXAMPLE, Rdp("eltons")),
        (request(b"Cookie: mstshash=ACME\\alic\r\n", negotiation(11)), Rdp("ACME\\alic", None, 11)),
        (request(b"Cookie: mstshash=\r\n", negotiation(1)), Rdp("", None, 1)),
        (request(b"Cookie: mstshash=j\xfcrgen\r\n"), Rdp("j\xfcrgen")),
        (request(f"{TOKEN}\r\n".encode(), negotiation(3)), Rdp(None, TOKEN, 3)),
        (
            request(b"tsv://MS Terminal Services Plugin.1.Farm\r\n"),
            Rdp(None, "tsv://MS Terminal Services Plugin.1.Farm"),
        ),
        (request(), Rdp()),
        (request(source=0x1234), Rdp()),
        (request(negotiation(0x10)), Rdp(None, None, 16)),
        (request(negotiation(0xFFFFFFFF)), Rdp(None, None, 0xFFFFFFFF)),
        (request(negotiation(3, 0x08), correlation()), Rdp(None, None, 3)),
        (request(b"Cookie: mstshash=a\r\n", negotiation(3, 0x0B), correlation()), Rdp("a", None, 3)),
        (request(b"x" * 246 + b"\r\n"), Rdp(None, "x" * 246)),
    ],
)
def test_what_clients_send_is_read(data: bytes, value: Rdp) -> None:
    assert len(data) <= LIMIT == 259
    is_read(rdp, data, value)


HEAD = request(b"x" * 40)[:11]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\0", id="NUL"),
        pytest.param(b"\2", id="TPKT 2"),
        pytest.param(b"\3\1", id="reserved"),
        pytest.param(b"\3\0\2", id="512 bytes"),
        pytest.param(b"\3\0\1\4", id="260 bytes"),
        pytest.param(b"\3\0\0\x0a", id="10 bytes"),
        pytest.param(b"\3\0\0\x0c", id="12 bytes: no text has one"),
        pytest.param(b"\3\0\0\x0d", id="13 bytes: CR LF alone"),
        pytest.param(b"\3\0\0\x0b\7", id="another length in X.224"),
        pytest.param(b"\3\0\0\x0b\6\xf0", id="data"),
        pytest.param(b"\3\0\0\x0b\6\xe1", id="credit"),
        pytest.param(b"\3\0\0\x0b\6\xe0\1", id="a destination"),
        pytest.param(b"\3\0\0\x0b\6\xe0\0\0\0\0\1", id="class options"),
        pytest.param(HEAD + b"\0", id="NUL in the text"),
        pytest.param(HEAD + b"\n", id="LF alone"),
        pytest.param(HEAD + b"\r", id="an empty text"),
        pytest.param(HEAD + b"a" * 38 + b"\r\r", id="CR CR"),
        pytest.param(HEAD + b"a" * 30 + b"\rb", id="CR in the text"),
        pytest.param(HEAD + b"x" * 39, id="no room for CR LF"),
        pytest.param(HEAD + b"x\r", id="room for no request and no correlation"),
        pytest.param(HEAD + b"x" * 30 + b"\r\n\2", id="no negotiation request"),
        pytest.param(HEAD + b"x" * 30 + b"\r\n\1\x08", id="correlation info announced without room"),
        pytest.param(HEAD + b"x" * 30 + b"\r\n\1\0\x09", id="another length of the request"),
        pytest.param(request(negotiation(3), correlation())[:13], id="correlation info not announced"),
        pytest.param(request(negotiation(3, 8), b"\7")[:12] + b"", id="room for one byte only"),
        pytest.param(request(negotiation(3, 8), correlation())[:19] + b"\7", id="other info"),
    ],
)
def test_what_is_not_rdp_is_known_at_the_byte_that_shows_it(data: bytes) -> None:
    is_refused(rdp, data)


IDENTIFIER = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)


@settings(max_examples=200, deadline=None)
@given(st.none() | IDENTIFIER, st.none() | st.integers(0, 2**32 - 1), st.booleans(), st.integers(0, 65535))
def test_whatever_is_put_into_a_request_is_read_from_it(
    identifier: str | None, protocols: int | None, correlated: bool, source: int
) -> None:
    parts = [] if identifier is None else [f"Cookie: mstshash={identifier}\r\n".encode()]
    if protocols is not None:
        parts.append(negotiation(protocols, 8 if correlated else 0))
        parts += [correlation()] if correlated else []
    data = request(*parts, source=source)
    assert answers(rdp, data) == [NEED_DATA] * len(data) + [Rdp(identifier, None, protocols or 0)]

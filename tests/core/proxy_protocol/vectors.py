"""Vectors of the PROXY protocol, written by hand or taken from other implementations."""

from __future__ import annotations

from typing import Any

from proxymux.core.proxy_protocol import Header, parse
from proxymux.errors import BadHeader

SIG = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
TCP4 = b"\x7f\x00\x00\x01\x0a\x00\x00\x02\x1f\x90\x01\xbb"
TCP6 = b"\x20\x01\x0d\xb8" + b"\0" * 11 + b"\x01" + b"\0" * 15 + b"\x01" + b"\xff\xff\x00\x00"
UNIX = b"/run/a.sock" + b"\0" * 97 + b"/b" + b"\0" * 106
LONGEST_PATH = b"/" + b"p" * 107

FROM4, TO4 = ("127.0.0.1", 8080), ("10.0.0.2", 443)
FROM6, TO6 = ("2001:db8::1", 65535), ("::1", 0)
PLAIN1 = Header(1, None, None, False)
PLAIN2 = Header(2, None, None, False)
LOCAL = Header(2, None, None, True)


def v1(source: str, source_port: int, destination: str, destination_port: int) -> Header:
    return Header(1, (source, source_port), (destination, destination_port), False)


#: 122 bytes of SSL in 125 bytes of TLV.
SSL_VALUE = (
    b"\x07\x00\x00\x00\x00"
    b"\x21\x00\x07TLSv1.3"
    b"\x22\x00\x0bexample.com"
    b"\x23\x00\x1bECDHE-RSA-AES128-GCM-SHA256"
    b"\x24\x00\x0aRSA-SHA256"
    b"\x25\x00\x07RSA2048"
    b"\x26\x00\x09secp256r1"
    b"\x27\x00\x13rsa_pss_rsae_sha256"
    b"\x28\x00\x03\x30\x03\x01"
)

#: What AWS PrivateLink sent: a VPC endpoint's ID, a checksum that is right and 36 bytes of NOOP.
AWS = bytes.fromhex(
    "0d0a0d0a000d0a515549540a21110054ac1f0771ac1f0a1fc8f20050030004e8d6892dea0017"
    "01767063652d3038643262663135666163353030316339"
    "040024000000000000000000000000000000000000000000000000000000000000000000000000"
)

VALID: dict[str, tuple[bytes, Header]] = {
    # --- version 1 ---
    "v1 the example of section 2.1": (
        b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        v1("192.168.0.1", 56324, "192.168.0.11", 443),
    ),
    "v1 the longest TCP4 line, 56 bytes": (
        b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
        v1("255.255.255.255", 65535, "255.255.255.255", 65535),
    ),
    "v1 the shortest TCP4 line": (b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", v1("0.0.0.0", 0, "0.0.0.0", 0)),
    "v1 the octets around each digit": (
        b"PROXY TCP4 9.10.99.100 199.200.249.250 9 10\r\n",
        v1("9.10.99.100", 9, "199.200.249.250", 10),
    ),
    "v1 the longest TCP6 line, 104 bytes": (
        b"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
        v1("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
    ),
    "v1 the shortest TCP6 line": (b"PROXY TCP6 :: :: 0 0\r\n", v1("::", 0, "::", 0)),
    "v1 TCP6 in capitals": (b"PROXY TCP6 2001:DB8::A ::1 1 2\r\n", v1("2001:db8::a", 1, "::1", 2)),
    "v1 TCP6 with zeroes in front of digits": (
        b"PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0001 ::0001 1 2\r\n",
        v1("2001:db8::1", 1, "::1", 2),
    ),
    "v1 TCP6 with :: in the middle, at the start and at the end": (
        b"PROXY TCP6 1:2::7:8 1:2:3:4:5:6:7:: 1 2\r\n",
        v1("1:2::7:8", 1, "1:2:3:4:5:6:7:0", 2),
    ),
    "v1 TCP6 with :: before seven groups": (
        b"PROXY TCP6 ::2:3:4:5:6:7:8 1::3:4:5:6:7:8 1 2\r\n",
        v1("0:2:3:4:5:6:7:8", 1, "1:0:3:4:5:6:7:8", 2),
    ),
    "v1 TCP6 with mapped addresses as HAProxy writes them": (
        b"PROXY TCP6 ::ffff:192.0.2.1 ::FFFF:192.0.2.2 1 2\r\n",
        v1("::ffff:192.0.2.1", 1, "::ffff:192.0.2.2", 2),
    ),
    "v1 TCP6 with mapped addresses in digits": (
        b"PROXY TCP6 ::ffff:c000:201 0:0:0:0:0:ffff:c000:0202 1 2\r\n",
        v1("::ffff:192.0.2.1", 1, "::ffff:192.0.2.2", 2),
    ),
    "v1 TCP6 with what inet_ntop() writes in ::/96": (
        b"PROXY TCP6 ::1.2.3.4 ::1 1 2\r\n",
        v1("::102:304", 1, "::1", 2),
    ),
    "v1 UNKNOWN alone (twisted closes)": (b"PROXY UNKNOWN\r\n", PLAIN1),
    "v1 UNKNOWN with one space (twisted closes if it comes alone)": (b"PROXY UNKNOWN \r\n", PLAIN1),
    "v1 UNKNOWN with addresses, the worst case of 107 bytes": (
        (
            b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
            b"65535 65535\r\n"
        ),
        PLAIN1,
    ),
    "v1 UNKNOWN with garbage": (b"PROXY UNKNOWN \xff\x00 anything  could go here \r\n", PLAIN1),
    "v1 UNKNOWN with CR and LF that are no CRLF": (b"PROXY UNKNOWN a\rb\nc\n\rd\r\r\n", PLAIN1),
    # --- version 2 ---
    "v2 TCP4": (SIG + b"\x21\x11\x00\x0c" + TCP4, Header(2, FROM4, TO4, False)),
    "v2 TCP6": (SIG + b"\x21\x21\x00\x24" + TCP6, Header(2, FROM6, TO6, False)),
    "v2 TCP6 with mapped addresses": (
        SIG + b"\x21\x21\x00\x24" + (b"\0" * 10 + b"\xff\xff\xc0\x00\x02\x01") * 2 + b"\x00\x01\x00\x02",
        Header(2, ("::ffff:192.0.2.1", 1), ("::ffff:192.0.2.1", 2), False),
    ),
    "v2 UNIX": (SIG + b"\x21\x31\x00\xd8" + UNIX, Header(2, "/run/a.sock", "/b", False)),
    "v2 UNIX with all 108 bytes used": (
        SIG + b"\x21\x31\x00\xd8" + LONGEST_PATH + LONGEST_PATH,
        Header(2, "/" + "p" * 107, "/" + "p" * 107, False),
    ),
    "v2 UNIX without a name, and an abstract one": (
        SIG + b"\x21\x31\x00\xd8" + b"\0" * 108 + b"\0abstract" + b"\0" * 99,
        Header(2, "", "\0abstract", False),
    ),
    "v2 UNIX with a path that is not UTF-8, and bytes that C left after the NUL": (
        SIG + b"\x21\x31\x00\xd8" + b"/\xff" + b"\0" * 106 + b"/b\0junk" + b"\0" * 101,
        Header(2, "/\udcff", "/b", False),
    ),
    "v2 UNIX with a TLV": (
        SIG + b"\x21\x31\x00\xdd" + UNIX + b"\x01\x00\x02h2",
        Header(2, "/run/a.sock", "/b", False, ((1, b"h2"),)),
    ),
    "v2 UNSPEC": (SIG + b"\x21\x00\x00\x00", PLAIN2),
    "v2 UNSPEC with a TLV": (SIG + b"\x21\x00\x00\x05\x05\x00\x02id", Header(2, None, None, False, ((5, b"id"),))),
    "v2 UNSPEC with addresses, which are to be ignored": (SIG + b"\x21\x00\x00\x0c" + TCP4, PLAIN2),
    "v2 UNSPEC family with STREAM (twisted's vector)": (SIG + b"\x21\x01\x00\x0c" + TCP4, PLAIN2),
    "v2 INET with UNSPEC protocol (twisted's vector)": (SIG + b"\x21\x10\x00\x0c" + TCP4, PLAIN2),
    "v2 INET6 with UNSPEC protocol (twisted's vector)": (SIG + b"\x21\x20\x00\x24" + TCP6, PLAIN2),
    "v2 UNIX with UNSPEC protocol (twisted's vector)": (SIG + b"\x21\x30\x00\xd8" + UNIX, PLAIN2),
    "v2 LOCAL": (SIG + b"\x20\x00\x00\x00", LOCAL),
    "v2 LOCAL with addresses": (SIG + b"\x20\x11\x00\x0c" + TCP4, LOCAL),
    "v2 LOCAL with too few addresses": (SIG + b"\x20\x11\x00\x03abc", LOCAL),
    "v2 LOCAL with datagrams": (SIG + b"\x20\x12\x00\x0c" + TCP4, LOCAL),
    "v2 LOCAL with a family that does not exist": (SIG + b"\x20\xff\x00\x00", LOCAL),
    "v2 LOCAL with TLVs, of which the checksum is wrong": (SIG + b"\x20\x00\x00\x07\x03\x00\x04\0\0\0\0", LOCAL),
    "v2 the vector of HAProxy's regression test": (
        SIG + b"\x21\x11\x00\x14\x7f\x00\x00\x01\x7f\x00\x00\x01\x00\x2a\x05\x39\x02\x00\x0512345",
        Header(2, ("127.0.0.1", 42), ("127.0.0.1", 1337), False, ((2, b"12345"),)),
    ),
    "v2 from AWS": (
        AWS,
        Header(2, ("172.31.7.113", 51442), ("172.31.10.31", 80), False, ((0xEA, b"\x01vpce-08d2bf15fac5001c9"),)),
    ),
    "v2 with the checksum only": (
        SIG + b"\x21\x11\x00\x13" + TCP4 + b"\x03\x00\x04\x19\xdc\xbd\x40",
        Header(2, FROM4, TO4, False),
    ),
    "v2 UNSPEC with the checksum only": (SIG + b"\x21\x00\x00\x07\x03\x00\x04\x3e\xc9\x89\x4e", PLAIN2),
    "v2 with NOOP of no, one and two bytes": (
        SIG + b"\x21\x11\x00\x18" + TCP4 + b"\x04\x00\x00\x04\x00\x01x\x04\x00\x02xx",
        Header(2, FROM4, TO4, False),
    ),
    "v2 with a TLV of each kind, in order": (
        SIG
        + b"\x21\x11\x00\x2a"
        + TCP4
        + b"\x01\x00\x02h2\x02\x00\x01a\x05\x00\x01u\x30\x00\x02ns\xe0\x00\x00\x01\x00\x03h2c"
        b"\x99\x00\x00",
        Header(
            2,
            FROM4,
            TO4,
            False,
            ((1, b"h2"), (2, b"a"), (5, b"u"), (0x30, b"ns"), (0xE0, b""), (1, b"h2c"), (0x99, b"")),
        ),
    ),
    "v2 with a unique ID of 128 bytes": (
        SIG + b"\x21\x11\x00\x8f" + TCP4 + b"\x05\x00\x80" + b"u" * 128,
        Header(2, FROM4, TO4, False, ((5, b"u" * 128),)),
    ),
    "v2 with SSL": (
        SIG + b"\x21\x11\x00\x89" + TCP4 + b"\x20\x00\x7a" + SSL_VALUE,
        Header(2, FROM4, TO4, False, ((0x20, SSL_VALUE),)),
    ),
    "v2 with SSL without inner TLVs": (
        SIG + b"\x21\x11\x00\x14" + TCP4 + b"\x20\x00\x05\x00\x00\x00\x00\x01",
        Header(2, FROM4, TO4, False, ((0x20, b"\x00\x00\x00\x00\x01"),)),
    ),
    "v2 of 4096 bytes": (
        SIG + b"\x21\x11\x0f\xf0" + TCP4 + b"\xe1\x0f\xe1" + b"x" * 4065,
        Header(2, FROM4, TO4, False, ((0xE1, b"x" * 4065),)),
    ),
}

#: The bytes, and how many of them it takes until they must be refused.
INVALID: dict[str, tuple[bytes, int]] = {
    # --- neither ---
    "HTTP": (b"GET / HTTP/1.1\r\n", 1),
    "HTTP with a P": (b"POST / HTTP/1.1\r\n", 2),
    "TLS": (b"\x16\x03\x01\x02\x00\x01", 1),
    "SSH": (b"SSH-2.0-x\r\n", 1),
    "an empty line": (b"\r\n\r\n\r\n", 5),
    "NOTPROXY (twisted's vector)": (b"NOTPROXY anything can go here\r\n", 1),
    # --- version 1 ---
    "v1 in small letters": (b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", 1),
    "v1 PROXY alone": (b"PROXY\r\n", 6),
    "v1 a tab for a space": (b"PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2\r\n", 6),
    "v1 two spaces before the protocol": (b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", 7),
    "v1 no protocol": (b"PROXY \r\n", 7),
    "v1 another protocol (twisted's vector)": (b"PROXY WUTPROTO \r\n", 7),
    "v1 UDP4": (b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", 8),
    "v1 TCP5": (b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", 10),
    "v1 tcp4": (b"PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n", 7),
    "v1 TCP46": (b"PROXY TCP46 1.2.3.4 1.2.3.4 1 2\r\n", 11),
    "v1 TCP4 alone": (b"PROXY TCP4\r\n", 11),
    "v1 no addresses (twisted's vector)": (b"PROXY TCP4 \r\n", 12),
    "v1 two spaces before the source": (b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", 12),
    "v1 UNKNOWNS": (b"PROXY UNKNOWNS\r\n", 14),
    "v1 UNKNOWN with LF": (b"PROXY UNKNOWN\n", 14),
    "v1 UNKNOWN with CR": (b"PROXY UNKNOWN\rx", 15),
    "v1 UNKNOWN of 108 bytes": (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", 106),
    "v1 UNKNOWN with CR as the 106th byte, and no LF": (b"PROXY UNKNOWN " + b"x" * 91 + b"\rx\r\n", 107),
    "v1 UNKNOWN of 216 bytes (twisted accepts)": (b"PROXY UNKNOWN " + b"a" * 200 + b"\r\n", 106),
    "v1 garbage for addresses (twisted accepts)": (b"PROXY TCP4 garbage 999.1.1.1 1 2\r\n", 12),
    "v1 an address that is not ASCII (twisted raises UnicodeDecodeError)": (b"PROXY TCP4 \xff 2.2.2.2 1 2\r\n", 12),
    "v1 an octet of 256": (b"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", 20),
    "v1 an octet of four digits": (b"PROXY TCP4 1000.2.3.4 1.2.3.4 1 2\r\n", 15),
    "v1 an octet with a zero in front": (b"PROXY TCP4 1.2.03.4 1.2.3.4 1 2\r\n", 17),
    "v1 an octet of 00": (b"PROXY TCP4 00.2.3.4 1.2.3.4 1 2\r\n", 13),
    "v1 an empty octet": (b"PROXY TCP4 1..3.4 1.2.3.4 1 2\r\n", 14),
    "v1 three octets": (b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", 17),
    "v1 five octets": (b"PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n", 19),
    "v1 IPv6 as TCP4": (b"PROXY TCP4 ::1 ::1 1 2\r\n", 12),
    "v1 IPv4 as TCP6 (twisted accepts)": (b"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", 13),
    "v1 IPv4 for the destination of TCP6": (b"PROXY TCP6 ::1 127.0.0.1 1 2\r\n", 19),
    "v1 IPv6 with a zone": (b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", 19),
    "v1 IPv6 in brackets": (b"PROXY TCP6 [::1] ::1 1 2\r\n", 12),
    "v1 IPv6 with a prefix length": (b"PROXY TCP6 ::1/128 ::1 1 2\r\n", 15),
    "v1 IPv6 with two ::": (b"PROXY TCP6 1::2::3 ::1 1 2\r\n", 17),
    "v1 IPv6 with :::": (b"PROXY TCP6 ::: ::1 1 2\r\n", 14),
    "v1 IPv6 with one colon in front": (b"PROXY TCP6 :1::2 ::1 1 2\r\n", 13),
    "v1 IPv6 with one colon behind": (b"PROXY TCP6 1::2: ::1 1 2\r\n", 17),
    "v1 IPv6 with seven groups": (b"PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n", 25),
    "v1 IPv6 with nine groups": (b"PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n", 27),
    "v1 IPv6 with eight groups and ::": (b"PROXY TCP6 1:2:3:4::5:6:7:8 ::1 1 2\r\n", 26),
    "v1 IPv6 with five digits": (b"PROXY TCP6 00001::1 ::1 1 2\r\n", 16),
    "v1 IPv6 with another letter": (b"PROXY TCP6 2001:dbg::1 ::1 1 2\r\n", 19),
    "v1 IPv6 with a bad dotted tail": (b"PROXY TCP6 ::ffff:1.2.3.04 ::1 1 2\r\n", 26),
    "v1 IPv6 with a dotted tail in another network": (b"PROXY TCP6 64:ff9b::1.2.3.4 ::1 1 2\r\n", 22),
    "v1 no destination": (b"PROXY TCP4 1.2.3.4\r\n", 19),
    "v1 two spaces before the destination": (b"PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n", 20),
    "v1 no ports": (b"PROXY TCP4 1.2.3.4 1.2.3.4\r\n", 27),
    "v1 no destination, but ports (twisted's vector)": (b"PROXY TCP4 127.0.0.1 8080 8888\r\n", 24),
    "v1 split in the middle by CRLF (twisted's vector)": (b"PROXY TCP4 1.1.1.1\r\n2.2.2.2 8080\r\n", 19),
    "v1 one port": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", 29),
    "v1 an empty port": (b"PROXY TCP4 1.2.3.4 1.2.3.4  2\r\n", 28),
    "v1 a space for the second port": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", 30),
    "v1 a port of 65536": (b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", 32),
    "v1 a port of 99999 (twisted accepts)": (b"PROXY TCP4 1.1.1.1 2.2.2.2 99999 1\r\n", 32),
    "v1 a port of six digits": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 100000\r\n", 35),
    "v1 a port with a zero in front": (b"PROXY TCP4 1.2.3.4 1.2.3.4 080 2\r\n", 29),
    "v1 a negative port (twisted accepts)": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 -2\r\n", 30),
    "v1 a port with a plus (twisted accepts)": (b"PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", 28),
    "v1 a port with an underscore (twisted accepts)": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1_0 2\r\n", 29),
    "v1 a port that is no number (twisted raises ValueError)": (b"PROXY TCP4 1.1.1.1 2.2.2.2 x 2\r\n", 28),
    "v1 a port in hexadecimal": (b"PROXY TCP4 1.2.3.4 1.2.3.4 0x50 2\r\n", 29),
    "v1 a port in other digits": (b"PROXY TCP4 1.2.3.4 1.2.3.4 \xd9\xa1 2\r\n", 28),
    "v1 a space at the end (twisted accepts)": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", 31),
    "v1 a seventh field (twisted accepts)": (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 junk\r\n", 31),
    "v1 spaces without end (twisted's vector)": (b"PROXY TCP4 127.0.0.1 127.0.0.1 8080 8888" + b" " * 100, 41),
    "v1 LF alone at the end": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", 31),
    "v1 CR alone at the end": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rGET", 32),
    "v1 CR CR LF": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n", 32),
    "v1 NUL at the end": (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\0\r\n", 31),
    # --- version 2 ---
    "v2 one wrong byte in the signature": (b"\r\n\r\n\0\r\nQUIT\r\x21\x11\x00\x0c" + TCP4, 12),
    "v2 version 1": (SIG + b"\x11\x11\x00\x0c" + TCP4, 13),
    "v2 version 3": (SIG + b"\x31\x11\x00\x0c" + TCP4, 13),
    "v2 command 2": (SIG + b"\x22\x11\x00\x0c" + TCP4, 13),
    "v2 command 15": (SIG + b"\x2f\x11\x00\x0c" + TCP4, 13),
    "v2 family 4": (SIG + b"\x21\x41\x00\x0c" + TCP4, 14),
    "v2 family 4 without protocol (twisted's vector)": (SIG + b"\x21\x40\x00\x0c" + TCP4, 14),
    "v2 family 15": (SIG + b"\x21\xf1\x00\x0c" + TCP4, 14),
    "v2 protocol 3": (SIG + b"\x21\x13\x00\x0c" + TCP4, 14),
    "v2 protocol 4 (twisted's vector)": (SIG + b"\x21\x24\x00\x24" + TCP6, 14),
    "v2 UDP4 (twisted accepts)": (SIG + b"\x21\x12\x00\x0c" + TCP4, 14),
    "v2 UDP6 (twisted accepts)": (SIG + b"\x21\x22\x00\x24" + TCP6, 14),
    "v2 UNIX datagrams (twisted accepts)": (SIG + b"\x21\x32\x00\xd8" + UNIX, 14),
    "v2 UNSPEC family with datagrams": (SIG + b"\x21\x02\x00\x00", 14),
    "v2 of 4097 bytes": (SIG + b"\x21\x11\x0f\xf1" + TCP4, 16),
    "v2 of 65551 bytes": (SIG + b"\x21\x11\xff\xff" + TCP4, 15),
    "v2 LOCAL of 65551 bytes": (SIG + b"\x20\x00\xff\xff", 15),
    "v2 TCP4 without addresses": (SIG + b"\x21\x11\x00\x00", 16),
    "v2 TCP4 in 11 bytes": (SIG + b"\x21\x11\x00\x0b" + TCP4, 16),
    "v2 TCP6 in 35 bytes": (SIG + b"\x21\x21\x00\x23" + TCP6, 16),
    "v2 UNIX in 215 bytes": (SIG + b"\x21\x31\x00\xd7" + UNIX, 16),
    "v2 one byte after the addresses": (SIG + b"\x21\x11\x00\x0d" + TCP4 + b"\x04", 16),
    "v2 two bytes after the addresses": (SIG + b"\x21\x11\x00\x0e" + TCP4 + b"\x04\x00", 16),
    "v2 a TLV longer than the header, as in HAProxy's test": (
        SIG + b"\x21\x11\x00\x14" + TCP4 + b"\x02\x00\x0a1234512345",
        31,
    ),
    "v2 a TLV shorter than the header, as in HAProxy's test": (
        SIG + b"\x21\x11\x00\x14" + TCP4 + b"\x02\x00\x041234",
        31,
    ),
    "v2 a TLV of at least 256 bytes in 8": (SIG + b"\x21\x11\x00\x14" + TCP4 + b"\x02\x01\x0012345", 30),
    "v2 UNIX with a truncated TLV": (SIG + b"\x21\x31\x00\xdd" + UNIX + b"\x01\x00\x03h2", 235),
    "v2 a wrong checksum": (SIG + b"\x21\x11\x00\x13" + TCP4 + b"\x03\x00\x04\x19\xdc\xbd\x41", 35),
    "v2 a checksum of the other byte order": (SIG + b"\x21\x11\x00\x13" + TCP4 + b"\x03\x00\x04\x40\xbd\xdc\x19", 35),
    "v2 from AWS with one other bit": (AWS[:-1] + b"\x01", 100),
    "v2 UNSPEC with a wrong checksum": (SIG + b"\x21\x00\x00\x07\x03\x00\x04\0\0\0\0", 23),
    "v2 a checksum of three bytes": (SIG + b"\x21\x11\x00\x12" + TCP4 + b"\x03\x00\x03abc", 31),
    "v2 two checksums": (SIG + b"\x21\x11\x00\x1a" + TCP4 + b"\x03\x00\x04\0\0\0\0" * 2, 38),
    "v2 a unique ID of 129 bytes": (SIG + b"\x21\x11\x00\x90" + TCP4 + b"\x05\x00\x81" + b"u" * 129, 31),
    "v2 SSL of four bytes": (SIG + b"\x21\x11\x00\x13" + TCP4 + b"\x20\x00\x04\x01\0\0\0", 31),
    "v2 SSL with a truncated inner TLV": (
        SIG + b"\x21\x11\x00\x19" + TCP4 + b"\x20\x00\x0a\x01\0\0\0\0\x21\x00\x03TL",
        39,
    ),
    "v2 SSL with one byte after the inner TLVs": (
        SIG + b"\x21\x11\x00\x19" + TCP4 + b"\x20\x00\x0a\x01\0\0\0\0\x21\x00\x01T\0",
        39,
    ),
}

ENCODED: dict[str, tuple[tuple[Any, ...], bytes]] = {
    "v1 TCP4": (("v1", FROM4, TO4), b"PROXY TCP4 127.0.0.1 10.0.0.2 8080 443\r\n"),
    "v1 TCP6": (("v1", FROM6, TO6), b"PROXY TCP6 2001:db8::1 ::1 65535 0\r\n"),
    "v1 IPv4 to IPv6": (("v1", FROM4, TO6), b"PROXY TCP6 ::ffff:7f00:1 ::1 8080 0\r\n"),
    "v1 IPv6 to IPv4": (("v1", FROM6, TO4), b"PROXY TCP6 2001:db8::1 ::ffff:a00:2 65535 443\r\n"),
    "v1 mapped": (
        ("v1", ("::ffff:192.0.2.1", 1), ("::ffff:192.0.2.2", 2)),
        b"PROXY TCP6 ::ffff:c000:201 ::ffff:c000:202 1 2\r\n",
    ),
    "v1 with a zone": (("v1", ("fe80::1%eth0", 1), TO6), b"PROXY TCP6 fe80::1 ::1 1 0\r\n"),
    "v1 unknown source": (("v1", None, TO4), b"PROXY UNKNOWN\r\n"),
    "v1 unknown destination": (("v1", FROM4, None), b"PROXY UNKNOWN\r\n"),
    "v1 paths": (("v1", "/a", "/b"), b"PROXY UNKNOWN\r\n"),
    "v1 leaves TLVs out": (("v1", FROM4, TO4, [(1, b"h2")]), b"PROXY TCP4 127.0.0.1 10.0.0.2 8080 443\r\n"),
    "v2 TCP4": (("v2", FROM4, TO4), SIG + b"\x21\x11\x00\x0c" + TCP4),
    "v2 TCP6": (("v2", FROM6, TO6), SIG + b"\x21\x21\x00\x24" + TCP6),
    "v2 IPv4 to IPv6": (
        ("v2", FROM4, TO6),
        SIG + b"\x21\x21\x00\x24" + b"\0" * 10 + b"\xff\xff\x7f\x00\x00\x01" + b"\0" * 15 + b"\x01\x1f\x90\x00\x00",
    ),
    "v2 UNIX": (("v2", "/run/a.sock", "/b"), SIG + b"\x21\x31\x00\xd8" + UNIX),
    "v2 UNIX without a name": (("v2", "", "/b"), SIG + b"\x21\x31\x00\xd8" + b"\0" * 108 + b"/b" + b"\0" * 106),
    "v2 unknown": (("v2", None, None), SIG + b"\x20\x00\x00\x00"),
    "v2 a path and an address": (("v2", "/a", TO4), SIG + b"\x20\x00\x00\x00"),
    "v2 with TLVs": (
        ("v2", FROM4, TO4, ((1, b"h2"), (0xE0, b""))),
        SIG + b"\x21\x11\x00\x14" + TCP4 + b"\x01\x00\x02h2\xe0\x00\x00",
    ),
    "v2 UNIX with all 108 bytes used": (
        ("v2", "/" + "p" * 107, "\0" + "p" * 107),
        SIG + b"\x21\x31\x00\xd8" + LONGEST_PATH + b"\0" + b"p" * 107,
    ),
    "v2 with SSL": (
        ("v2", FROM4, TO4, [(0x20, SSL_VALUE)]),
        SIG + b"\x21\x11\x00\x89" + TCP4 + b"\x20\x00\x7a" + SSL_VALUE,
    ),
    "v2 of 4096 bytes": (
        ("v2", FROM4, TO4, [(0xE1, b"x" * 4065)]),
        SIG + b"\x21\x11\x0f\xf0" + TCP4 + b"\xe1\x0f\xe1" + b"x" * 4065,
    ),
    "v2 unknown with TLVs": (("v2", None, None, [(5, b"id")]), SIG + b"\x20\x00\x00\x05\x05\x00\x02id"),
}

NOT_ENCODED: dict[str, tuple[tuple[Any, ...], str]] = {
    "another version": (("v3", FROM4, TO4), "'v3' is not a version of the PROXY protocol, v1 and v2 are"),
    "a name": (("v1", ("localhost", 1), TO4), "'localhost' is not an IP address"),
    "a wrong address": (("v2", FROM4, ("1.2.3.256", 1)), "'1.2.3.256' is not an IP address"),
    "a port too high": (("v1", FROM4, ("1.2.3.4", 65536)), "65536 is not a port from 0 to 65535"),
    "a port too low": (("v2", ("1.2.3.4", -1), TO4), "-1 is not a port from 0 to 65535"),
    "a path of 109 bytes": (
        ("v2", "/" + "p" * 108, "/b"),
        "'/" + "p" * 58 + " is not the path of a Unix socket, of at most 108 bytes",
    ),
    "a path with NUL": (("v2", "/a\0b", "/b"), r"'/a\x00b' is not the path of a Unix socket, of at most 108 bytes"),
    "an abstract path with NUL at the end": (
        ("v2", "\0a\0", "/b"),
        r"'\x00a\x00' is not the path of a Unix socket, of at most 108 bytes",
    ),
    "a path that no bytes decode to": (("v2", "/\ud800", "/b"), r"'/\ud800' is not the path of a Unix socket"),
    "a type of 256": (
        ("v2", FROM4, TO4, [(256, b"")]),
        "v2: 256 with 0 bytes is not a TLV: its type has 8 bits, its length 16",
    ),
    "a type of -1": (
        ("v2", FROM4, TO4, [(-1, b"")]),
        "v2: -1 with 0 bytes is not a TLV: its type has 8 bits, its length 16",
    ),
    "a value of 65536 bytes": (
        ("v2", FROM4, TO4, [(0xE0, b"x" * 65536)]),
        "v2: 224 with 65536 bytes is not a TLV: its type has 8 bits, its length 16",
    ),
    "4097 bytes": (
        ("v2", FROM4, TO4, [(0xE1, b"x" * 4066)]),
        "v2: the header would have 4097 bytes, more than 4096",
    ),
    "a checksum": (
        ("v2", FROM4, TO4, [(3, b"\0\0\0\0")]),
        "v2: a checksum belongs to one header and cannot be put into another",
    ),
    "a long unique ID": (
        ("v2", FROM4, TO4, [(5, b"u" * 129)]),
        "v2: the unique ID has 129 bytes, more than 128",
    ),
    "malformed SSL": (
        ("v2", FROM4, TO4, [(0x20, b"\0\0\0\0\0\x21\0\1")]),
        "v2: 3 bytes are left where a TLV of at least 4 bytes begins",
    ),
}


def outcome(data: bytes) -> tuple[Header, int] | str | None:
    """What parse() says, with "refused" for BadHeader."""
    try:
        return parse(data)
    except BadHeader as error:
        text = str(error)
    # For an operator to read: one short line, whatever came.
    assert text.isprintable()
    assert len(text) < 140
    return "refused"

"""Version 1 of the PROXY header: one line of text (section 2.1)."""

from __future__ import annotations

import ipaddress
import re

from proxymux.core.proxy_protocol.header import Address, Endpoint, Header, address_text, inet_ends
from proxymux.errors import BadHeader

#: Bytes of the longest line, with its CRLF.
LIMIT = 107
START = b"PROXY "
_UNKNOWN = START + b"UNKNOWN"
_PROTOCOLS = (b"TCP4", b"TCP6", b"UNKNOWN")
_PLACES = ("PROXY", "protocol", "source address", "destination address", "source port", "destination port")

_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_V4 = rb"(?:" + _OCTET + rb"\.){3}" + _OCTET
#: Every beginning of an IPv4 address; each beginning of an octet is an octet.
_V4_BEGUN = rb"(?:" + _OCTET + rb"\.){0,3}(?:" + _OCTET + rb")?"
#: The prefixes ::/96 and ::ffff:0:0/96, whose addresses inet_ntop(), and so HAProxy, writes with a dotted IPv4 tail.
_DOTTED_HEAD = rb"::(?:[Ff]{4}:)?"
_IS_V4 = re.compile(_V4)
_BEGINS_V4 = re.compile(_V4_BEGUN)
_IS_DOTTED = re.compile(_DOTTED_HEAD + _V4)
_BEGINS_DOTTED = re.compile(_DOTTED_HEAD + _V4_BEGUN)
_HEX = re.compile(rb"[0-9A-Fa-f:]*")


def parse(data: bytes) -> tuple[Header, int] | None:
    """The header at the start of ``data`` and its length, or None while more bytes are needed (section 2.1).

    :param data: begins with :data:`START` or is a part of it.
    :raises BadHeader: as soon as ``data`` cannot become a header.
    """
    head = data[:LIMIT]
    line, crlf, _ = head.partition(b"\r\n")
    if head.startswith(_UNKNOWN + b" "):
        # Whatever follows UNKNOWN is to be ignored, up to the CRLF, which must come within the limit.
        if not crlf and len(head) + (1 if head.endswith(b"\r") else 2) > LIMIT:
            raise BadHeader(f"v1: no CRLF in the first {LIMIT} bytes")
    elif crlf:
        _check_words(line.split(b" "), True)
    else:
        # A CR at the end of the data can only be the first half of the CRLF.
        _check_words(line.removesuffix(b"\r").split(b" "), line.endswith(b"\r"))
    if not crlf:
        return None
    if line.startswith(_UNKNOWN):
        return Header(1, None, None, False), len(line) + 2
    texts = line.decode("ascii").split(" ")
    source, destination = (address_text(ipaddress.ip_address(text)) for text in texts[2:4])
    return Header(1, (source, int(texts[4])), (destination, int(texts[5])), False), len(line) + 2


def encode(source: Endpoint, destination: Endpoint) -> bytes:
    """The line for a connection from ``source`` to ``destination`` (section 2.1).

    :raises BadHeader: if an address or a port is not valid.
    """
    ends = inet_ends(source, destination)
    if ends is None:
        return _UNKNOWN + b"\r\n"
    (first, first_port), (second, second_port) = ends
    words = f"PROXY TCP{first.version} {_wire_text(first)} {_wire_text(second)} {first_port:d} {second_port:d}\r\n"
    return words.encode("ascii")


def _wire_text(address: Address) -> str:
    """The address as section 2.1 wants it: IPv6 in hexadecimal digits only."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(address) if mapped is None else f"::ffff:{int(mapped) >> 16:x}:{int(mapped) & 0xFFFF:x}"


def _check_words(words: list[bytes], ended: bool) -> None:
    """Check the fields of a line, of which the last may be incomplete unless the line has ended."""
    for place, word in enumerate(words):
        whole = ended or place < len(words) - 1
        if place == 1 and not _is_protocol(word, whole):
            raise BadHeader(f"v1: the protocol {word!r:.40} is not TCP4, TCP6 or UNKNOWN")
        if place in (2, 3) and not (_is_v4 if words[1] == b"TCP4" else _is_v6)(word, whole):
            family = "IPv4" if words[1] == b"TCP4" else "IPv6"
            raise BadHeader(f"v1: the {_PLACES[place]} {word!r:.60} is not an {family} address")
        if place in (4, 5) and not _is_port(word, whole):
            raise BadHeader(f"v1: the {_PLACES[place]} {word!r:.40} is not a number from 0 to 65535")
        if place >= len(_PLACES):
            raise BadHeader("v1: more follows after the destination port")
    if ended and words[1:] != [b"UNKNOWN"] and len(words) < len(_PLACES):
        raise BadHeader(f"v1: the line ends without a {_PLACES[len(words)]}")


# Each of these says whether a word is valid or, if it is not yet whole, can become valid.


def _is_protocol(word: bytes, whole: bool) -> bool:
    return word in _PROTOCOLS if whole else any(protocol.startswith(word) for protocol in _PROTOCOLS)


def _is_v4(word: bytes, whole: bool) -> bool:
    return bool((_IS_V4 if whole else _BEGINS_V4).fullmatch(word))


def _is_v6(word: bytes, whole: bool) -> bool:
    if (_IS_DOTTED if whole else _BEGINS_DOTTED).fullmatch(word):
        return True
    # If a beginning can be completed at all, one of these endings completes it.
    endings = (b"",) if whole else (b"", b"0", b":", b"::")
    return bool(_HEX.fullmatch(word)) and any(_is_hex_v6(word + ending) for ending in endings)


def _is_hex_v6(word: bytes) -> bool:
    try:
        ipaddress.IPv6Address(word.decode("ascii"))
    except ValueError:
        return False
    return True


def _is_port(word: bytes, whole: bool) -> bool:
    if not word:
        return not whole
    return word.isdigit() and (word == b"0" or word[:1] != b"0") and int(word) <= 65535

"""RDP: the X.224 Connection Request (MS-RDPBCGR section 2.2.1.1; TPKT of ITU-T T.123 section 8, X.224 section 13.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NeedData
from proxymux.sniff.fields import Fields, Malformed, Unfinished, read

_TPKT: Final = 4
#: Bytes of the longest request: the length indicator of X.224 is 254 at most, and does not count itself.
LIMIT: Final = _TPKT + 1 + 254
_SHORTEST: Final = _TPKT + 7
_COOKIE: Final = "Cookie: mstshash="
_TEXT: Final = re.compile(rb"[ -~\x80-\xff]*")
#: Bytes of RDP_NEG_REQ and of RDP_NEG_CORRELATION_INFO (sections 2.2.1.1.1 and 2.2.1.1.2).
_NEGOTIATION: Final = 8
_CORRELATION: Final = 36
_AFTER_TEXT: Final = (_NEGOTIATION, _NEGOTIATION + _CORRELATION)
_CORRELATION_INFO_PRESENT: Final = 0x08


@dataclass(frozen=True, slots=True)
class Rdp:
    """What an RDP client says first.

    :param cookie: the text after ``Cookie: mstshash=``: the beginning of the user's name, or what the client's settings
        say instead; or None.
    :param routing_token: what a load balancer has given to the client, as sent: ``Cookie: msts=3640205228.15629.0000``,
        ``tsv://…``; or None.  Its address is the client's word: connect to none that you do not know.
    :param protocols: the security protocols that it can speak, as the sum of 1 (TLS), 2 (CredSSP), 4 (RDSTLS),
        8 (CredSSP with early authorization) and 16 (RDS AAD); 0 is RDP's own security, also of clients that do not say.
    """

    cookie: str | None = None
    routing_token: str | None = None
    protocols: int = 0


def rdp(data: bytes) -> Rdp | NeedData | None:
    """The X.224 Connection Request that ``data`` begins with."""
    return read(_request, data, LIMIT)


def _request(fields: Fields) -> Rdp:
    fields.choice(b"\3\0")
    high = fields.choice(b"\0", b"\1")
    length = high[0] << 8 | fields.number(1)
    if not _SHORTEST <= length <= LIMIT or length - _SHORTEST in (1, 2):  # no text, with its CR LF, is so short
        raise Malformed
    fields.within(length - _TPKT)
    if fields.number(1) != length - _TPKT - 1:
        raise Malformed
    fields.choice(b"\xe0\0\0")  # Connection Request, no destination yet
    fields.take(2)
    fields.choice(b"\0")  # class 0
    text = _text(fields)
    protocols = _protocols(fields)
    if text is not None and text.startswith(_COOKIE):
        return Rdp(text.removeprefix(_COOKIE), None, protocols)
    return Rdp(None, text, protocols)


def _text(fields: Fields) -> str | None:
    """Read the cookie or the routing token, which ends with CR LF; None if there is neither."""
    begun = fields.begun
    if not fields.left or begun.startswith(b"\1"):
        return None
    line, end, _ = begun.partition(b"\r\n")
    text = line if end else line.removesuffix(b"\r")
    rest = fields.left - len(text) - 2
    if not _TEXT.fullmatch(text) or rest < 0:
        raise Malformed
    if len(begun) > len(text) and (not text or rest not in (0, *_AFTER_TEXT)):
        raise Malformed
    if not end:
        raise Unfinished
    fields.take(len(text) + 2)
    return text.decode("latin-1")  # "ANSI": of which code page is not said


def _protocols(fields: Fields) -> int:
    """Read the negotiation request, and the correlation info that it may announce; 0 if there is none."""
    if not fields.left:
        return 0
    if fields.left not in _AFTER_TEXT:
        raise Malformed
    fields.choice(b"\1")
    has_correlation = bool(fields.number(1) & _CORRELATION_INFO_PRESENT)
    if has_correlation != (fields.left > _NEGOTIATION):
        raise Malformed
    fields.choice(b"\x08\0")
    protocols = int.from_bytes(fields.take(4), "little")
    if has_correlation:
        fields.choice(b"\6\0\x24\0")
        fields.take(_CORRELATION - 4)
    return protocols

"""Tokens: what a client shows to the gateway in the place of an address.

There are two forms, told apart by their first bytes: sealed tokens (:mod:`.sealed`), and those of the gateway's
ancestors (:mod:`.legacy`).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from proxymux.core.admission import Network
from proxymux.core.target import InetTarget, parse_target
from proxymux.errors import BadAddress, BadToken

#: Bytes of a token, without the line's end.
MAX_TOKEN: Final = 1024


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says.  Times are in seconds since the epoch; None is "not limited".

    :param targets: tried in this order.
    :param clients: where the client must come from.
    :param audience: which gateways are meant.
    :param once: names the token, which opens the gateway one time.
    :param key: which key opened it; None for the old form.
    """

    targets: tuple[InetTarget, ...]
    expires: int | None = None
    not_before: int | None = None
    clients: Network | None = None
    audience: str | None = None
    once: str | None = None
    key: str | None = None


def read_address(text: object) -> InetTarget:
    """The target that ``text`` names.

    :raises BadToken: unless it is strictly ``host:port`` or ``[v6]:port``.
    """
    try:
        target = parse_target(text)
    except BadAddress:
        raise BadToken("what it holds is not host:port") from None
    if not isinstance(target, InetTarget):
        raise BadToken("what it holds is not host:port")
    return target


def strict_base64(text: bytes, alphabet: bytes = b"+/") -> bytes:
    """The bytes that ``text`` stands for.

    Of the texts that decoders take for the same bytes only the one that encoders write is accepted: to change any bit
    of a token makes it another one.

    :param alphabet: the last two characters of it.
    :raises BadToken: if it is not base64, padded with ``=``.
    """
    try:
        data = base64.b64decode(text, alphabet, validate=True)
    except (binascii.Error, ValueError):
        raise BadToken("not base64") from None
    if base64.b64encode(data, alphabet) != text:
        raise BadToken("not base64")
    return data

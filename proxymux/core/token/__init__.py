"""Tokens: what a client sends to the gateway in the place of an address, and the claims in them.

There are two forms, told apart by their first bytes: sealed tokens (:mod:`.sealed`), and the old ones of the gateway's
ancestors (:mod:`.legacy`).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from proxymux.core.admission import Network
from proxymux.core.target import ClusterName, InetTarget, parse_address
from proxymux.errors import BadAddress, BadToken
from proxymux.printable import printable

#: The most bytes of a token, without the line end.
MAX_TOKEN: Final = 1024
_MEANINGS: Final = {
    b"400": "it did not get the token's line whole",
    b"401": "the token opens nothing here",
    b"502": "the target cannot be connected to",
    b"504": "the target does not answer",
}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says.  Times are in seconds since the epoch; None is no limit.

    :param targets: addresses and names of clusters, tried in this order.
    :param expires: the time after which the token is not valid.
    :param not_before: the time before which it is not valid.
    :param clients: the network that the client's address must be in.
    :param audience: the name that a gateway must have (``--audience``).
    :param once: the id of a one-time token; None if the token may be used many times.
    :param key: the id of the key that sealed the token; None for an old token.
    """

    targets: tuple[InetTarget | ClusterName, ...]
    expires: int | None = None
    not_before: int | None = None
    clients: Network | None = None
    audience: str | None = None
    once: str | None = None
    key: str | None = None


def explain_status(status: bytes) -> str:
    """What a gateway has said that does not connect, in words for its client.

    :param status: the three digits that it has sent, or fewer bytes if it has closed before.
    """
    meaning = _MEANINGS.get(status, "which is no status of a gateway" if status else "it closed without a status")
    shown = status.decode("ascii", "backslashreplace")
    return printable(f"the gateway answers {shown}: {meaning}" if status else f"the gateway does not answer: {meaning}")


def read_address(text: object) -> InetTarget:
    """Read the address of a target.

    :raises BadToken: unless it is strictly ``host:port`` or ``[v6]:port``.
    """
    try:
        return parse_address(text)
    except BadAddress:
        raise BadToken("what it holds is not host:port") from None


def strict_base64(text: bytes, alphabet: bytes = b"+/") -> bytes:
    """Decode base64 (RFC 4648).

    Only the text that an encoder writes is accepted.  Decoders take other texts for the same bytes; accepting those
    would let a token be changed without becoming another one.

    :param alphabet: the two characters for 62 and 63.
    :raises BadToken: if ``text`` is not base64, padded with ``=``.
    """
    try:
        data = base64.b64decode(text, alphabet, validate=True)
    except (binascii.Error, ValueError):
        raise BadToken("not base64") from None
    if base64.b64encode(data, alphabet) != text:
        raise BadToken("not base64")
    return data

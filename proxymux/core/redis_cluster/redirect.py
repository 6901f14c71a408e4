"""Redirects: the errors by which a node of a Redis Cluster says that a key is, or may be, elsewhere."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

from proxymux.core.redis_cluster.slot_map import SLOTS
from proxymux.core.target import InetTarget, parse_address
from proxymux.errors import BadAddress

#: The most bytes of a redirect: a host name has 253.
MAX_REDIRECT: Final = 320
_REDIRECT: Final = re.compile(rb"-(MOVED|ASK) ([0-9]{1,5}) ([^\s:]*|[0-9A-Fa-f:.%]+):([0-9]{1,5})\r\n\Z", re.ASCII)


class Redirect(NamedTuple):
    """Where a request is to be sent.

    :param kind: ``MOVED``: the slot has another primary from now on.  ``ASK``: this one request goes there, behind an
        ``ASKING``.
    """

    kind: Literal["MOVED", "ASK"]
    slot: int
    address: InetTarget


def parse_redirect(reply: bytes, asked: InetTarget) -> Redirect | None:
    """Read a reply that may be a redirect.

    :param reply: one whole reply, ``-MOVED 3999 127.0.0.1:6381`` with CRLF.
    :param asked: who has replied: a redirect without a host means another port of that one.
    :returns: None if it is another reply, or leads to no address; such a one is the client's.
    """
    if len(reply) > MAX_REDIRECT:
        return None
    found = _REDIRECT.match(reply)
    if found is None or int(found[2]) >= SLOTS:
        return None
    try:
        address = address_of(found[3].decode("ascii"), int(found[4]), asked)
    except (BadAddress, UnicodeDecodeError):
        return None
    return Redirect("ASK" if found[1] == b"ASK" else "MOVED", int(found[2]), address)


def address_of(host: str, port: int, asked: InetTarget) -> InetTarget:
    """The address of a node.

    :param host: as the node writes it: IPv6 without brackets; empty for the host of ``asked``.
    :raises BadAddress: if it is none, such as the ``?`` that stands for a host name which was not configured.
    """
    host = host or asked.host
    return parse_address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")

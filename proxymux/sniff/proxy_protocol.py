"""The PROXY protocol: the header that another proxy sends before the client's bytes."""

from __future__ import annotations

from dataclasses import dataclass

from proxymux.core.decision import NEED_DATA, NeedData
from proxymux.core.proxy_protocol import Header, parse
from proxymux.errors import BadHeader


@dataclass(frozen=True, slots=True)
class ProxyProtocol:
    """A PROXY header at the start of a connection.

    :param header: what it says: ``version``, ``source`` and ``destination``, each (ip, port), a path or None.
    :param length: bytes of the header; the client's follow.
    """

    header: Header
    length: int


def proxy_protocol(data: bytes) -> ProxyProtocol | NeedData | None:
    """The header of version 1 or 2 that ``data`` begins with.

    Anybody can send one.  Where a trusted proxy is in front, listen with ``haproxy:``, which takes the header off and
    makes its source the client's address; this is for telling what comes, and for refusing it.
    """
    try:
        found = parse(data)
    except BadHeader:
        return None
    return NEED_DATA if found is None else ProxyProtocol(*found)

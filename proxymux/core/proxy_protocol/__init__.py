"""The PROXY protocol, versions 1 and 2: who the client of a proxied connection is.

Strict to https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt, whose sections the docstrings here name.

Section 2 forbids guessing whether there is a header: call :func:`parse` only on a connection that must begin with one,
and close the connection if it raises.  It also wants only trusted proxies to connect there, which the caller checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from proxymux.core.proxy_protocol import v1, v2
from proxymux.core.proxy_protocol.header import Endpoint, Header
from proxymux.core.proxy_protocol.tlv import Ssl
from proxymux.errors import BadHeader

__all__ = ["Endpoint", "Header", "Ssl", "encode", "parse"]


def parse(data: bytes | bytearray | memoryview) -> tuple[Header, int] | None:
    """The header at the start of ``data`` and its length; None while more bytes are needed (section 2).

    Bytes after the header are ignored.

    :raises BadHeader: as soon as ``data`` cannot become a header, whatever follows: at the first wrong byte; in a TLV
        once its type and length have come; for a wrong checksum once the header is complete.
    """
    data = bytes(data[: v2.LIMIT])
    if v2.SIGNATURE.startswith(data[: len(v2.SIGNATURE)]):
        return v2.parse(data)
    if v1.START.startswith(data[: len(v1.START)]):
        return v1.parse(data)
    raise BadHeader(f"{data[:12]!r} is the start of neither version of the PROXY protocol")


def encode(
    version: Literal["v1", "v2"],
    source: Endpoint,
    destination: Endpoint,
    tlvs: Iterable[tuple[int, bytes]] = (),
    has_checksum: bool = False,
) -> bytes:
    """The header for a connection from ``source`` to ``destination`` (sections 2.1 and 2.2).

    If one end is IPv4 and the other IPv6, the first is mapped into ``::ffff:0:0/96``, as HAProxy does.  Ends that the
    version cannot express are sent as unknown: ``UNKNOWN`` in v1, the command LOCAL with AF_UNSPEC in v2.

    :param source: an (ip, port) pair, the path of a Unix socket (empty if it has none), or None if it is not known.
    :param destination: likewise.
    :param tlvs: (type, value) pairs, for example those of a received :class:`Header`.  Version 1 cannot carry them and
        leaves them out.
    :param has_checksum: with version 2, append a CRC32C over the whole header.
    :raises BadHeader: if an argument cannot be sent in a header.  :func:`parse` accepts every header returned here.
    """
    if version == "v1":
        return v1.encode(source, destination)
    if version == "v2":
        return v2.encode(source, destination, tlvs, has_checksum)
    raise BadHeader(f"{version!r:.60} is not a version of the PROXY protocol, v1 and v2 are")

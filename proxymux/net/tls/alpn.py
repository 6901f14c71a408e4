"""The application protocol of a TLS connection (ALPN, RFC 7301), as the server of clients."""

from __future__ import annotations

from collections.abc import Sequence

from OpenSSL import SSL


class _NoCommonProtocol(Exception):
    """Makes pyOpenSSL end the handshake with the alert no_application_protocol."""


def select_from(context: SSL.Context, protocols: Sequence[str]) -> None:
    """Have the first of ``protocols`` selected that a client offers, and refuse one that offers only others.

    A client that takes no part in ALPN is served.
    """
    known = [protocol.encode("ascii") for protocol in protocols]

    def select(handle: SSL.Connection, offered: list[bytes]) -> bytes:
        # pyOpenSSL keeps what the callback raises for its own do_handshake(), which is never called.
        helper = context._alpn_select_helper
        assert helper is not None
        helper._problems.clear()
        for protocol in known:
            if protocol in offered:
                return protocol
        raise _NoCommonProtocol

    context.set_alpn_select_callback(select)

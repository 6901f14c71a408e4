"""Sniffing: functions that recognize a protocol by a client's first bytes, for use in routers.

Each function is given all bytes that have come so far and returns one of three things:

* a value, which is true, as soon as its fields are known; bytes after them are ignored;
* :data:`NEED_DATA`, which is false, as long as the bytes may become the protocol;
* ``None``, as soon as they cannot: they are something else, or malformed.

More bytes never change a value or a None into something else.  No bytes make a function raise.  Each function looks at
a limited number of bytes, and returns NEED_DATA only below that limit.

==================  ===================================================  =================================
Function            Reads                                                NEED_DATA only below
==================  ===================================================  =================================
`tls_client_hello`  TLS ClientHello: server name (SNI), ALPN, versions   43012 bytes: 32 KiB, 2048 records
`http_request`      HTTP/1 request line and Host; the preface of HTTP/2  32768 bytes
`socks4`            SOCKS4 and 4a request                                520 bytes
`socks5_greeting`   SOCKS5 methods                                       257 bytes
`socks5_request`    SOCKS5 request                                       262 bytes
`ssh`               SSH identification                                   255 bytes
`postgres`          PostgreSQL start-up, SSL, GSS and cancel requests    10004 bytes
`redis`             the name of the first Redis command                  81 bytes; inline 65536 bytes
==================  ===================================================  =================================

One port for three of them::

    from proxymux import NEED_DATA, sniff

    TARGETS = [
        (sniff.tls_client_hello, "10.0.0.1:443"),
        (sniff.ssh, "10.0.0.1:22"),
        (sniff.http_request, "10.0.0.1:80"),
    ]

    def proxy(data):
        results = [(sniffs(data), target) for sniffs, target in TARGETS]
        for found, target in results:
            if found:
                return {"remote": target}
        return NEED_DATA if any(found is NEED_DATA for found, _ in results) else {"close": True}

**Server-first protocols.**  MySQL, SMTP, FTP and IMAP cannot be sniffed: the server speaks first, and the client waits
for it.  Choose such an upstream in ``proxy_accepted(client)``, by the client's address or the port it connected to.
"""

from proxymux.core.decision import NEED_DATA
from proxymux.sniff.http import HttpRequest, http_request
from proxymux.sniff.postgres import Parameters, Postgres, postgres
from proxymux.sniff.redis import Redis, redis
from proxymux.sniff.socks import (
    Socks4Request,
    Socks5Greeting,
    Socks5Request,
    socks4,
    socks5_greeting,
    socks5_request,
)
from proxymux.sniff.ssh import Ssh, ssh
from proxymux.sniff.tls import ClientHello, tls_client_hello

__all__ = [
    "NEED_DATA",
    "ClientHello",
    "HttpRequest",
    "Parameters",
    "Postgres",
    "Redis",
    "Socks4Request",
    "Socks5Greeting",
    "Socks5Request",
    "Ssh",
    "http_request",
    "postgres",
    "redis",
    "socks4",
    "socks5_greeting",
    "socks5_request",
    "ssh",
    "tls_client_hello",
]

"""Sniffing: what a connection's first bytes say, for the protocols that routers meet.

Each function is given all bytes that have come so far and answers one of three things:

* a value, which is true, as soon as the bytes tell all that it holds; bytes after it are not looked at;
* :data:`NEED_DATA`, which is false, as long as this may still become the protocol;
* ``None``, as soon as it cannot: it is something else, or it is malformed.

More bytes never change a value or a None into something else.  No bytes make a function raise, each looks at a bounded
number of them, and none answers NEED_DATA when as many as that have come.

==================  ===================================================  =================================
Function            Reads                                                NEED_DATA is below
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

    SERVERS = [
        (sniff.tls_client_hello, "10.0.0.1:443"),
        (sniff.ssh, "10.0.0.1:22"),
        (sniff.http_request, "10.0.0.1:80"),
    ]

    def proxy(data):
        answers = [(reads(data), server) for reads, server in SERVERS]
        for found, server in answers:
            if found:
                return {"remote": server}
        return NEED_DATA if any(found is NEED_DATA for found, _ in answers) else {"close": True}

**Server-first protocols.**  MySQL, SMTP, FTP and IMAP are not among them: there the server speaks first, the client
waits, and there is nothing to sniff.  Choose such an upstream in ``proxy_accepted(client)``, by the client's address
or the port that it came to.
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

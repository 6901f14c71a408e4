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
`http_request`      HTTP/1 request line, Host and fields; as             32768 bytes
                    `http2_preface`
`http2_preface`     the preface of HTTP/2 without TLS                    24 bytes
`socks4`            SOCKS4 and 4a request                                520 bytes
`socks5_greeting`   SOCKS5 methods                                       257 bytes
`socks5_request`    SOCKS5 request                                       262 bytes
`ssh`               SSH identification                                   255 bytes
`postgres`          PostgreSQL start-up, SSL, GSS and cancel requests    10004 bytes
`redis`             the name of the first Redis command                  81 bytes; inline 65536 bytes
`mqtt`              MQTT 3.1, 3.1.1 and 5.0: client id, user name        65536 bytes
`amqp`              AMQP protocol header: version                        8 bytes
`rdp`               RDP: cookie or routing token, security protocols     259 bytes
`minecraft`         Minecraft handshake: host, port, next state; pings   778 bytes
`proxy_protocol`    the header of another proxy: PROXY v1 and v2         4096 bytes
`mysql_greeting`    of a *server*: MySQL's or MariaDB's greeting         281 bytes
==================  ===================================================  =================================

`matches_host` compares a host name with a pattern such as ``*.shop.example``.

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
`mysql_greeting` is given what a server says, for checks and tests of upstreams.
"""

from proxymux.core.decision import NEED_DATA
from proxymux.sniff.amqp import Amqp, amqp
from proxymux.sniff.host_names import matches_host
from proxymux.sniff.http import HttpRequest, http_request
from proxymux.sniff.http2 import Http2Preface, http2_preface
from proxymux.sniff.minecraft import Minecraft, minecraft
from proxymux.sniff.mqtt import Mqtt, mqtt
from proxymux.sniff.mysql import MysqlGreeting, mysql_greeting
from proxymux.sniff.postgres import Parameters, Postgres, postgres
from proxymux.sniff.proxy_protocol import ProxyProtocol, proxy_protocol
from proxymux.sniff.rdp import Rdp, rdp
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
    "Amqp",
    "ClientHello",
    "Http2Preface",
    "HttpRequest",
    "Minecraft",
    "Mqtt",
    "MysqlGreeting",
    "Parameters",
    "Postgres",
    "ProxyProtocol",
    "Rdp",
    "Redis",
    "Socks4Request",
    "Socks5Greeting",
    "Socks5Request",
    "Ssh",
    "amqp",
    "http2_preface",
    "http_request",
    "matches_host",
    "minecraft",
    "mqtt",
    "mysql_greeting",
    "postgres",
    "proxy_protocol",
    "rdp",
    "redis",
    "socks4",
    "socks5_greeting",
    "socks5_request",
    "ssh",
    "tls_client_hello",
]

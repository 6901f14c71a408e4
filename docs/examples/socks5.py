"""A SOCKS5 proxy (RFC 1928) without authentication, for CONNECT.

    twistd -n proxymux --router socks5.py --port 1080
    curl --socks5 127.0.0.1:1080 http://example.com/
    curl --socks5-hostname 127.0.0.1:1080 http://example.com/

The negotiation has two steps: the client offers ways of authentication and waits for the choice, then it asks for the
connection and waits for that.
"""

from proxymux import NEED_DATA, Forward, Reject, Reply
from proxymux.sniff import socks5_greeting, socks5_request

NO_AUTHENTICATION, NONE_ACCEPTABLE = b"\x05\x00", b"\x05\xff"


def answer(code):
    """A reply of RFC 1928 section 6; the address in it is of no use to a client that connects."""
    return b"\x05" + bytes([code]) + b"\x00\x01" + bytes(6)


def proxy(data, client):
    if "greeted" not in client.state:
        return greet(data, client)
    request = socks5_request(data)
    if request is NEED_DATA:
        return NEED_DATA
    if request is None:
        # An address type that there is not has a code of its own.
        return Reject(answer(8) if data[:3] in (b"\x05\x01\x00", b"\x05\x02\x00", b"\x05\x03\x00") else answer(1))
    if request.command != 1:
        return Reject(answer(7))
    if request.port == 0:
        return Reject(answer(1))
    return Forward(
        request.remote, data=data[request.length :], reply_on_connect=answer(0), reply_on_failure=answer(5), retries=0
    )


def greet(data, client):
    greeting = socks5_greeting(data)
    if greeting is NEED_DATA:
        return NEED_DATA
    if greeting is None:
        return Reject()
    if 0 not in greeting.methods:
        return Reject(NONE_ACCEPTABLE)
    client.state["greeted"] = True
    return Reply(NO_AUTHENTICATION, consume=greeting.length)

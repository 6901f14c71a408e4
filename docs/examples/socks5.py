"""SOCKS5 (RFC 1928) without authentication, for CONNECT: a negotiation of two steps.

The client offers ways of authentication and is told which one; then it asks for a connection and is told what came of
it.  ``client.state`` remembers the step.

Run it::

    twistd -n proxymux --router socks5.py --host 127.0.0.1 --port 1080

Try it::

    curl --socks5 127.0.0.1:1080 http://example.com/
    curl --socks5-hostname 127.0.0.1:1080 http://example.com/     # the name is looked up here

Whoever may connect may go anywhere from here: keep it on loopback, or say who may with ``--allow``.
"""

from proxymux import NEED_DATA, Forward, Reject, Reply
from proxymux.sniff import socks5_greeting, socks5_request

NO_AUTHENTICATION, NONE_OF_THESE = b"\5\0", b"\5\xff"
DONE, FAILED, NO_SUCH_COMMAND, NO_SUCH_ADDRESS_TYPE = 0, 1, 7, 8


def answer(code):
    """A reply of RFC 1928 section 6; the address in it is of no use to a client that connects."""
    return bytes([5, code, 0, 1]) + bytes(6)


def proxy(data, client):
    return connect(data) if "greeted" in client.state else greet(data, client)


def greet(data, client):
    greeting = socks5_greeting(data)
    if greeting is NEED_DATA:
        return NEED_DATA
    if greeting is None:
        return Reject()
    if 0 not in greeting.methods:
        return Reject(NONE_OF_THESE)
    client.state["greeted"] = True
    return Reply(NO_AUTHENTICATION, consume=greeting.length)


def connect(data):
    request = socks5_request(data)
    if request is NEED_DATA:
        return NEED_DATA
    if request is None or request.command != 1:
        return Reject(answer(what_is_wrong(data)))
    granted, failed, rest = answer(DONE), answer(FAILED), data[request.length :]
    try:
        return Forward(request.remote, data=rest, reply_on_connect=granted, reply_on_failure=failed, retries=0)
    except ValueError:  # port 0, or a name that cannot be one
        return Reject(failed)


def what_is_wrong(data):
    rules = [(b"\5", FAILED), (b"\1", NO_SUCH_COMMAND), (b"\0", FAILED), (b"\1\3\4", NO_SUCH_ADDRESS_TYPE)]
    for place, (accepted, code) in enumerate(rules):
        if data[place : place + 1] not in accepted:
            return code
    return FAILED

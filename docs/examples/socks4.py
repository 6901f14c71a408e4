r"""SOCKS4 and SOCKS4a in a few lines, however the request is cut into segments.

The client is told "granted" when the upstream is there and "rejected" when it could not be reached.

Run it::

    twistd -n proxymux --router socks4.py --host 127.0.0.1 --port 1080

Try it::

    curl --socks4 127.0.0.1:1080 http://example.com/
    curl --socks4a 127.0.0.1:1080 http://example.com/
    printf '\4\1\0\120\177\0\0\1me\0' > sample && proxymux check socks4.py --sample sample

Whoever may connect may go anywhere from here: keep it on loopback, or say who may with ``--allow``.
"""

from proxymux import NEED_DATA, Forward, Reject

GRANTED = b"\0\x5a" + bytes(6)
REJECTED = b"\0\x5b" + bytes(6)
LONGEST = 8 + 2 * 256  # bytes of a request whose user and host name are as long as names are


def proxy(data):
    if not b"\4\1".startswith(data[:2]):  # version 4, command CONNECT
        return Reject(REJECTED)
    port, host = int.from_bytes(data[2:4], "big"), ".".join(map(str, data[4:8]))
    _user, end, rest = data[8:].partition(b"\0")
    if end and host.startswith("0.0.0.") and host != "0.0.0.0":  # 4a: the name follows
        name, end, rest = rest.partition(b"\0")
        host = name.decode("ascii", "replace")
    if len(data) - len(rest) > LONGEST:  # as far as it was read, whether its end has come or not
        return Reject(REJECTED)
    if not end:
        return NEED_DATA
    try:
        return Forward(f"{host}:{port}", data=rest, reply_on_connect=GRANTED, reply_on_failure=REJECTED, retries=0)
    except ValueError:  # port 0, or a name that cannot be one
        return Reject(REJECTED)

"""TLS by server name, passed through: no key and no certificate here, the servers have theirs.

A client that gives no name gets the default; one that asks for a name that is not served gets the TLS alert
"unrecognized_name", which says what is wrong.

Run it, here with self-made certificates and a server for each of the two names and for no name::

    for n in a b d; do openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=$n.example -keyout $n.key -out $n.pem; done
    openssl s_server -accept 127.0.0.1:8441 -www -cert a.pem -key a.key &
    openssl s_server -accept 127.0.0.1:8442 -www -cert b.pem -key b.key &
    openssl s_server -accept 127.0.0.1:8440 -www -cert d.pem -key d.key &
    twistd -n proxymux --router sni.py --port 8443

Try it::

    openssl s_client -connect 127.0.0.1:8443 -servername a.example
    openssl s_client -connect 127.0.0.1:8443 -servername b.example
    openssl s_client -connect 127.0.0.1:8443 -noservername
    openssl s_client -connect 127.0.0.1:8443 -servername c.example     # alert unrecognized name
"""

from proxymux import NEED_DATA, Forward, Reject
from proxymux.sniff import tls_client_hello

SERVERS = {
    "a.example": "127.0.0.1:8441",
    "b.example": "127.0.0.1:8442",
}
DEFAULT = "127.0.0.1:8440"
UNRECOGNIZED_NAME = bytes.fromhex("15 0301 0002 02 70")  # an alert of 2 bytes: fatal, 112


def proxy(data):
    hello = tls_client_hello(data)
    if hello is NEED_DATA:
        return NEED_DATA
    if hello is None:
        return Reject()
    if hello.server_name is None:
        return Forward(DEFAULT)
    server = SERVERS.get(hello.server_name)
    return Forward(server) if server else Reject(UNRECOGNIZED_NAME)

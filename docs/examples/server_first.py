"""Upstreams that speak first (SMTP, MySQL, FTP): the client waits for a greeting, so there is nothing to read yet.

``proxy_accepted`` decides before any byte, by where the client comes from.  ``client.local[1]`` is the port that it
came to: with ``--listen tcp:2525 --listen tcp:3307`` it tells a mail server's clients from a database's.

Run it, with a mail server on each of the two ports below::

    twistd -n proxymux --router server_first.py --port 2525

Try it::

    curl smtp://127.0.0.1:2525 --mail-from me@example.com --mail-rcpt you@example.com --upload-file mail.txt
"""

import ipaddress

from proxymux import Forward, Reject

SERVERS = {
    ipaddress.ip_network("127.0.0.0/24"): "127.0.0.1:25",
    ipaddress.ip_network("10.0.0.0/8"): "127.0.0.1:26",
}


def proxy_accepted(client):
    address = ipaddress.ip_address(client.address[0])
    for network, server in SERVERS.items():
        if address in network:
            return Forward(server)
    return Reject(b"554 5.7.1 no service for you here\r\n")


def proxy(data):
    """Never asked: the decision is made before any byte has come."""


def proxy_connect_error(remote):
    return b"421 4.3.0 the mail server is away, try again later\r\n"

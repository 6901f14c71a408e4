r"""TLS, SSH and HTTP on one port, told apart by what the client says first.

An SSH server and its client both speak at once, and no common client waits for the server first; one that did
would be closed after ``--decide-timeout``.

Run it, here with a self-made certificate, and the SSH server that there is::

    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=example -keyout key.pem -out cert.pem
    openssl s_server -accept 127.0.0.1:8443 -www -cert cert.pem -key key.pem &
    python3 -m http.server 8080 --bind 127.0.0.1 &
    twistd -n proxymux --router one_port.py --port 443

Try it::

    curl -k https://127.0.0.1:443/
    curl http://127.0.0.1:443/
    ssh -p 443 127.0.0.1
    printf 'SSH-2.0-test\r\n' > sample && proxymux check one_port.py --sample sample
"""

from proxymux import NEED_DATA, Forward, Reject
from proxymux.sniff import http_request, ssh, tls_client_hello

SERVERS = [
    (tls_client_hello, "127.0.0.1:8443"),
    (ssh, "127.0.0.1:22"),
    (http_request, "127.0.0.1:8080"),
]


def proxy(data):
    undecided = False
    for sniff, server in SERVERS:
        found = sniff(data)
        if found is NEED_DATA:
            undecided = True
        elif found is not None:
            return Forward(server)
    return NEED_DATA if undecided else Reject()

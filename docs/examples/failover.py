"""Failover: two HTTP servers, the second for when the first is away; an HTTP 503 when both are.

Run it::

    python3 -m http.server 8081 --bind 127.0.0.1 &
    python3 -m http.server 8082 --bind 127.0.0.1 &
    twistd -n proxymux --router failover.py --port 8080

Try it::

    curl http://127.0.0.1:8080/
    kill %1 && curl http://127.0.0.1:8080/
    kill %2 && curl -i http://127.0.0.1:8080/
"""

from proxymux import Forward

SERVERS = ["127.0.0.1:8081", "127.0.0.1:8082"]
SORRY = b"both servers are away, try again soon\n"


def proxy(data):
    # retries: once more through the list, 0.1 s later, before the 503.
    return Forward(SERVERS, connect_timeout=2, retries=1)


def proxy_connect_error(remote):
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: {len(SORRY)}\r\nConnection: close\r\n\r\n"
    return head.encode() + SORRY

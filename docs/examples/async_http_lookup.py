"""HTTP by Host, where another HTTP service knows the upstreams: GET /upstream/NAME answers ``host:port``, or 404.

Other clients go on while one waits for the answer.  Answers are kept for a while, and not too many of them.  Needs
treq (``pip install treq``).

Run it::

    mkdir -p web/upstream && echo 127.0.0.1:8081 > web/upstream/shop.example
    python3 -m http.server 8000 --bind 127.0.0.1 --directory web &
    python3 -m http.server 8081 --bind 127.0.0.1 &
    twistd -n proxymux --router async_http_lookup.py --port 8080

Try it::

    curl -H 'Host: shop.example' http://127.0.0.1:8080/
    curl -i -H 'Host: nobody.example' http://127.0.0.1:8080/    # 404
    kill %1 && curl -i -H 'Host: new.example' http://127.0.0.1:8080/    # 503
"""

import time
from urllib.parse import quote

import treq
from twisted.logger import Logger

from proxymux import NEED_DATA, Forward, Reject
from proxymux.sniff import http_request

SERVICE = "http://127.0.0.1:8000/upstream/"
KEEP_SECONDS, KEEP_NAMES = 30, 1000

log = Logger("lookup")
kept = {}


def sorry(status):
    return Reject(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


async def lookup(name):
    """The upstream for ``name``, or None if it has none."""
    expires, upstream = kept.get(name, (0, None))
    if time.monotonic() < expires:
        return upstream
    response = await treq.get(SERVICE + quote(name, safe=""), timeout=5)
    text = await response.text()
    if response.code not in (200, 404):
        raise LookupError(f"the service answered {response.code}")
    upstream = text.strip() if response.code == 200 else None
    kept.pop(name, None)
    if len(kept) >= KEEP_NAMES:
        del kept[next(iter(kept))]  # the oldest
    kept[name] = time.monotonic() + KEEP_SECONDS, upstream
    return upstream


async def proxy(data):
    request = http_request(data)
    if request is NEED_DATA:
        return NEED_DATA
    if request is None or not request.host:
        return sorry("400 Bad Request")
    try:
        upstream = await lookup(request.host)
        return Forward(upstream) if upstream else sorry("404 Not Found")
    except Exception as error:  # whatever is wrong with the service, its client gets a proper answer
        log.error("{name}: {error!r}", name=request.host, error=error)
        return sorry("503 Service Unavailable")

"""Reads to the replicas, writes to the primary; who has written reads at the primary for a second.

With ``--async`` a read takes the least busy connection of all replicas. What is not among READS goes to the primary;
it is a write if it has a key (so FLUSHALL is none). A replica may be behind by more than a second, and what others
have written may be missing there at any time.

Run it::

    twistd -n proxymux-pool --listen tcp:6380 --codec resp --async --router replicas.py --target primary \\
        --cluster 'primary=127.0.0.1:6379;connections=4' \\
        --cluster 'replicas=127.0.0.1:16379,127.0.0.1:26379;connections=2'

Try it::

    redis-server --port 6379 & redis-server --port 16379 --replicaof 127.0.0.1 6379 &
    redis-server --port 26379 --replicaof 127.0.0.1 6379 &
    redis-cli -p 6380 set a 1
    redis-cli -p 6380 get a
    redis-cli -p 16379 info commandstats
"""

import time

OWN_WRITES = 1.0  # seconds
NAMES = (
    "GET MGET STRLEN GETRANGE EXISTS TYPE TTL PTTL HGET HMGET HGETALL HLEN HEXISTS HKEYS HVALS LRANGE LLEN LINDEX "
    "SMEMBERS SISMEMBER SCARD ZRANGE ZREVRANGE ZSCORE ZCARD ZRANK ZCOUNT XRANGE XLEN"
)
READS = set(NAMES.split())


def route(request, client):
    """Say where a request goes."""
    if request.command not in READS:
        if request.key is not None:
            client.state["wrote"] = time.monotonic()
        return "primary"
    wrote = client.state.get("wrote")
    if wrote is not None and time.monotonic() - wrote < OWN_WRITES:
        return "primary"
    return "replicas"

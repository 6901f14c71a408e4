"""Shards by the prefix of the key: users and sessions have servers of their own, the rest is at the first --target.

Run it::

    twistd -n proxymux-pool --listen tcp:6380 --codec resp --target 127.0.0.1:6379 --router shards.py

Try it, with a Redis on each of the three ports::

    redis-cli -p 6380 mset user:1 ann session:1 x other 3
    redis-cli -p 6380 mget session:1 other user:1
    redis-cli -p 16379 keys '*'
"""

SHARDS = {b"user": "127.0.0.1:16379", b"session": "127.0.0.1:26379"}


def route(request):
    """Say where a request goes; None is the first --target."""
    if request.key is None:
        return None
    return SHARDS.get(request.key.partition(b":")[0])

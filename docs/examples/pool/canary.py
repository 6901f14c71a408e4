"""A canary: a percentage of the keys is at a second Redis, each key always at the same one.

Keys that move are not copied: what the first Redis has of them is not seen at the second. A command with several keys
goes by its first one, unless it can be split (MGET, MSET, DEL and their like).

Run it::

    twistd -n proxymux-pool --listen tcp:6380 --codec resp --target 127.0.0.1:6379 --router canary.py

Try it, with a Redis on each of the two ports::

    redis-cli -p 6380 mset a 1 b 2 c 3 d 4 e 5 f 6 g 7 h 8 i 9 j 10 k 11 l 12
    redis-cli -p 6380 mget a b c d e f g h i j k l
    redis-cli -p 16379 keys '*'
"""

import zlib

CANARY = "127.0.0.1:16379"
PERCENT = 10


def route(request):
    """Say where a request goes; None is the first --target."""
    if request.key is not None and zlib.crc32(request.key) % 100 < PERCENT:
        return CANARY
    return None

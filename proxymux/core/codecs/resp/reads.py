"""Which commands of Redis change nothing, so that they may be sent a second time.

Sources: the flag ``readonly`` of https://redis.io/docs/latest/commands/command/, and the commands that concern no key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

#: Names of commands that change nothing, whatever their arguments.
READS: Final = frozenset(
    b"BITCOUNT BITFIELD_RO BITPOS DBSIZE DUMP ECHO EVALSHA_RO EVAL_RO EXISTS EXPIRETIME FCALL_RO GEODIST GEOHASH "
    b"GEOPOS GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH GET GETBIT GETRANGE HEXISTS HEXPIRETIME HGET HGETALL "
    b"HKEYS HLEN HMGET HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSTRLEN HTTL HVALS INFO KEYS LASTSAVE LCS LINDEX LLEN "
    b"LOLWUT LPOS LRANGE MGET PEXPIRETIME PFCOUNT PING PTTL RANDOMKEY ROLE SCAN SCARD SDIFF SINTER SINTERCARD "
    b"SISMEMBER SMEMBERS SMISMEMBER SORT_RO SRANDMEMBER SSCAN STRLEN SUBSTR SUNION TIME TOUCH TTL TYPE XLEN "
    b"XPENDING XRANGE XREAD XREVRANGE ZCARD ZCOUNT ZDIFF ZINTER ZINTERCARD ZLEXCOUNT ZMSCORE ZRANDMEMBER ZRANGE "
    b"ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION".split()
)
#: The same of commands with subcommands: their first two words.
SUBCOMMANDS: Final = frozenset(
    (name, word)
    for name, words in (
        (b"CONFIG", b"GET"),
        (b"MEMORY", b"USAGE STATS"),
        (b"OBJECT", b"ENCODING FREQ IDLETIME REFCOUNT"),
        (b"PUBSUB", b"CHANNELS NUMPAT NUMSUB SHARDCHANNELS SHARDNUMSUB"),
        (b"XINFO", b"CONSUMERS GROUPS STREAM"),
    )
    for word in words.split()
)
_ARRAY: Final = 42  # *


def is_repeatable(data: bytes) -> bool:
    """True if none of the commands in ``data`` changes anything.

    :param data: complete commands, as they were found by the request scanner.
    """
    return all(
        words[0].upper() in READS or tuple(word.upper() for word in words[:2]) in SUBCOMMANDS
        for words in _commands(data)
        if words
    )


def _commands(data: bytes) -> Iterator[list[bytes]]:
    """The words of each command; none of an empty one, which has no reply."""
    at, size = 0, len(data)
    while at < size:
        end = data.index(b"\n", at) + 1
        if data[at] != _ARRAY:
            words = data[at:end].split()
            at = end
        else:
            words = []
            count, at = int(data[at + 1 : end]), end
            for _ in range(count):
                end = data.index(b"\n", at) + 1
                length = int(data[at + 1 : end])
                words.append(data[end : end + length])
                at = end + length + 2
        yield words

"""Where the keys of each Redis command are.

From the key specifications in Redis's own command table: the reply to ``COMMAND`` of Redis 7.0, ``src/commands/*.json``
up to 8.0 (https://github.com/redis/redis), the pages of https://redis.io/docs/latest/commands/ for 8.2 and 8.4, and for
the modules that Redis 8 has.  A command that is not here has no keys, as far as is known.  Redis says that the channels
of SPUBLISH and SSUBSCRIBE are no keys; here they are, since they have a place as keys have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxymux.core.codecs.resp.key_rules import CountedRule, FixedRule, KeyRule, MigrateRule, OptionRule, StreamsRule

#: The rules of most commands: the first argument is the only key.
ONE: Final[tuple[KeyRule, ...]] = (FixedRule(1),)
_SORT_OPTIONS: Final = {b"LIMIT": 2, b"GET": 1, b"BY": 1}
_XREAD_OPTIONS: Final = {b"BLOCK": 1, b"COUNT": 1, b"GROUP": 2, b"CLAIM": 1}
_MIGRATE_OPTIONS: Final = {b"AUTH": 1, b"AUTH2": 2}

#: Rules, and the commands that have them.
_ROWS: Final[tuple[tuple[Sequence[KeyRule], bytes], ...]] = (
    (
        ONE,
        # Strings, bits, HyperLogLogs, and keys of any type.
        b"APPEND BITCOUNT BITFIELD BITFIELD_RO BITPOS DECR DECRBY DELEX DIGEST DUMP EXPIRE EXPIREAT EXPIRETIME GET "
        b"GETBIT GETDEL GETEX GETRANGE GETSET INCR INCRBY INCRBYFLOAT MOVE PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFADD "
        b"PSETEX PTTL RESTORE RESTORE-ASKING SET SETBIT SETEX SETNX SETRANGE SORT_RO STRLEN SUBSTR TTL TYPE "
        # Hashes.
        b"HDEL HEXISTS HEXPIRE HEXPIREAT HEXPIRETIME HGET HGETALL HGETDEL HGETEX HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET "
        b"HMSET HPERSIST HPEXPIRE HPEXPIREAT HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSET HSETEX HSETNX HSTRLEN HTTL HVALS "
        # Lists and sets.
        b"LINDEX LINSERT LLEN LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM RPOP RPUSH RPUSHX "
        b"SADD SCARD SISMEMBER SMEMBERS SMISMEMBER SPOP SRANDMEMBER SREM SSCAN "
        # Sorted sets and places on a map.
        b"ZADD ZCARD ZCOUNT ZINCRBY ZLEXCOUNT ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE "
        b"ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE "
        b"ZREVRANK ZSCAN ZSCORE "
        b"GEOADD GEODIST GEOHASH GEOPOS GEORADIUSBYMEMBER_RO GEORADIUS_RO GEOSEARCH "
        # StreamsRule, and channels that belong to a place.
        b"XACK XACKDEL XADD XAUTOCLAIM XCLAIM XDEL XDELEX XLEN XPENDING XRANGE XREVRANGE XSETID XTRIM SPUBLISH "
        # Sets of vectors, JSON, filters, counts, series of time, and suggestions.
        b"VADD VCARD VDIM VEMB VGETATTR VINFO VISMEMBER VLINKS VRANDMEMBER VRANGE VREM VSETATTR VSIM "
        b"JSON.ARRAPPEND JSON.ARRINDEX JSON.ARRINSERT JSON.ARRLEN JSON.ARRPOP JSON.ARRTRIM JSON.CLEAR JSON.DEL "
        b"JSON.FORGET JSON.GET JSON.MERGE JSON.NUMINCRBY JSON.NUMMULTBY JSON.OBJKEYS JSON.OBJLEN JSON.RESP JSON.SET "
        b"JSON.STRAPPEND JSON.STRLEN JSON.TOGGLE JSON.TYPE "
        b"BF.ADD BF.CARD BF.EXISTS BF.INFO BF.INSERT BF.LOADCHUNK BF.MADD BF.MEXISTS BF.RESERVE BF.SCANDUMP "
        b"CF.ADD CF.ADDNX CF.COUNT CF.DEL CF.EXISTS CF.INFO CF.INSERT CF.INSERTNX CF.LOADCHUNK CF.MEXISTS CF.RESERVE "
        b"CF.SCANDUMP CMS.INCRBY CMS.INFO CMS.INITBYDIM CMS.INITBYPROB CMS.QUERY "
        b"TOPK.ADD TOPK.COUNT TOPK.INCRBY TOPK.INFO TOPK.LIST TOPK.QUERY TOPK.RESERVE "
        b"TDIGEST.ADD TDIGEST.BYRANK TDIGEST.BYREVRANK TDIGEST.CDF TDIGEST.CREATE TDIGEST.INFO TDIGEST.MAX TDIGEST.MIN "
        b"TDIGEST.QUANTILE TDIGEST.RANK TDIGEST.RESET TDIGEST.REVRANK TDIGEST.TRIMMED_MEAN "
        b"TS.ADD TS.ALTER TS.CREATE TS.DECRBY TS.DEL TS.GET TS.INCRBY TS.INFO TS.RANGE TS.REVRANGE "
        b"FT.SUGADD FT.SUGDEL FT.SUGGET FT.SUGLEN",
    ),
    ((FixedRule(1, -1),), b"DEL EXISTS MGET PFCOUNT SDIFF SINTER SUNION TOUCH UNLINK WATCH SSUBSCRIBE SUNSUBSCRIBE"),
    ((FixedRule(1, -1, 2),), b"MSET MSETNX"),
    ((FixedRule(1, -1, 3),), b"JSON.MSET TS.MADD"),
    ((FixedRule(1, -2),), b"BLPOP BRPOP BZPOPMAX BZPOPMIN JSON.MGET"),
    (
        (FixedRule(1, 2),),
        b"BLMOVE BRPOPLPUSH COPY GEOSEARCHSTORE LCS LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE "
        b"TS.CREATERULE TS.DELETERULE",
    ),
    ((FixedRule(1), FixedRule(2, -1)), b"PFMERGE SDIFFSTORE SINTERSTORE SUNIONSTORE"),
    ((FixedRule(2), FixedRule(3, -1)), b"BITOP"),
    (
        (FixedRule(2),),
        b"MEMORY|USAGE OBJECT|ENCODING OBJECT|FREQ OBJECT|IDLETIME OBJECT|REFCOUNT PFDEBUG JSON.DEBUG|MEMORY "
        b"XGROUP|CREATE XGROUP|CREATECONSUMER XGROUP|DELCONSUMER XGROUP|DESTROY XGROUP|SETID "
        b"XINFO|CONSUMERS XINFO|GROUPS XINFO|STREAM",
    ),
    ((CountedRule(1),), b"LMPOP SINTERCARD ZDIFF ZINTER ZINTERCARD ZMPOP ZUNION"),
    ((CountedRule(2),), b"BLMPOP BZMPOP EVAL EVALSHA EVALSHA_RO EVAL_RO FCALL FCALL_RO"),
    ((CountedRule(1, 2),), b"MSETEX"),
    ((FixedRule(1), CountedRule(2)), b"ZDIFFSTORE ZINTERSTORE ZUNIONSTORE CMS.MERGE TDIGEST.MERGE"),
    ((FixedRule(1), OptionRule(b"STORE", 2, _SORT_OPTIONS)), b"SORT"),
    ((FixedRule(1), OptionRule(b"STORE", 6, {}), OptionRule(b"STOREDIST", 6, {})), b"GEORADIUS"),
    ((FixedRule(1), OptionRule(b"STORE", 5, {}), OptionRule(b"STOREDIST", 5, {})), b"GEORADIUSBYMEMBER"),
    ((StreamsRule(_XREAD_OPTIONS),), b"XREAD XREADGROUP"),
    ((MigrateRule(_MIGRATE_OPTIONS),), b"MIGRATE"),
)

#: The rules of each command that has keys, by its name; behind it the subcommand, if it depends on that.
KEY_TABLE: Final = {name: rules for rules, names in _ROWS for name in names.split()}
#: The commands of which only some subcommands have keys.
CONTAINERS: Final = frozenset(name.partition(b"|")[0] for name in KEY_TABLE if b"|" in name)


def rules_of(name: bytes, subcommand: bytes) -> Sequence[KeyRule]:
    """The rules by which the keys of a command are found; none if it has no keys.

    :param name: in upper case.
    :param subcommand: the word behind it, in upper case; it only counts where the keys depend on it.
    """
    return KEY_TABLE.get(name + b"|" + subcommand if name in CONTAINERS else name, ())

"""Answers of Redis's to the questions who serves what, as values."""

from __future__ import annotations

from proxymux.core.redis_cluster.resp_values import RespError, Value


def encoded(value: Value) -> bytes:
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    if isinstance(value, RespError):
        return b"-%b\r\n" % value.text
    return b"*%d\r\n" % len(value) + b"".join(map(encoded, value))


def node(port: Value, role: bytes = b"master", health: bytes = b"online", **other: Value) -> Value:
    """A node in an answer to ``CLUSTER SHARDS``."""
    fields: dict[bytes, Value] = {b"id": b"0" * 40, b"port": port, b"ip": b"10.0.0.1", b"endpoint": b"10.0.0.1"}
    fields |= {b"role": role, b"replication-offset": 7, b"health": health}
    fields |= {name.replace("_", "-").encode(): value for name, value in other.items()}
    return [item for pair in fields.items() for item in pair]


def shard(slots: list[Value], *nodes: Value) -> Value:
    return [b"slots", slots, b"nodes", list(nodes)]


#: Three primaries and a replica, as Redis 7.0 says it.
SHARDS: Value = [
    shard([0, 5460], node(1), node(4, b"replica")),
    shard([5461, 10922], node(2)),
    shard([10923, 16383], node(3)),
]
#: The same as an answer to ``CLUSTER SLOTS``.
SLOTS: Value = [
    [0, 5460, [b"10.0.0.1", 1, b"0" * 40, []], [b"10.0.0.1", 4, b"0" * 40, []]],
    [5461, 10922, [b"10.0.0.1", 2, b"0" * 40, []]],
    [10923, 16383, [b"10.0.0.1", 3, b"0" * 40]],
]

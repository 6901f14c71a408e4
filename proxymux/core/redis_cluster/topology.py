"""The topology of a Redis Cluster, as a node says it: its shards, each with a primary, replicas and slots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from proxymux.core.redis_cluster.redirect import address_of
from proxymux.core.redis_cluster.resp_values import Value
from proxymux.core.redis_cluster.slot_map import SlotMap
from proxymux.core.target import InetTarget
from proxymux.errors import BadAddress, BadMessage

#: The most nodes of an answer.
MOST_NODES: Final = 16384
#: What a node says in the place of a host name that was not configured.
_NO_NAME: Final = b"?"


class Topology(NamedTuple):
    """What is known of a cluster at one time.

    :param primaries: who serves slots, or may soon, in the order of their addresses.
    :param replicas: each with its primary.
    """

    primaries: tuple[InetTarget, ...]
    replicas: dict[InetTarget, InetTarget]
    slots: SlotMap

    @property
    def nodes(self) -> tuple[InetTarget, ...]:
        """All who may be asked, the primaries first."""
        return (*self.primaries, *self.replicas)


class _Shard(NamedTuple):
    """One primary with what is its own.  Without a primary that has an address, its slots are nobody's."""

    primary: InetTarget | None
    replicas: list[InetTarget | None]
    ranges: list[tuple[int, int]]


def parse_shards(answer: Value, asked: InetTarget, is_tls: bool) -> Topology:
    """Read the answer to ``CLUSTER SHARDS`` (Redis 7.0 and newer).

    A primary that serves nothing belongs to it, if it is well: slots may be about to move there.

    :param asked: who has answered; a node without a host is on the same.
    :param is_tls: nodes are wanted by their ports of TLS.
    :raises BadMessage: if it is none.
    """
    shards: dict[InetTarget | None, _Shard] = {}
    port_name = b"tls-port" if is_tls else b"port"

    def address(node: dict[bytes, Value]) -> InetTarget | None:
        return _address(node.get(b"endpoint"), node.get(b"ip"), node.get(port_name), asked)

    for each in _list(answer):
        shard = _map(each)
        ranges = list(_pairs(_list(shard.get(b"slots"))))
        nodes = [_map(node) for node in _list(shard.get(b"nodes"))]
        leaders = sorted((node for node in nodes if node.get(b"role") == b"master"), key=_is_ill)
        if leaders and (ranges or not _is_ill(leaders[0])):
            primary = address(leaders[0])
            replicas = [address(node) for node in nodes if node.get(b"role") == b"replica"]
            _add(shards, _Shard(primary, replicas, ranges))
    return _topology(shards.values())


def parse_slots(answer: Value, asked: InetTarget) -> Topology:
    """Read the answer to ``CLUSTER SLOTS`` (all versions): ranges, each with its nodes, the primary first.

    :param asked: who has answered; a node without a host is on the same.
    :raises BadMessage: if it is none.
    """
    shards: dict[InetTarget | None, _Shard] = {}
    for each in _list(answer):
        first, last, *nodes = _list(each, least=2)
        addresses = []
        for node in nodes:
            endpoint, port, *more = _list(node, least=2)
            ip = _map(more[1]).get(b"ip") if len(more) > 1 else None
            addresses.append(_address(endpoint, ip, port, asked))
        if addresses:
            _add(shards, _Shard(addresses[0], addresses[1:], list(_pairs([first, last]))))
    return _topology(shards.values())


def _add(shards: dict[InetTarget | None, _Shard], shard: _Shard) -> None:
    """Add a shard, or one more part of it."""
    known = shards.setdefault(shard.primary, _Shard(shard.primary, [], []))
    known.replicas.extend(shard.replicas)
    known.ranges.extend(shard.ranges)


def _topology(shards: Iterable[_Shard]) -> Topology:
    ranges, replicas = [], {}
    primaries = set()
    for shard in shards:
        if shard.primary is None:
            continue
        primaries.add(shard.primary)
        ranges += [(first, last, shard.primary) for first, last in shard.ranges]
        replicas.update({each: shard.primary for each in shard.replicas if each is not None})
    for each in primaries & replicas.keys():
        del replicas[each]
    if len(primaries) + len(replicas) > MOST_NODES:
        raise _bad(f"more than {MOST_NODES} nodes")
    in_order = sorted(replicas, key=str)
    return Topology(
        tuple(sorted(primaries, key=str)), {each: replicas[each] for each in in_order}, SlotMap(sorted(ranges))
    )


def _address(endpoint: Value, ip: Value, port: Value, asked: InetTarget) -> InetTarget | None:
    """The address of a node; None if it has none of use."""
    host = ip if endpoint == _NO_NAME else endpoint
    if host is None:
        host = b""
    if not isinstance(host, bytes) or not isinstance(port, int):
        return None
    try:
        return address_of(host.decode("ascii"), port, asked)
    except (BadAddress, UnicodeDecodeError):
        return None


def _is_ill(node: dict[bytes, Value]) -> bool:
    return node.get(b"health") != b"online"


def _list(value: Value, least: int = 0) -> list[Value]:
    if not isinstance(value, list) or len(value) < least:
        raise _bad("no list where one has to be")
    return value


def _map(value: Value) -> dict[bytes, Value]:
    """What RESP2 says as a list: names and values in turn."""
    items = _list(value)
    return {name: each for name, each in zip(items[::2], items[1::2], strict=False) if isinstance(name, bytes)}


def _pairs(items: list[Value]) -> Iterator[tuple[int, int]]:
    """The ranges of slots in a list of first and last ones."""
    for first, last in zip(items[::2], items[1::2], strict=False):
        if not isinstance(first, int) or not isinstance(last, int):
            raise _bad("a slot that is no number")
        yield first, last


def _bad(problem: str) -> BadMessage:
    return BadMessage(f"Redis Cluster: {problem} in an answer")

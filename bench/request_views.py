"""What it costs to see what a request is about, and to cut one for many keys into parts and join the replies.

``python -m bench.request_views`` prints the CPU time of each as a ratio to finding the same request in what a client
sends, which a pool does anyway.  Rounds are interleaved; each figure is the least.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from proxymux.core.balancing import make_balancer
from proxymux.core.cluster_spec import parse_cluster
from proxymux.core.codecs import Codec, make_codec
from proxymux.core.codecs.resp.words import array_of
from proxymux.core.health import Health, HealthRules
from proxymux.core.member import Member, parse_entry

_ROUNDS: Final = 25
_CALLS: Final = 4000
_KEYS: Final = [b"key:%d" % number for number in range(1000)]
_RUN: Final = 16
_VALUE: Final = b"v" * 10
_PLACES: Final = [number % 8 for number in range(len(_KEYS))]


def _choose() -> Callable[[bytes], object]:
    """Chooses among four members by ketama."""
    members = [Member(parse_entry(f"10.0.0.{number}:1"), 1, Health(HealthRules()), 0.0) for number in range(4)]
    balancer = make_balancer(parse_cluster("bench=127.0.0.1:1;policy=ketama"), lambda: 0.0)
    balancer.update(members, members)
    return lambda key: balancer.choose(key, None)


def _one(codec: Codec, data: bytes) -> dict[str, Callable[[], object]]:
    """What is done with one request."""
    feed = codec.requests().feed
    return {
        "found by the scanner": lambda: feed(data),
        "key_of": lambda: codec.key_of(data),
        "view, key": lambda: codec.view(data).key,
        "view, command and key": lambda: (view := codec.view(data)).command and view.key,
    }


def _many(codec: Codec, data: bytes, reply: Callable[[bytes, int], bytes]) -> dict[str, Callable[[], object]]:
    """What is done with one request for many keys."""
    feed = codec.requests().feed
    view = codec.view(data)
    replies = [reply(part.data, len(part.positions)) for part in view.split(_PLACES).parts]

    def joined() -> bytes:
        split = view.split(_PLACES)
        for number, each in enumerate(replies):
            split.add(number, each)
        return split.reply()

    return {
        "found by the scanner": lambda: feed(data),
        "view, keys": lambda: codec.view(data).keys,
        "split": lambda: view.split(_PLACES),
        "split and joined": joined,
    }


def _array(data: bytes, count: int) -> bytes:
    return b"*%d\r\n" % count + b"$10\r\n%b\r\n" % _VALUE * count


def _values(data: bytes, count: int) -> bytes:
    return b"".join(b"VALUE %b 0 10\r\n%b\r\n" % (key, _VALUE) for key in data.split()[1:]) + b"END\r\n"


def _measure(title: str, works: dict[str, Callable[[], object]], calls: int) -> None:
    """Print what each costs; the first is 1."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(_ROUNDS):
        for name, work in works.items():
            begun = time.process_time()
            for _ in range(calls):
                work()
            best[name] = min(best[name], (time.process_time() - begun) / calls)
    first = next(iter(best.values()))
    print(title)
    for name, seconds in best.items():
        print(f"    {name:<26} {seconds / first:5.2f}   {seconds * 1e6:8.2f} µs")


def main() -> None:
    """Measure and print."""
    resp, memcache = make_codec("resp"), make_codec("memcache")
    get, choose = array_of([b"GET", b"key:1"]), _choose()
    works = _one(resp, get)
    works["ketama, a key that is known"] = lambda: choose(b"key:1")
    _measure("resp: GET", works, _CALLS)
    _measure("resp: SET", _one(resp, array_of([b"SET", b"key:1", _VALUE])), _CALLS)
    run, feed = get * _RUN, resp.requests().feed
    _measure(
        f"resp: {_RUN} GET",
        {"found by the scanner": lambda: feed(run), "cut": lambda: resp.cut_run(run)},
        _CALLS // _RUN,
    )
    _measure("memcache: get", _one(memcache, b"get key:1\r\n"), _CALLS)
    _measure("resp: MGET of 1,000 keys, 8 places", _many(resp, array_of([b"MGET", *_KEYS]), _array), 5)
    _measure("memcache: get of 1,000 keys, 8 places", _many(memcache, b"get " + b" ".join(_KEYS) + b"\r\n", _values), 5)


if __name__ == "__main__":
    main()

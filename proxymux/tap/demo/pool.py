"""``twistd proxymux-pool --demo``: any number of clients share two connections to an HTTP server."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxymux.core.pool_target import parse_pool_target
from proxymux.net.clock import monotonic
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.pool.settings import PoolSettings
from proxymux.service import ProxyService
from proxymux.tap.demo import Demo, Stage
from proxymux.tap.demo.upstreams import shared
from proxymux.tap.pool import make_pool
from proxymux.tap.wiring import make_log

#: How many connections the pool may have.
_CONNECTIONS: Final = 2
_GREETING: Final = """\

proxymux demo: a pool, whose clients share {connections} connections to an HTTP server.
In a second terminal, one client, and a hundred, of which twenty are there at once:

    curl http://{address}/
    seq 100 | xargs -I_ -P 20 curl -s http://{address}/ | sort | uniq -c

The server says on which of its connections it was asked.
Stop it with Ctrl-C.
"""


def make_demo(reactor: Reactor, settings: PoolSettings) -> Demo:
    """Put the pool's demo together.

    :param settings: their target is replaced by the demo's server.
    """

    def make(stage: Stage) -> ProxyService:
        targets = [parse_pool_target(f"127.0.0.1:{stage.ports[0]}")] * _CONNECTIONS
        return make_pool(reactor, replace(settings, target=targets))

    def greeting(address: str, _: Stage) -> str:
        return _GREETING.format(address=address, connections=_CONNECTIONS)

    return Demo(reactor, settings, make_log(settings), [shared(monotonic(reactor))], make, greeting)

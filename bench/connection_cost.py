"""What one joined connection costs a machine that has a million of them, beside CPU time: memory and descriptors.

``python -m bench.connection_cost`` joins thousands of idle connections through one process of proxymux and prints the
growth for each: of the process's own memory, of its descriptors, of the kernel's memory (``Slab`` in /proc/meminfo) and
of socket buffers (``mem`` in /proc/net/sockstat).  All ends are on this machine, which has four sockets for each
connection; two of them, and so half of what the kernel takes, are the proxy's.  It needs nginx, which is the upstream,
and a machine that does little else.  ``bench/run.py --only connect`` measures the CPU time of a new connection.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.builds import Build, add_options, chosen
from bench.measures.memory import REQUEST, REST_SECONDS
from bench.peers import Proxymux
from bench.processes import BrokenRun, Unavailable, raise_descriptor_limit, resident_bytes
from bench.stage import Proxy, Stage

#: What the first connections allocate stays, however many follow.
_WARM: Final = 100
#: Sockets of the machine for each connection, to those of the proxy.
_PART: Final = 4 / 2


class Usage(NamedTuple):
    """What is in use, or for one connection what it adds.

    :param process: bytes of the proxy's memory (RssAnon).
    :param descriptors: of the proxy.
    :param slab: bytes of kernel objects, of the whole machine.
    :param buffers: bytes of TCP's buffers, of the whole machine.
    """

    process: float
    descriptors: float
    slab: float
    buffers: float


def usage(proxy: Proxy) -> Usage:
    """What is in use now."""
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    sockets = Path("/proc/net/sockstat").read_text().split("TCP:")[1].split()
    return Usage(
        resident_bytes(proxy.pid)[1],
        len(os.listdir(f"/proc/{proxy.pid}/fd")),
        int(memory["Slab"].split()[0]) * 1024,
        int(sockets[sockets.index("mem") + 1]) * resource.getpagesize(),
    )


def cost(stage: Stage, build: Build, connections: int) -> Usage:
    """What each of so many idle connections adds, with a fresh process."""
    with stage.proxy(Proxymux(build)) as proxy, ExitStack() as clients:
        _join(proxy, _WARM, clients)
        before = usage(proxy)
        _join(proxy, connections, clients)
        after = usage(proxy)
        each = Usage(*((late - early) / connections for early, late in zip(before, after, strict=True)))
    return each._replace(slab=each.slab / _PART, buffers=each.buffers / _PART)


def _join(proxy: Proxy, count: int, clients: ExitStack) -> None:
    for _ in range(count):
        client = clients.enter_context(socket.create_connection(("127.0.0.1", proxy.ports.web), 10))
        client.sendall(REQUEST)
        if not client.recv(4096).startswith(b"HTTP/1.1 200"):
            raise BrokenRun("a connection was not joined")
    time.sleep(REST_SECONDS)


def main() -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="[default: 5]")
    parser.add_argument("--connections", type=int, default=4000, help="in each round [default: 4000]")
    add_options(parser)
    options = parser.parse_args()
    build, *_ = chosen(parser, options)
    descriptors = raise_descriptor_limit()
    if options.connections * 2 + 1000 > descriptors:
        parser.error("--connections: the limit of descriptors is too low; raise it (ulimit -Hn)")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        stage = Stage(Path(name), seconds=1.0, warm_seconds=0.0, load=None, short=False, descriptors=descriptors)
        try:
            with stage.upstreams():
                rounds = [cost(stage, build, options.connections) for _ in range(options.rounds)]
        except (Unavailable, BrokenRun) as error:
            print(error, file=sys.stderr)
            return 1
    print(f"{'for each connection':<24}{'median':>9}{'least':>9}{'most':>9}")
    for field, word in zip(
        Usage._fields, ("process, bytes", "descriptors", "kernel, bytes", "buffers, bytes"), strict=True
    ):
        values = [getattr(each, field) for each in rounds]
        print(f"{word:<24}{statistics.median(values):>9,.0f}{min(values):>9,.0f}{max(values):>9,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

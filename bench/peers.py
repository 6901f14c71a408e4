"""The proxies that are compared, each as its own manual says it should be set up."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.builds import Build
from bench.nginx import Nginx
from bench.ports import Ports
from bench.processes import Unavailable
from bench.stage import Peer

#: More than any measure has.
MOST_CONNECTIONS: Final = 10_100

#: HAProxy has option splice-auto, as its manual recommends: it splices where it thinks that it pays. splice-request and
#: splice-response make bulk a lot faster and small messages a quarter dearer; with them and larger pipes the bulk
#: upstream of haproxy-splice is the fastest that was found.  Two descriptors for each connection and each pipe have to
#: be allowed.
HAPROXY_HEAD: Final = """\
global
    nbthread {threads}
    maxconn {connections}
    maxpipes 100
{more}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h

backend origin
    option splice-auto
    server origin 127.0.0.1:{ports.origin}

backend sink
{bulk}    server sink 127.0.0.1:{ports.sink}

"""

HAPROXY_SPLICE: Final = """\
    option splice-request
    option splice-response
"""

HAPROXY_PLAIN: Final = """\
frontend web
    bind 127.0.0.1:{ports.web} backlog 4096
    default_backend origin

frontend bulk
    bind 127.0.0.1:{ports.bulk} backlog 4096
    default_backend sink
"""

HAPROXY_LUA: Final = """\
frontend web
    bind 127.0.0.1:{ports.web} backlog 4096
    tcp-request inspect-delay 30s
    tcp-request content lua.route if {{ req.len gt 0 }}
    tcp-request content accept if {{ var(txn.upstream) -m found }}
    use_backend %[var(txn.upstream)]
"""

HAPROXY_ROUTE: Final = """\
core.register_action("route", {"tcp-req"}, function(txn)
    if txn.req:data(0, 4) == "GET " then
        txn:set_var("txn.upstream", "origin")
    else
        txn:set_var("txn.upstream", "sink")
    end
end)
"""

ROUTER: Final = """\
def proxy(data):
    if data[:4] == b"GET ":
        return {{"remote": "127.0.0.1:{ports.origin}"}}
    return {{"remote": "127.0.0.1:{ports.sink}"}}
"""


@dataclass(frozen=True)
class HAProxy:
    """HAProxy in TCP mode.

    :param name: what it is called.
    :param routes: whether a router in Lua chooses the upstream.
    :param tuned: whether bulk is always spliced, or only where HAProxy thinks that it pays.
    :param threads: how many work.
    """

    name: str
    routes: bool
    tuned: bool = False
    threads: int = 1
    workers: int = 0

    @property
    def kind(self) -> str:
        return self.name

    def check(self) -> None:
        if not shutil.which("haproxy"):
            raise Unavailable("haproxy is not installed")

    def prepare(self, directory: Path, ports: Ports) -> list[str]:
        file, route = directory / "haproxy.cfg", directory / "route.lua"
        route.write_text(HAPROXY_ROUTE)
        more = f"    lua-load-per-thread {route}\n" if self.routes else ""
        more += "    tune.pipesize 1048576\n" if self.tuned else ""
        bulk = HAPROXY_SPLICE if self.tuned else "    option splice-auto\n"
        connections = min(MOST_CONNECTIONS, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500) // 2)
        frontend = HAPROXY_LUA if self.routes else HAPROXY_PLAIN
        text = HAPROXY_HEAD + frontend
        values = {"more": more, "bulk": bulk, "connections": connections, "threads": self.threads}
        file.write_text(text.format(ports=ports, **values))
        return ["haproxy", "-q", "-db", "-f", str(file)]


@dataclass(frozen=True)
class Proxymux:
    """proxymux, with a router that looks at the first bytes.

    :param build: the one that is run.
    :param variant: what follows the build in its name, and ``proxymux`` in its kind.
    :param options: of the command line.
    """

    build: Build
    variant: str = ""
    options: tuple[str, ...] = ()
    workers: int = 0
    routes: bool = True

    @property
    def name(self) -> str:
        return self.build.peer + self.variant

    @property
    def kind(self) -> str:
        return f"proxymux{self.variant}"

    def check(self) -> None:
        """Nothing that could be missing: the build was asked what it is."""

    def prepare(self, directory: Path, ports: Ports) -> list[str]:
        file = directory / "router.py"
        file.write_text(ROUTER.format(ports=ports))
        where = ["--host", "127.0.0.1", "--port", str(ports.web)]
        return [str(self.build.twistd), "-n", "--pidfile=", "proxymux", "--router", str(file), *where, *self.options]


@dataclass(frozen=True)
class Twisted:
    """The port forwarder that Twisted has, which shows what Python and Twisted take of a start."""

    twistd: Path
    name: str = "twisted"
    kind: str = "twisted"
    workers: int = 0
    routes: bool = False

    def check(self) -> None:
        """Nothing that could be missing: it comes with every build."""

    def prepare(self, directory: Path, ports: Ports) -> list[str]:
        where = [
            "--port",
            f"tcp:{ports.web}:interface=127.0.0.1",
            "--host",
            "127.0.0.1",
            "--dest_port",
            str(ports.origin),
        ]
        return [str(self.twistd), "-n", "--pidfile=", "portforward", *where]


#: Those that run only if --peers names them.
UNUSUAL: Final = ("proxymux-transport",)


def all_peers(builds: Sequence[Build]) -> dict[str, Peer]:
    """Return every peer by name.

    :param builds: of proxymux, one at least.
    """
    peers: list[Peer] = [
        HAProxy("haproxy", routes=False),
        HAProxy("haproxy-lua", routes=True),
        HAProxy("haproxy-lua-2", routes=True, threads=2),
        HAProxy("haproxy-splice", routes=False, tuned=True),
        Nginx("nginx-stream", routes=False),
        Nginx("nginx-njs", routes=True),
        Nginx("nginx-njs-2", routes=True, workers=2),
        Twisted(builds[0].twistd),
    ]
    for build in builds:
        peers += [
            Proxymux(build),
            Proxymux(build, "-2", ("--workers", "2"), workers=2),
            Proxymux(build, "-transport", ("--relay", "transport")),
        ]
    return {peer.name: peer for peer in peers}

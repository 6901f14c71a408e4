"""The proxies that are compared, each as its own manual says it should be set up."""

from __future__ import annotations

import resource
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.nginx import Nginx
from bench.ports import Ports
from bench.processes import Unavailable
from bench.stage import Peer

#: More than any measure has.
MOST_CONNECTIONS: Final = 8000

#: HAProxy has option splice-auto, as its manual recommends: it splices where it thinks that it pays. splice-request and
#: splice-response make bulk a lot faster and small messages a quarter dearer; with them and larger pipes the bulk
#: upstream of haproxy-splice is the fastest that was found.  Two descriptors for each connection and each pipe have to
#: be allowed.
HAPROXY_HEAD: Final = """\
global
    nbthread 1
    maxconn {connections}
    maxpipes 500
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
    """HAProxy in TCP mode with one thread.

    :param name: what it is called.
    :param routes: whether a router in Lua chooses the upstream.
    :param tuned: whether bulk is always spliced, or only where HAProxy thinks that it pays.
    """

    name: str
    routes: bool
    tuned: bool = False
    has_master: bool = False

    def check(self) -> None:
        if not shutil.which("haproxy"):
            raise Unavailable("haproxy is not installed")

    def prepare(self, directory: Path, ports: Ports) -> list[str]:
        file, route = directory / "haproxy.cfg", directory / "route.lua"
        route.write_text(HAPROXY_ROUTE)
        more = f"    lua-load-per-thread {route}\n" if self.routes else ""
        more += "    tune.pipesize 1048576\n" if self.tuned else ""
        bulk = HAPROXY_SPLICE if self.tuned else "    option splice-auto\n"
        connections = min(MOST_CONNECTIONS, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1200) // 2)
        frontend = HAPROXY_LUA if self.routes else HAPROXY_PLAIN
        file.write_text((HAPROXY_HEAD + frontend).format(ports=ports, more=more, bulk=bulk, connections=connections))
        return ["haproxy", "-q", "-db", "-f", str(file)]


@dataclass(frozen=True)
class Proxymux:
    """proxymux, with a router that looks at the first bytes."""

    name: str
    twistd: Path
    relay: str | None = None
    routes: bool = True
    has_master: bool = False

    def check(self) -> None:
        if not self.twistd.exists():
            raise Unavailable(f"there is no {self.twistd}; name one with --twistd")

    def prepare(self, directory: Path, ports: Ports) -> list[str]:
        file = directory / "router.py"
        file.write_text(ROUTER.format(ports=ports))
        options = ["--relay", self.relay] if self.relay else []
        where = ["--host", "127.0.0.1", "--port", str(ports.web)]
        return [str(self.twistd), "-n", "--pidfile=", "proxymux", "--router", str(file), *where, *options]


#: What runs unless --peers says otherwise.
USUAL: Final = ("haproxy", "haproxy-splice", "haproxy-lua", "nginx-stream", "nginx-njs", "proxymux")


def all_peers(twistd: Path, beside: Path | None = None) -> dict[str, Peer]:
    """Return every peer by name.

    :param beside: the twistd of another build of proxymux, an earlier one say, that is measured in the same run.
    """
    peers: list[Peer] = [
        HAProxy("haproxy", routes=False),
        HAProxy("haproxy-lua", routes=True),
        HAProxy("haproxy-splice", routes=False, tuned=True),
        Nginx("nginx-stream", routes=False),
        Nginx("nginx-njs", routes=True),
        Proxymux("proxymux", twistd),
        Proxymux("proxymux-transport", twistd, "transport"),
    ]
    if beside is not None:
        peers.append(Proxymux("proxymux-beside", beside))
    return {peer.name: peer for peer in peers}

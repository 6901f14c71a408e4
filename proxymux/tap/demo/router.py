"""``twistd proxymux --demo``: a router between a red and a blue upstream."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from proxymux.core.decision import NEED_DATA, Decision, Forward, Reject
from proxymux.net.driver import make_driver
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.router.loading import from_object
from proxymux.router.router_decider import RouterDecider
from proxymux.router.settings import RouterSettings
from proxymux.service import ProxyService
from proxymux.sniff import http_request
from proxymux.tap.demo import Demo, Stage
from proxymux.tap.demo.upstreams import coloured
from proxymux.tap.wiring import make_log, make_service

#: The upstreams' colours, with the ports that the README's router dials.
_WANTED: Final = {"red": 8001, "blue": 8002}
_GREETING: Final = """\

proxymux demo: a router between two upstreams, "red" and "blue".
In a second terminal:

    curl http://{address}/red
    curl http://{address}/blue
    curl http://{address}/green

It reads the first bytes of each connection and picks the upstream by the path.
A router of your own can lead to them, too: red is 127.0.0.1:{red}, blue is 127.0.0.1:{blue}.
{taken}Stop it with Ctrl-C.
"""
_TAKEN: Final = """\
Somebody has port {port}, so write these in the README's router.
"""


class _ByPath:
    """Forwards an HTTP request to the upstream whose colour its path names."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports

    def proxy(self, data: bytes) -> Decision:
        request = http_request(data)
        if request is NEED_DATA:
            return NEED_DATA
        if request is None:
            return Reject(b"this demo speaks HTTP\n")
        port = self._ports.get(request.path.strip("/"))
        if port is None:
            return Reject(b"HTTP/1.1 404 Not Found\r\nContent-Length: 24\r\n\r\ntry /red or /blue, then\n")
        return Forward(f"127.0.0.1:{port}")


def greeting(address: str, stage: Stage) -> str:
    """What the terminal is told.

    :param address: where the router listens.
    """
    ports = dict(zip(_WANTED, stage.ports, strict=True))
    lost = [_WANTED[colour] for colour, port in ports.items() if port != _WANTED[colour]]
    return _GREETING.format(address=address, **ports, taken=_TAKEN.format(port=lost[0]) if lost else "")


def make_demo(reactor: Reactor, settings: RouterSettings) -> Demo:
    """Put the router's demo together.

    :raises ConfigError: naming an option that this system cannot fulfil.
    """
    log = make_log(settings)

    def make(stage: Stage) -> ProxyService:
        by_path = _ByPath(dict(zip(_WANTED, stage.ports, strict=True)))
        loaded = replace(from_object(by_path, "demo", __file__), name="demo")
        driver = make_driver(reactor, settings, log)
        return make_service(driver, "router", lambda: RouterDecider(loaded, time.perf_counter, log), settings, log)

    return Demo(reactor, settings, log, [coloured(*each) for each in _WANTED.items()], make, greeting)

"""The router of a pool: loads the user's ``route``, and asks it about requests."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Container
from typing import Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from proxymux.core.codecs import Codec
from proxymux.core.codecs.view import RequestView
from proxymux.core.identity import Client
from proxymux.core.route_result import Route, route_of
from proxymux.coroutines import RunCoroutine, run
from proxymux.errors import ConfigError, RouterError
from proxymux.hooks.calling import HookCaller
from proxymux.hooks.hook import Hook, make_hook
from proxymux.user_code import find

_ROUTE: Final = ("request", "client")
#: Texts whose meaning is remembered: a router may make any number of them.
MOST_KNOWN: Final = 1024
_WANTED: Final = "the file that defines route(request)"


class RequestRouter:
    """Decides about requests by the user's function.

    :param name: its name in logs.
    :param filename: the router's file.
    :param monotonic: a clock in seconds, for how long the function blocks.
    :param clusters: the names of the clusters that there are.
    :param run_coroutine: runs what the function returns to be awaited.
    """

    def __init__(
        self,
        name: str,
        filename: str,
        route: Hook,
        codec: Codec,
        monotonic: Callable[[], float],
        log: Logger,
        clusters: Container[str],
        run_coroutine: RunCoroutine = run,
    ) -> None:
        self.name = name
        self.place = route.place
        self._route = route
        self._codec = codec
        self._clusters = clusters
        self._caller = HookCaller(filename, monotonic, log, route.place, run_coroutine=run_coroutine)

    @property
    def slow(self) -> int:
        """How many calls took more than :data:`~proxymux.hooks.calling.SLOW` seconds."""
        return self._caller.slow

    def decide(self, request: RequestView, client: Client) -> Route | Deferred[Route]:
        """Decide about one request.

        :returns: a Deferred if the function is async; it may be cancelled, and fires then.
        :raises DecisionFailed: at once or through the Deferred; no other exception is raised.
        """
        return self._caller.call(self._route, functools.partial(self._read, request.data), request, client)

    def _read(self, request: bytes, result: object) -> Route:
        route = route_of(result, request, self._codec, self._clusters)
        if type(result) is str:
            known = self._caller.known
            if len(known) >= MOST_KNOWN:
                known.clear()
            known[result] = route
        return route


def load_router(name: str, codec: Codec, log: Logger, clusters: Container[str]) -> RequestRouter:
    """Load a router from a file, ``package.module`` or ``package.module:attribute``.

    An attribute is the ``route`` function itself, or an object that has it as an attribute.

    :param clusters: the names of the clusters that there are.
    :raises ConfigError: if there is no such router or it cannot be run; one line, which names file and line where they
        are known.
    """
    try:
        shown, filename, hook = find_route(name)
    except RouterError as error:
        raise ConfigError("--router", str(error)) from None
    return RequestRouter(shown, filename, hook, codec, time.perf_counter, log, clusters)


def find_route(name: str) -> tuple[str, str, Hook]:
    """Run a router's file or module, and find its function.

    :returns: its name for logs, its file, and the function.
    :raises RouterError: if there is no such router or it cannot be run.
    """
    found, shown, filename = find(name, _WANTED)
    return shown, filename, hook_of(found, filename)


def hook_of(found: object, filename: str) -> Hook:
    """The ``route`` of a module or an object, or of that function itself.

    :raises RouterError: if there is none, or it cannot be called as one is.
    """
    route = getattr(found, "route", None)
    if route is None and callable(found):
        route = found
    if route is None:
        raise RouterError(
            f"{filename}: it defines no route(request); see docs/request-routing.rst for what a pool's router defines"
        )
    return make_hook("route", route, filename, _ROUTE)

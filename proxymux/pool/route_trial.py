"""Tries a router of requests on what a client sends, without a network."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from proxymux.core.codecs import Codec
from proxymux.core.codecs.view import RequestView
from proxymux.core.decision import Reject, Reply
from proxymux.core.identity import Client
from proxymux.core.pipeline_orders import PipelineRules
from proxymux.core.request_cutter import Answer, RequestCutter
from proxymux.core.route_result import Route
from proxymux.coroutines import RunCoroutine, run
from proxymux.pool.request_router import RequestRouter, find_route, hook_of


class Decided(NamedTuple):
    """One request, or of one that can be split one key, and what becomes of it.

    :param request: what the router was asked about, or the pool has answered itself.
    :param route: None is the first ``--target``.
    """

    request: bytes
    route: Route


class AnyName:
    """The names of the clusters of a router that is tried without its pool: any may be one."""

    def __contains__(self, name: object) -> bool:
        return True


def as_request_router(router: object, codec: Codec, run_coroutine: RunCoroutine = run) -> RequestRouter:
    """Return what asks ``router``: a name as on the command line, a module or object with ``route``, or that function.

    :raises RouterError: if there is none.
    """
    if isinstance(router, RequestRouter):
        return router
    if isinstance(router, str):
        shown, filename, hook = find_route(router)
    else:
        shown = getattr(router, "__name__", type(router).__name__)
        code = getattr(router, "__code__", None)
        filename = code.co_filename if code is not None else str(getattr(router, "__file__", shown))
        hook = hook_of(router, filename)
    log = Logger("proxymux")
    return RequestRouter(shown, filename, hook, codec, time.perf_counter, log, AnyName(), run_coroutine)


async def decide_all(
    router: RequestRouter, codec: Codec, chunks: Iterable[bytes], client: Client
) -> list[list[Decided]]:
    """What becomes of each request in ``chunks``, which come one after the other.

    :returns: for each request what was decided, of one that can be split for each key.  After one that takes an
        upstream alone, or closes the client, nothing more is looked at.
    :raises DecisionFailed: with the message that a running pool would log.
    """
    cutter = RequestCutter(PipelineRules(codec, True, False, False, lambda: True))
    found: list[list[Decided]] = []
    for chunk in chunks:
        cut = cutter.cut(chunk) if chunk else []
        for item in cut if isinstance(cut, list) else [cut]:
            if isinstance(item, Answer):
                answer: Route = Reject(item.data) if item.is_last else Reply(item.data)
                found.append([Decided(b"", answer)])
                if item.is_last:
                    return found
                continue
            start = 0
            size = item.size if item.alone else len(item.data)
            for end, _ in codec.cut_run(item.data) if item.replies > 1 else [(size, None)]:
                found.append(await _decide(router, codec.view(item.data[start:end]), client))
                start = end
            if item.alone or any(isinstance(each.route, Reject) for each in found[-1]):
                return found
    return found


async def _decide(router: RequestRouter, view: RequestView, client: Client) -> list[Decided]:
    views = [view.of_key(at) for at in range(len(view.keys))] if view.can_split else [view]
    decided: list[Decided] = []
    for each in views:
        route = router.decide(each, client)
        decided.append(Decided(each.data, await route if isinstance(route, Deferred) else route))
    return decided

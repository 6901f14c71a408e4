"""Makes the decider of a router service from its settings."""

from __future__ import annotations

import time

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.errors import ConfigError, RouterError
from proxymux.interfaces import IDecider
from proxymux.router.loading import load
from proxymux.router.router_decider import RouterDecider
from proxymux.router.settings import RouterSettings
from proxymux.router.shadow import ShadowDecider


def make_decider(settings: RouterSettings, clock: IReactorTime, log: Logger) -> IDecider:
    """Load the router file, and the shadow's if the settings name one; called at the start and at every reload.

    :param clock: limits the time of the shadow's decisions.
    :raises ConfigError: naming the option whose file cannot be loaded.
    """
    return with_shadow(load_router(settings, log), settings, clock, log)


def load_router(settings: RouterSettings, log: Logger) -> RouterDecider:
    """Load the router file.

    :raises ConfigError: if it cannot be loaded.
    """
    return _load("--router", settings.router or "", settings, log, settings.admin is not None)


def with_shadow(router: RouterDecider, settings: RouterSettings, clock: IReactorTime, log: Logger) -> IDecider:
    """Return ``router``, or if the settings name a shadow one that has that asked, too.

    :raises ConfigError: if the shadow cannot be loaded.
    """
    if settings.shadow is None:
        return router
    return ShadowDecider(router, _load("--shadow", settings.shadow, settings, log), clock, settings.decide_timeout, log)


def _load(option: str, name: str, settings: RouterSettings, log: Logger, notes_lines: bool = False) -> RouterDecider:
    clusters = [cluster.name for cluster in settings.cluster]
    try:
        return RouterDecider(load(name, notes_lines), time.perf_counter, log, clusters)
    except RouterError as error:
        raise ConfigError(option, str(error)) from None

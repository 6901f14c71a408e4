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
    router = _load("--router", settings.router or "", log)
    if settings.shadow is None:
        return router
    return ShadowDecider(router, _load("--shadow", settings.shadow, log), clock, settings.decide_timeout, log)


def _load(option: str, name: str, log: Logger) -> RouterDecider:
    try:
        return RouterDecider(load(name), time.perf_counter, log)
    except RouterError as error:
        raise ConfigError(option, str(error)) from None

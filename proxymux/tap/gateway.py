"""The gateway service: its options, and how it is put together.

Functions import OpenSSL and the network code when they are called, not before: twistd imports this module for
``--help``, too, which has to be fast.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from proxymux.admin.statistics import Statistics
from proxymux.gateway.pid_file import PidFile
from proxymux.gateway.settings import GatewaySettings
from proxymux.gateway.target_filter import TargetFilter
from proxymux.gateway.target_rules import TargetRules
from proxymux.tap.keywords import takes
from proxymux.tap.options import SettingsOptions, make_checked

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.internet.interfaces import IReactorTime

    from proxymux.net.reactor.twisted_types import Reactor
    from proxymux.service import ProxyService


class Options(SettingsOptions[GatewaySettings]):
    """The command line of ``twistd proxymux-gateway``."""

    kind = GatewaySettings
    synopsis = "[options] --secret-file FILE | --key-file FILE"
    longdesc = (
        "Hides servers: a client begins with one line, a token that holds the encrypted address of its server, gets"
        " a status of three digits and, after 200, is connected. Signals: QUIT waits for every connection to end, TERM"
        " and INT for --drain-timeout, a second one ends them now; HUP reloads the key file, the secret file and the"
        " deny files; USR1 reopens log files."
    )

    def read(self, given: Mapping[str, object]) -> GatewaySettings:
        """Make the settings from the options that were given, by the settings' names.

        :raises ConfigError: naming the option that has a bad value.
        """
        return GatewaySettings.read(given)


def makeService(options: Options) -> IService:
    """Make the service for a command line; called by twistd."""
    from proxymux.net.reactor.twisted_types import installed_reactor

    return make_checked(options, lambda: make_gateway(installed_reactor(), options.settings))


@takes(GatewaySettings, GatewaySettings.read)
def Gateway(settings: GatewaySettings) -> ProxyService:
    """Make a gateway service for a ``.tac`` file.

    The arguments are the options, with underscores for dashes: ``Gateway(key_file="keys", addr="0.0.0.0:8000")``.

    :raises ProxymuxError: if a value is not accepted.
    """
    from proxymux.net.reactor.twisted_types import installed_reactor

    service = make_gateway(installed_reactor(), settings)
    service.check()
    return service


def make_gateway(reactor: Reactor, settings: GatewaySettings, clock: IReactorTime | None = None) -> ProxyService:
    """Put a gateway service together.

    :param clock: measures all limits and durations; None is the monotonic clock.
    :raises ProxymuxError: if there is neither a secret nor a key, or they cannot be read.
    """
    from proxymux.core.token.verifier import ReplayCache
    from proxymux.gateway.failure_budget import FailureBudget
    from proxymux.gateway.keys import SecretSource, make_verifier, warnings
    from proxymux.gateway.token_decider import TokenDecider
    from proxymux.net.driver import make_driver
    from proxymux.tap.wiring import make_log, make_service

    log = make_log(settings)
    driver = make_driver(reactor, settings, log, settings.buffer, clock)
    target_filter = TargetFilter(TargetRules(settings.allow_target, settings.deny_target))
    replay_cache, budget, statistics = ReplayCache(), FailureBudget(settings.max_failures), Statistics()
    source = SecretSource(settings.secret, settings.secret_file)

    def decider() -> TokenDecider:
        return TokenDecider(
            make_verifier(source, settings),
            replay_cache,
            budget,
            statistics.opened,
            settings.retry,
            driver.timers,
            time.time,
        )

    service = make_service(
        driver,
        "gateway",
        decider,
        settings,
        log,
        reuse=settings.reuse,
        pid_file=None if settings.gateway_pidfile is None else PidFile("--gateway-pidfile", settings.gateway_pidfile),
        statistics=statistics,
        target_check=target_filter,
        warnings=warnings(settings),
    )
    target_filter.own = service.bound
    return service

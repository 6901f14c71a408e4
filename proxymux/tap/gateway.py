"""The gateway service: its options, and how it is put together.

Functions import OpenSSL and the network code when they are called, not before: twistd imports this module for
``--help``, too, which has to be fast.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from proxymux.admin.statistics import Statistics
from proxymux.gateway.pid_file import PidFile
from proxymux.gateway.settings import GatewaySettings
from proxymux.gateway.target_filter import TargetFilter
from proxymux.gateway.target_rules import TargetRules
from proxymux.tap.keywords import takes
from proxymux.tap.options import DEMO_LISTEN, SettingsOptions, check_demo, make_checked

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.internet.interfaces import IReactorTime

    from proxymux.net.reactor.twisted_types import Reactor
    from proxymux.service import ProxyService
    from proxymux.supervisor.supervisor import Supervisor
    from proxymux.tap.supervising import Outside


class Options(SettingsOptions[GatewaySettings]):
    """The command line of ``twistd proxymux-gateway``."""

    kind = GatewaySettings
    title = "The gateway"
    synopsis = "[options] --secret-file FILE | --key-file FILE"
    longdesc = (
        "Hides servers: a client begins with one line, a token that holds the encrypted address of its server, gets"
        " a status of three digits and, after 200, is connected. Signals: QUIT waits for every connection to end, TERM"
        " and INT for --drain-timeout, a second one ends them now; HUP reloads the key file, the secret file and the"
        " deny files; USR1 reopens log files; USR2 replaces the workers, if there are any."
    )

    optFlags: ClassVar[list[list[str | None]]] = [
        ["demo", None, "start a server, a gateway before it and a token that leads there, and say what to try"]
    ]

    def read(self, given: Mapping[str, object]) -> GatewaySettings:
        """Make the settings from the options that were given, by the settings' names.

        :raises UsageError: for an option that cannot be given with ``--demo``.
        :raises ConfigError: naming the option that has a bad value.
        """
        if self["demo"]:
            check_demo(given, ("secret", "secret_file", "key_file", "audience"))
            given = {"gateway_pidfile": "off", **given}
            given = given if {"listen", "addr"} & given.keys() else {**given, "listen": DEMO_LISTEN}
        return GatewaySettings.read(given)


def makeService(options: Options) -> IService:
    """Make the service for a command line; called by twistd."""
    from proxymux.net.reactor.twisted_types import installed_reactor

    if options["demo"]:
        from proxymux.tap.demo.gateway import make_demo

        return make_checked(options, lambda: make_demo(installed_reactor(), options.settings))
    from proxymux.tap.supervising import make_of_command

    reactor, settings = installed_reactor(), options.settings
    return make_checked(
        options,
        lambda: make_of_command("proxymux-gateway", options, reactor, lambda: make(settings), _outside(settings)),
    )


def _outside(settings: GatewaySettings) -> Outside:
    from proxymux.tap.supervising import Outside
    from proxymux.tap.wiring import make_listeners

    return Outside(make_listeners(settings, settings.reuse), _pid_file(settings))


def _pid_file(settings: GatewaySettings) -> PidFile | None:
    path = settings.gateway_pidfile
    return None if path is None else PidFile("--gateway-pidfile", path)


def make(settings: GatewaySettings) -> ProxyService:
    """Make the service with this process's reactor.

    :raises ProxymuxError: if it cannot be made.
    """
    from proxymux.net.reactor.twisted_types import installed_reactor

    return make_gateway(installed_reactor(), settings)


@takes(GatewaySettings, GatewaySettings.read)
def Gateway(settings: GatewaySettings) -> ProxyService | Supervisor:
    """Make a gateway service for a ``.tac`` file.

    The arguments are the options, with underscores for dashes: ``Gateway(key_file="keys", addr="0.0.0.0:8000")``.

    :raises ProxymuxError: if a value is not accepted.
    """
    from proxymux.net.reactor.twisted_types import installed_reactor
    from proxymux.tap.supervising import make_of_file

    return make_of_file(settings, installed_reactor(), lambda: make(settings), _outside(settings))


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
    from proxymux.supervisor.seat import Seat
    from proxymux.supervisor.table import FAILURES
    from proxymux.tap.sharing import idle_options, make_shared_tokens
    from proxymux.tap.wiring import make_log, make_service

    log = make_log(settings)
    driver = make_driver(reactor, settings, log, settings.buffer, clock)
    target_filter = TargetFilter(TargetRules(settings.allow_target, settings.deny_target))
    seat = Seat.current
    times, secret = (None, os.urandom(16)) if seat is None else (seat.table.times(FAILURES), seat.secret)
    local_tokens = ReplayCache() if seat is None else seat.spent_tokens
    shared_tokens = make_shared_tokens(settings, local_tokens, reactor, driver.clock, log)
    spent_tokens = local_tokens if shared_tokens is None else shared_tokens
    budget, statistics = FailureBudget(settings.max_failures, times, secret), Statistics()
    source = SecretSource(settings.secret, settings.secret_file)

    def decider() -> TokenDecider:
        return TokenDecider(
            make_verifier(source, settings),
            spent_tokens,
            budget,
            statistics.opened,
            settings.retry,
            driver.timers,
            time.time,
            [cluster.name for cluster in settings.cluster],
        )

    service = make_service(
        driver,
        "gateway",
        decider,
        settings,
        log,
        reuse=settings.reuse,
        pid_file=_pid_file(settings) if seat is None else None,
        statistics=statistics,
        target_check=target_filter,
        pprof=settings.pprof,
        companions=[] if shared_tokens is None else [shared_tokens],
        warnings=[*warnings(settings), *idle_options(settings)],
    )
    target_filter.own = service.bound
    return service

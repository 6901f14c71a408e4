"""The router service: its options, and how it is put together.

Functions import OpenSSL and the network code when they are called, not before: twistd imports this module for
``--help``, too, which has to be fast.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from twisted.python import usage

from proxymux.errors import ConfigError
from proxymux.router.settings import RouterSettings
from proxymux.tap.keywords import takes
from proxymux.tap.options import DEMO_LISTEN, SettingsOptions, check_demo, make_checked

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.internet.interfaces import IReactorTime

    from proxymux.net.reactor.twisted_types import Reactor
    from proxymux.service import ProxyService
    from proxymux.supervisor.supervisor import Supervisor

#: The settings that say where to listen.
_LISTEN_SETTINGS = ("listen", "host", "port")


class Options(SettingsOptions[RouterSettings]):
    """The command line of ``twistd proxymux``."""

    kind = RouterSettings
    title = "The router"
    synopsis = "[options] --router FILE"
    longdesc = (
        "Content-aware TCP routing: the first bytes of each connection go to proxy(data) in the router file, which"
        " names the upstream. Signals: QUIT waits for every connection to end, TERM and INT for --drain-timeout, a"
        " second one ends them now; HUP reloads the router with what it imports from its folder, and the deny files;"
        " USR1 reopens log files; USR2 replaces the workers, if there are any."
    )
    optFlags: ClassVar[list[list[str | None]]] = [
        ["demo", None, "start two upstreams and a router between them, and say what to try"]
    ]

    def read(self, given: Mapping[str, object]) -> RouterSettings:
        """Make the settings from the options that were given, by the settings' names.

        :raises UsageError: if there is neither ``--router`` nor ``--demo``, or both.
        :raises ConfigError: naming the option that has a bad value.
        """
        if self["demo"]:
            check_demo(given, ("router", "shadow"))
            given = given if any(name in given for name in _LISTEN_SETTINGS) else {**given, "listen": DEMO_LISTEN}
        elif not self["router"]:
            raise usage.UsageError("--router: missing; name the router file, or try --demo")
        return RouterSettings.read(given)


def makeService(options: Options) -> IService:
    """Make the service for a command line; called by twistd."""
    from proxymux.net.reactor.twisted_types import installed_reactor

    if options["demo"]:
        from proxymux.tap.demo.router import make_demo

        return make_checked(options, lambda: make_demo(installed_reactor(), options.settings))
    from proxymux.tap.supervising import make_of_command

    reactor, settings = installed_reactor(), options.settings
    return make_checked(options, lambda: make_of_command("proxymux", options, reactor, lambda: make(settings)))


def make(settings: RouterSettings) -> ProxyService:
    """Make the service with this process's reactor.

    :raises ProxymuxError: if it cannot be made.
    """
    from proxymux.net.reactor.twisted_types import installed_reactor

    return make_router(installed_reactor(), settings)


def _read(given: Mapping[str, object]) -> RouterSettings:
    if not given.get("router"):
        raise ConfigError("router", "missing; name the router file")
    if not any(name in given for name in _LISTEN_SETTINGS):
        raise ConfigError("listen", "missing; give a Twisted server endpoint such as tcp:8000")
    return RouterSettings.read(given)


@takes(RouterSettings, _read)
def Router(settings: RouterSettings) -> ProxyService | Supervisor:
    """Make a router service for a ``.tac`` file.

    The arguments are the options, with underscores for dashes: ``Router("router.py", listen="tcp:8000")``.

    :raises ProxymuxError: if a value is not accepted or the router cannot be loaded.
    """
    from proxymux.net.reactor.twisted_types import installed_reactor
    from proxymux.tap.supervising import make_of_file

    return make_of_file(settings, installed_reactor(), lambda: make(settings))


def make_router(reactor: Reactor, settings: RouterSettings, clock: IReactorTime | None = None) -> ProxyService:
    """Put a router service together.

    :param clock: measures all limits and durations; None is the monotonic clock.
    :raises ProxymuxError: if the router or its shadow cannot be loaded, or SSL_CERT_FILE names no certificates.
    """
    from proxymux.net.driver import make_driver
    from proxymux.net.trust_store import check_trust_store
    from proxymux.router.canary import Canaries
    from proxymux.tap.wiring import make_log, make_service

    check_trust_store(os.environ)
    log = make_log(settings)
    driver = make_driver(reactor, settings, log, clock=clock)
    canaries = Canaries(settings, driver.clock, log)
    service = make_service(driver, "router", canaries, settings, log)
    canaries.install = service.decide_by
    return service

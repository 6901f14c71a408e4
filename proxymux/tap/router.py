"""The router service: its options, and how it is put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.python import usage

from proxymux.errors import ConfigError, ProxymuxError, RouterError
from proxymux.settings import Settings, read_settings
from proxymux.tap.options import SharedOptions, fail, host_endpoint

if TYPE_CHECKING:
    from twisted.application.service import IService

    from proxymux.service import ProxyService


class Options(SharedOptions):
    """Command line of ``twistd proxymux``."""

    synopsis = "[options] --router FILE"
    longdesc = (
        "Content-aware TCP routing: the first bytes of each connection go to proxy(data) in the router file, which"
        " names the upstream. Signals: QUIT waits for every connection to end, TERM and INT for --drain-timeout, a"
        " second one ends them now; HUP reloads the router and the deny files; USR1 reopens log files."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        ["router", None, None, "router file, or package.module[:attribute]"],
        ["config", "c", None, "old name of --router"],
        ["host", "h", None, "address to listen on [default: 0.0.0.0]"],
        ["port", "p", None, "port to listen on [default: 5432]"],
        ["shadow", None, None, "second router, asked about the same bytes without effect; differences are logged"],
    ]
    optFlags: ClassVar[list[list[Any]]] = [
        ["demo", None, "start two upstreams and a router between them, and say what to try"]
    ]

    def postOptions(self) -> None:
        """Look at what the options say together.

        :raises UsageError: if that makes no sense.
        """
        if self["router"] and self["config"]:
            raise usage.UsageError("--config: is the old name of --router; give one of them")
        self["router"] = self["router"] or self["config"]
        if self["demo"] and self["router"]:
            raise usage.UsageError("--demo: brings its own router; leave --router away")
        if not self["demo"] and not self["router"]:
            raise usage.UsageError("--router: missing; name the router file, or try --demo")
        self.shared = self.settings(self._endpoints())

    def _endpoints(self) -> list[str]:
        listen: list[str] = self["listen"]
        if listen and self["host"] is None and self["port"] is None:
            return listen
        if self["demo"] and self["host"] is None and self["port"] is None:
            return ["tcp:0:interface=127.0.0.1"]
        port = "5432" if self["port"] is None else self["port"]
        host = "0.0.0.0" if self["host"] is None else self["host"]
        if not host:
            raise ConfigError("--host", "'' is not accepted; an IP address or name of this machine is")
        return [*listen, host_endpoint("--port", host, port)]


def makeService(options: Options) -> IService:
    """The service that the command line asks for."""
    from twisted.internet import reactor

    try:
        if options["demo"]:
            from proxymux.tap.demo import make_demo

            service: IService = make_demo(reactor, options.shared)
        else:
            router = make_router(reactor, options["router"], options["shadow"], options.shared)
            router.check()
            service = router
    except ProxymuxError as error:
        fail(error)
    if options["check"]:
        print("ok")
        raise SystemExit(0)
    return service


def Router(router: str, *, shadow: str | None = None, **settings: Any) -> ProxyService:
    """A router service for a ``.tac`` file.

    :param router: as ``--router``.
    :param shadow: as ``--shadow``.
    :param settings: the shared options with underscores for dashes, for example ``listen="tcp:8000"``.
    :raises ProxymuxError: if a value is not accepted or the router cannot be loaded.
    """
    from twisted.internet import reactor

    if "listen" not in settings:
        raise ConfigError("listen", "missing; give a Twisted server endpoint such as tcp:8000")
    service = make_router(reactor, router, shadow, read_settings(settings))
    service.check()
    return service


def make_router(reactor: Any, router: str, shadow: str | None, settings: Settings) -> ProxyService:
    """Put a router service together.

    :raises ProxymuxError: if the router or its shadow cannot be loaded.
    """
    import time

    from proxymux.router.loading import load
    from proxymux.router.router_decider import RouterDecider
    from proxymux.router.shadow import ShadowDecider
    from proxymux.tap.wiring import make_driver, make_log, make_service

    log = make_log(settings.log_level)

    def one(option: str, name: str) -> RouterDecider:
        try:
            return RouterDecider(load(name), time.perf_counter, log)
        except RouterError as error:
            raise ConfigError(option, str(error)) from None

    def decider() -> Any:
        first = one("--router", router)
        if shadow is None:
            return first
        second = one("--shadow", shadow)
        return ShadowDecider(first, second, reactor, settings.decide_timeout, log)

    return make_service(make_driver(reactor, settings, log), "router", decider, settings, log)

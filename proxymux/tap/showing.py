"""Makes the endpoints that show a process, as the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.admin.fleets import Fleet
from proxymux.admin.instance import Instance
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.process import Process
from proxymux.settings import Settings

if TYPE_CHECKING:
    from proxymux.admin.endpoint import AdminEndpoint


def make_admin(
    reactor: Reactor,
    clock: IReactorTime,
    process: Process,
    settings: Settings,
    log: Logger,
    *,
    pprof: str | None,
    instance: Instance | None = None,
    fleet: Fleet | None = None,
) -> list[AdminEndpoint]:
    """Make the endpoints of ``--admin`` and ``--pprof``.

    :param pprof: the endpoint of the latter, or None.
    :param instance: what they show; None shows the services of this process, and those that name the same endpoint
        share it.
    :param fleet: that they list; None for none.
    """
    wanted = {"--admin": settings.admin, "--pprof": pprof}
    if all(text is None for text in wanted.values()):
        return []
    # Not before they are wanted: Twisted's web server takes memory and time to load.
    from proxymux.admin.endpoint import local_instance, make_endpoint

    made = []
    for option, text in wanted.items():
        if text is None:
            continue
        shown = instance or process.shared("instance", lambda: local_instance(process, clock))
        if fleet is not None:
            shown.fleets.add(fleet)
        owner = "" if instance is None else f" of {id(instance)}"

        def make(option: str = option, text: str = text, shown: Instance = shown) -> AdminEndpoint:
            return make_endpoint(reactor, clock, option, text, settings, shown, log)

        made.append(process.shared(f"{option} {text}{owner}", make))
    return made


def idle_options(settings: Settings) -> list[str]:
    """What is given and has no effect, in one line each."""
    given = {"--admin-token-file": settings.admin_token_file, "--admin-host": settings.admin_host}
    return [
        f"{option}: has no effect without --admin" for option, value in given.items() if value and not settings.admin
    ]

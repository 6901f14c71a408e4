"""Makes what has a router loaded again when its files change, if the settings ask for it."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.pool.settings import PoolSettings
from proxymux.process import Process
from proxymux.router.settings import RouterSettings
from proxymux.router_watch import RouterWatch
from proxymux.settings import Settings
from proxymux.source_files import SourceFiles
from proxymux.user_code import source_of


def make_watch(settings: Settings, clock: IReactorTime, process: Process, log: Logger) -> RouterWatch | None:
    """The watch of ``--watch``; None without it.

    :param process: is to do as at HUP.
    """
    if not isinstance(settings, RouterSettings | PoolSettings) or not settings.watch:
        return None
    shadow = settings.shadow if isinstance(settings, RouterSettings) else None
    sources = [source_of(name) for name in (settings.router, shadow) if name is not None]
    files = SourceFiles([each.folder for each in sources], [each.file for each in sources if each.file is not None])
    return RouterWatch(files, clock, process.reload, log)

"""``--demo``: a service and what it serves, in one process, and lines to paste that try it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Final

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from proxymux.admin.access_log import STDOUT
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.service import ProxyService, ending_the_start
from proxymux.settings import Settings
from proxymux.tap.demo.upstreams import DemoUpstream

#: How the names of its folders begin.
_PREFIX: Final = "proxymux-demo-"
#: The port of an upstream while nothing listens.
_NO_PORT: Final = 1


@dataclass(frozen=True, slots=True)
class Stage:
    """What the service of a demo finds when it is made.

    :param ports: of the upstreams on 127.0.0.1, in their order.
    :param folder: for files that last as long as the demo.
    """

    ports: Sequence[int]
    folder: str


class Demo(MultiService):
    """A demo: its upstreams listen first, then the service is made and started.

    :param reactor: Twisted's reactor.
    :param settings: the settings of the service.
    :param log: the logger of the service.
    :param upstreams: what the service leads to.
    :param make: makes the service; may raise ProxymuxError.
    :param greeting: the text for the terminal, from the address that the service listens on and its stage.
    """

    def __init__(
        self,
        reactor: Reactor,
        settings: Settings,
        log: Logger,
        upstreams: Sequence[DemoUpstream],
        make: Callable[[Stage], ProxyService],
        greeting: Callable[[str, Stage], str],
    ) -> None:
        super().__init__()
        self._reactor = reactor
        self._leaves_stdout = settings.access_log == STDOUT
        self._log = log
        self._upstreams = upstreams
        self._make = make
        self._greeting = greeting
        self._ports: list[IListeningPort] = []
        self._folder: TemporaryDirectory[str] | None = None
        #: What is unwise about the service, in one line each; known after :meth:`check`.
        self.warnings: Sequence[str] = ()

    def check(self) -> None:
        """Check that the service could start, without listening.

        :raises ProxymuxError: if it could not.
        """
        with TemporaryDirectory(prefix=_PREFIX) as folder:
            service = self._make(Stage([_NO_PORT] * len(self._upstreams), folder))
            service.check()
            self.warnings = service.warnings

    def privilegedStartService(self) -> None:
        self._folder = TemporaryDirectory(prefix=_PREFIX)
        with ending_the_start(self._log):
            self._ports = [each.listen(self._reactor) for each in self._upstreams]
            stage = Stage([each.port for each in self._upstreams], self._folder.name)
            service = self._make(stage)
            service.setServiceParent(self)
        super().privilegedStartService()
        self._reactor.callWhenRunning(lambda: self._greet(self._greeting(service.addresses[0], stage)))

    def stopService(self) -> Deferred[object]:
        stopped: Deferred[object] = super().stopService()
        return stopped.addCallback(self._close)

    def _close(self, _: object) -> Deferred[object]:
        if self._folder is not None:
            self._folder.cleanup()
        closing = DeferredList([maybeDeferred(port.stopListening) for port in self._ports])
        return closing.addCallback(lambda _: None)

    def _greet(self, text: str) -> None:
        print(text, file=sys.__stderr__ if self._leaves_stdout else sys.__stdout__, flush=True)

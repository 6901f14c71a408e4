"""The certificates of a service: read at the start, at a reload, and when their files change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.logger import Logger

from proxymux.core.upstream_tls import UpstreamTls
from proxymux.core.wheel import Timer
from proxymux.errors import BadCertificate, ConfigError
from proxymux.net.timers import Timers
from proxymux.net.tls.client import ClientContexts
from proxymux.net.tls.hello import GivenTls, MakeEngine, NamedTls, ServerTls
from proxymux.net.tls.rules import ServerRules
from proxymux.net.tls.server import ServerContexts
from proxymux.net.tls.ticket_keys import TicketKeys

#: Seconds between two looks at the files.
_LOOK_INTERVAL: Final = 2.0
#: Stands for the files of TLS to upstreams, where others have a path.
_UPSTREAMS: Final = ""
#: The most paths of certificates that routers may name (``tls_terminate``).
MOST_PATHS: Final = 1024


class Certificates:
    """The files of certificates, keys, authorities and revocations that a service uses.

    :param rules: of all TLS listeners.
    :param tickets: the keys of the tickets that clients get.
    :param upstreams: the contexts for TLS to upstreams.
    """

    def __init__(
        self, rules: ServerRules, tickets: TicketKeys, upstreams: ClientContexts, timers: Timers, log: Logger
    ) -> None:
        self._rules = rules
        self.tickets = tickets
        self._upstreams = upstreams
        self._timers = timers
        self._log = log
        self._contexts: dict[str, ServerContexts] = {}
        #: What could not be used at the last look, by path: it is told once.
        self._told: dict[str, list[str]] = {}
        self._given: list[tuple[GivenTls, Callable[[], MakeEngine]]] = []
        self._timer: Timer | None = None

    def tls_at(self, path: str) -> ServerTls:
        """TLS by the keys and certificates at ``path``, a PEM file or a folder of them.

        :raises BadCertificate: if they cannot be used.
        """
        contexts = self._contexts.get(path)
        if contexts is None:
            contexts = ServerContexts(path, self._rules, self.tickets)
            if len(self._contexts) < MOST_PATHS:
                self._contexts[path] = contexts
        return NamedTls(contexts)

    def check(self) -> None:
        """Read the files of the settings for TLS to upstreams.

        :raises ConfigError: if one of them cannot be used, or revocations are of no use.
        """
        if self._rules.crl is not None and self._rules.client_ca is None:
            raise ConfigError("--tls-crl", "no client is asked for its certificate; give --tls-client-ca, too")
        try:
            self._upstreams.check(UpstreamTls())
        except BadCertificate as problem:
            raise ConfigError("--tls-ca or --tls-cert", str(problem)) from None

    def add(self, given: GivenTls, remake: Callable[[], MakeEngine]) -> None:
        """Have an endpoint's own TLS made anew at each reload.

        :param remake: reads the endpoint's files again; may raise any exception.
        """
        self._given.append((given, remake))

    def start(self) -> None:
        """Begin to look for changes."""
        self._timer = self._timers.after(_LOOK_INTERVAL, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def reload(self) -> list[str]:
        """Read all files again.  What cannot be used is logged, and the old one is kept.

        :returns: what could not be used, in one line each.
        """
        problems = self._reload(only_changed=False)
        of_upstreams = self._upstreams.reload()
        self._tell(_UPSTREAMS, of_upstreams, False)
        problems += of_upstreams
        for given, remake in self._given:
            try:
                given.make_engine = remake()
            except Exception as error:  # of an endpoint's own code
                self._log.error("not reloaded, the old certificate stays: {error}", error=error)
                problems.append(str(error))
        return problems

    def _look(self) -> None:
        self._timer = self._timers.after(_LOOK_INTERVAL, self._look)
        self._reload(only_changed=True)
        if self._upstreams.have_changed():
            self._tell(_UPSTREAMS, self._upstreams.reload(), True)

    def _reload(self, only_changed: bool) -> list[str]:
        found: list[str] = []
        for path, contexts in self._contexts.items():
            is_new, problems = contexts.reload(only_changed)
            self._tell(path, problems, only_changed)
            found += problems
            if is_new:
                self._log.info("read the certificates at {path} again", path=path)
        return found

    def _tell(self, path: str, problems: list[str], only_new: bool) -> None:
        """Log what could not be used.

        :param only_new: what was told at the last look is not told again.
        """
        told = self._told.get(path, []) if only_new else []
        for problem in problems:
            if problem not in told:
                self._log.error("not reloaded, the old certificate stays: {problem}", problem=problem)
        self._told[path] = problems

"""The canary: a router that was reloaded runs in the shadow of the old one first, and is taken if it agrees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from proxymux.core.decision import NEED_DATA, Decision, Reply, in_words
from proxymux.core.identity import Client, Notes, show
from proxymux.errors import DecisionFailed
from proxymux.interfaces import IDecider
from proxymux.router.deciding import load_router, make_decider, with_shadow
from proxymux.router.settings import RouterSettings
from proxymux.router.shadow import ShadowDecider, agree


class Canaries:
    """Makes the decider of a router service, at the start and at every reload.

    With ``--canary``, that of a reload decides as the old router does until the new one has been tried.

    :param clock: limits the time of the decisions of a router in the shadow.
    """

    def __init__(self, settings: RouterSettings, clock: IReactorTime, log: Logger) -> None:
        self._settings = settings
        self._clock = clock
        self._log = log
        self._current: IDecider | None = None
        self._trial: CanaryDecider | None = None
        #: Has a decider decide about the sessions that begin from now on; set once there is a service.
        self.install: Callable[[IDecider], None] = lambda decider: None

    def __call__(self) -> IDecider:
        """Load the router.

        :raises ConfigError: naming the option whose file cannot be loaded; a router that is being tried stays.
        """
        if self._current is None or self._settings.canary is None:
            self._current = make_decider(self._settings, self._clock, self._log)
            return self._current
        candidate = load_router(self._settings, self._log)
        successor = with_shadow(candidate, self._settings, self._clock, self._log)
        if self._trial is not None:
            self._trial.replaced()
        self._log.info(
            "canary: the new {name} runs in the shadow for {count} sessions, and is taken then",
            name=candidate.name,
            count=self._settings.canary,
        )

        def ended(is_taken: bool) -> None:
            self._trial = None
            if is_taken:
                self._current = successor
            assert self._current is not None
            self.install(self._current)

        self._trial = CanaryDecider(self._current, candidate, self._settings, self._clock, self._log, ended)
        return self._trial


class _CanaryNotes(Notes):
    """The candidate's notes of one client, and whether all is known that the client can show of it."""

    is_counted = False


@implementer(IDecider)
class CanaryDecider(ShadowDecider):
    """Decides as ``first`` does, until ``candidate`` has been tried on as many sessions as the settings say.

    A session counts when it has been decided, or at the first decision that differs.

    :param ended: called once, with True if the candidate is to be taken.
    """

    def __init__(
        self,
        first: IDecider,
        candidate: IDecider,
        settings: RouterSettings,
        clock: IReactorTime,
        log: Logger,
        ended: Callable[[bool], None],
    ) -> None:
        super().__init__(first, candidate, clock, settings.decide_timeout, log)
        assert settings.canary is not None
        self._wanted = settings.canary
        self._allowed = settings.canary_differences
        self._ended = ended
        self._is_over = False
        self.greets = first.greets or candidate.greets

    def accepted(self, client: Client) -> Decision | Deferred[Decision]:
        if self._first.greets:
            return super().accepted(client)
        self._ask_about(self._second.accepted, client, NEED_DATA)  # it alone would greet
        return NEED_DATA

    def replaced(self) -> None:
        """End without a result: there is a newer candidate."""
        self._is_over = True
        self._log.info("canary: dropped after {tried}: there is a newer one", tried=self._tried)

    @property
    def _tried(self) -> str:
        return f"{self.same + self.different} of {self._wanted} sessions"

    def _as_seen(self, client: Client) -> Client:
        return replace(client, state=_notes_of(client))

    def _ask_about(
        self,
        second: Callable[[Client], Decision | Deferred[Decision]] | None,
        client: Client,
        result: Decision | DecisionFailed,
    ) -> None:
        if not self._is_over and not _notes_of(client).is_counted:
            super()._ask_about(second, client, result)

    def _compare(self, shadow: object, result: Decision | DecisionFailed, client: Client) -> None:
        notes = _notes_of(client)
        if self._is_over or notes.is_counted:
            return
        if isinstance(shadow, DecisionFailed) and not shadow.is_cancelled:
            self._drop(str(shadow))
            return
        is_same = agree(shadow, result)
        if is_same and (result is NEED_DATA or isinstance(result, Reply)):
            return  # the session goes on
        notes.is_counted = True
        if is_same:
            self.same += 1
        else:
            self._differed(f"{show(client.address)}: the old one {in_words(result)}, the new one {in_words(shadow)}")
        if not self._is_over and self.same + self.different >= self._wanted:
            self._log.info(
                "canary: {name} is taken after {count} sessions, of which it decided {different} otherwise",
                name=self._second.name,
                count=self._wanted,
                different=self.different,
            )
            self._end(True)

    def _differed(self, how: str) -> None:
        self.different += 1
        if self.different > self._allowed:
            self._drop(f"it decides otherwise, more than {self._allowed} times (--canary-differences); {how}")
        else:
            self._log.warn(
                "canary: {how} ({different} differ after {tried})", how=how, different=self.different, tried=self._tried
            )

    def _drop(self, why: str) -> None:
        self._log.error("canary: dropped after {tried}, the old one stays: {why}", tried=self._tried, why=why)
        self._end(False)

    def _end(self, is_taken: bool) -> None:
        self._is_over = True
        self._ended(is_taken)


def _notes_of(client: Client) -> _CanaryNotes:
    if not isinstance(client.state.canary, _CanaryNotes):
        client.state.canary = _CanaryNotes()
    return client.state.canary

"""The instance of a process without workers: all services that run in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, maybeDeferred, succeed

from proxymux.admin.fleets import Fleets
from proxymux.admin.profiling import Profiler
from proxymux.admin.reports import Reports, merge_status
from proxymux.errors import NoMember, NotHeld, ProxymuxError


class SteeredService(Protocol):
    """A service that can be told what to do."""

    def drain(self, limit: float | None) -> Deferred[None]:
        """Accept no more, and let the sessions end."""

    @property
    def steering(self) -> TargetSteering:
        """Steers its targets."""


class TargetSteering(Protocol):
    """Steers the targets of a service: a :class:`~proxymux.discovery.steering.Steering`."""

    def hold(self, target: str, cluster: str | None = None) -> bool:
        """Have what is new for a target wait."""

    def release(self, target: str, cluster: str | None = None) -> bool:
        """Let what waits for a target go on."""

    def drain(self, target: str, cluster: str) -> bool:
        """Have a target of a cluster get nothing new."""

    def enable(self, target: str, cluster: str) -> bool:
        """Have it be used again."""


class LocalInstance:
    """An :class:`~proxymux.admin.instance.Instance` of one process.

    :param reports: what the process says of itself.
    :param services: returns the services that run.
    :param reload: has them read their files again; returns what could not be read.
    :param profiler: looks what takes the time.
    """

    def __init__(
        self,
        reports: Reports,
        services: Callable[[], Sequence[SteeredService]],
        reload: Callable[[], list[str]],
        profiler: Profiler,
    ) -> None:
        self._reports = reports
        self._services = services
        self._reload = reload
        self._profiler = profiler
        self.fleets = Fleets()

    def status(self) -> Deferred[dict[str, Any]]:
        return maybeDeferred(lambda: merge_status([self._reports.status_part()]))

    def counters(self) -> Deferred[dict[str, list[float]]]:
        return maybeDeferred(self._reports.counters)

    def sessions(self, limit: int) -> Deferred[list[dict[str, Any]]]:
        return maybeDeferred(self._reports.sessions, limit)

    def session(self, number: int) -> Deferred[dict[str, Any] | None]:
        return maybeDeferred(self._reports.session, number)

    def close_session(self, number: int) -> Deferred[bool]:
        return maybeDeferred(self._reports.close_session, number)

    def is_ready(self) -> Deferred[bool]:
        return maybeDeferred(self._reports.is_ready)

    def reload(self) -> Deferred[str | None]:
        return maybeDeferred(lambda: "; ".join(self._reload()) or None)

    def drain(self) -> Deferred[None]:
        for service in self._services():
            service.drain(None)
        return succeed(None)

    def rollover(self) -> Deferred[str | None]:
        return succeed("there are no workers to replace; start with --workers")

    def hold(self, target: str, cluster: str | None = None) -> Deferred[bool]:
        return maybeDeferred(self._steer, lambda steering: steering.hold(target, cluster))

    def release(self, target: str, cluster: str | None = None) -> Deferred[bool]:
        return maybeDeferred(self._steer, lambda steering: steering.release(target, cluster))

    def drain_target(self, target: str, cluster: str) -> Deferred[bool]:
        return maybeDeferred(self._steer, lambda steering: steering.drain(target, cluster))

    def enable_target(self, target: str, cluster: str) -> Deferred[bool]:
        return maybeDeferred(self._steer, lambda steering: steering.enable(target, cluster))

    def _steer(self, steer: Callable[[TargetSteering], bool]) -> bool:
        """Steer a target in all services that can: a router can hold any, a pool its own."""
        answers: list[bool] = []
        refusals: list[ProxymuxError] = []
        for service in self._services():
            try:
                answers.append(steer(service.steering))
            except (NotHeld, NoMember) as refusal:
                refusals.append(refusal)
        if refusals and not answers:
            raise refusals[0]
        return any(answers)

    def stacks(self) -> Deferred[str]:
        return maybeDeferred(self._reports.stacks)

    def profile(self, seconds: float) -> Deferred[str]:
        return self._profiler.profile(seconds)

"""What a process says of itself to the admin endpoint, and how the words of several processes become those of one.

Everything is fit for JSON, as a worker sends it to its supervisor.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from proxymux.admin.counters import BYTE_CELLS, Counters, add_up
from proxymux.admin.explaining import explain, listed
from proxymux.core.holding import Hold
from proxymux.session.registry import SessionRegistry
from proxymux.session.trace import Traces
from proxymux.version import __version__

#: The name of the program, for who asks several.
NAME: Final = "proxymux"


class PoolState(Protocol):
    """The pool of a service."""

    def state(self) -> dict[str, float]:
        """The counts of clients and upstreams under pgbouncer's names."""


class HoldingTargets(Protocol):
    """What holds the targets of a service."""

    @property
    def holds(self) -> Sequence[Hold]:
        """Those that are held."""


class ShownClusters(Protocol):
    """The clusters of a service."""

    def show(self) -> dict[str, list[dict[str, Any]]]:
        """The members of each."""

    def ages(self) -> dict[str, float]:
        """Seconds since the source of each was heard last."""


class ReportedService(Protocol):
    """A service, as the reports need it."""

    sessions: SessionRegistry
    counters: Counters | None
    is_draining: bool

    @property
    def service_name(self) -> str:
        """Its name in the access log."""

    @property
    def addresses(self) -> list[str]:
        """Where it listens."""

    @property
    def steering(self) -> HoldingTargets:
        """Holds its targets."""

    @property
    def clusters(self) -> ShownClusters:
        """Its clusters."""

    @property
    def pool(self) -> PoolState | None:
        """Its pool; None if it has none."""

    @property
    def traces(self) -> Traces | None:
        """What is remembered of its sessions; None if nothing is."""


class Reports:
    """Everything that this process says of itself.

    :param services: returns the services that run.
    :param seconds: the clock of their sessions.
    :param worker: the number of this worker among others; None for a process of its own.
    """

    def __init__(
        self,
        services: Callable[[], Sequence[ReportedService]],
        seconds: Callable[[], float],
        worker: int | None = None,
    ) -> None:
        self._services = services
        self._seconds = seconds
        self._started_at = seconds()
        self._worker = worker

    def status_part(self) -> dict[str, Any]:
        """The object of ``/status``, as far as this process knows it."""
        services = [_status_of(each) for each in self._services()]
        connections = sum(each["connections"] for each in services)
        return {
            "name": NAME,
            "version": __version__,
            "uptime_seconds": round(self._seconds() - self._started_at, 3),
            "workers": [{"pid": os.getpid(), "connections": connections}],
            "services": services,
        }

    def counters(self) -> dict[str, list[float]]:
        """The cells of each service that counts, by its name, with the bytes of live sessions."""
        rows: dict[str, list[Counters]] = {}
        for service in self._services():
            if service.counters is not None:
                _count_live(service)
                rows.setdefault(service.service_name, []).append(service.counters)
        return {name: add_up([each.cells for each in counters]) for name, counters in rows.items()}

    def sessions(self, limit: int) -> list[dict[str, Any]]:
        """The live sessions, those that have lasted longest first.

        :param limit: the most of them.
        """
        runners = [runner for service in self._services() for runner in service.sessions.oldest(limit)]
        lines = [listed(runner.snapshot(), runner.state, self._worker) for runner in runners]
        return merge_sessions([lines], limit)

    def session(self, number: int) -> dict[str, Any] | None:
        """What is known of a session that is live, or one of the last that have ended; None of another."""
        for service in self._services():
            runner = service.sessions.find(number)
            if runner is not None:
                return explain(runner.snapshot(), runner.state, runner.trace, self._worker)
        for service in self._services():
            found = service.traces.find(number) if service.traces is not None else None
            if found is not None:
                record, trace = found
                return explain(record, None, trace, self._worker)
        return None

    def close_session(self, number: int) -> bool:
        """End a live session with the outcome ``drained``; False if there is none of that number."""
        for service in self._services():
            runner = service.sessions.find(number)
            if runner is not None:
                runner.drain()
                return True
        return False

    def is_ready(self) -> bool:
        """True if every service listens, and none is draining."""
        services = self._services()
        return bool(services) and all(service.addresses and not service.is_draining for service in services)

    def stacks(self) -> str:
        """Where every thread of the process is now."""
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        parts = []
        for ident, frame in sys._current_frames().items():
            lines = "".join(traceback.format_stack(frame))
            parts.append(f"process {os.getpid()}, thread {names.get(ident, ident)}:\n{lines}")
        return "\n".join(parts)


def _count_live(service: ReportedService) -> None:
    assert service.counters is not None
    # What of a frozen one is counted has been told to the process that may go on with it.
    service.counters.count_live(
        (session.number, *session.delivered) for session in service.sessions if not session.is_held
    )


def _status_of(service: ReportedService) -> dict[str, Any]:
    sessions, counters = service.sessions, service.counters
    bytes_in = bytes_out = None
    if counters is not None:
        _count_live(service)
        bytes_in, bytes_out = (int(counters.cells[BYTE_CELLS + index]) for index in range(2))
    return {
        "service": service.service_name,
        "addresses": service.addresses,
        "connections": len(sessions),
        "most": sessions.most,
        "total": sessions.total,
        "outcomes": dict(sessions.outcomes),
        "bytes_in": bytes_in,
        "bytes_out": bytes_out,
        "draining": service.is_draining,
        "pool": None if service.pool is None else service.pool.state(),
        "clusters": service.clusters.show(),
        "cluster_ages": service.clusters.ages(),
        "holds": [{**hold._asdict(), "seconds": round(hold.seconds, 3)} for hold in service.steering.holds],
    }


# Several processes


def merge_status(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The object of ``/status`` of several workers, from the part of each; there is at least one.

    The services of all workers are the same, in the same order.
    """
    first = parts[0]
    return {
        **first,
        "uptime_seconds": max(part["uptime_seconds"] for part in parts),
        "workers": [worker for part in parts for worker in part["workers"]],
        "services": [_merge_services(each) for each in zip(*(part["services"] for part in parts), strict=False)],
    }


def _merge_services(same: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One service from what each worker says of it; ``most`` is as if they had all had theirs at once."""
    first = same[0]
    return {
        **first,
        "addresses": list(dict.fromkeys(address for each in same for address in each["addresses"])),
        **{key: sum(each[key] for each in same) for key in ("connections", "most", "total")},
        "outcomes": _sums(each["outcomes"] for each in same),
        **{key: _sum_of_known([each[key] for each in same]) for key in ("bytes_in", "bytes_out")},
        "draining": any(each["draining"] for each in same),
        "pool": None if first["pool"] is None else _merge_pools([each["pool"] for each in same]),
        "clusters": {
            name: _merge_targets([each["clusters"].get(name, ()) for each in same]) for name in first["clusters"]
        },
        "cluster_ages": _longest(each["cluster_ages"] for each in same),
        "holds": merge_holds(each["holds"] for each in same),
    }


def _merge_pools(pools: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {**_sums(pools), "maxwait": max(pool["maxwait"] for pool in pools)}


def _merge_targets(lists: Iterable[Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The targets of a cluster; one is up if every worker that knows it uses it."""
    merged: dict[str, dict[str, Any]] = {}
    for target in (target for targets in lists for target in targets):
        known = merged.setdefault(target["target"], {**target, "connections": 0})
        known["up"] = known["up"] and target["up"]
        known["connections"] += target["connections"]
    return list(merged.values())


def merge_holds(lists: Iterable[Iterable[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The targets that any of several processes holds, for as long as the first of them has; who waits is added up."""
    merged: dict[str, dict[str, Any]] = {}
    for hold in (hold for holds in lists for hold in holds):
        known = merged.setdefault(hold["target"], {**hold, "waiting": 0})
        known["seconds"] = max(known["seconds"], hold["seconds"])
        known["waiting"] += hold["waiting"]
    return list(merged.values())


def merge_sessions(parts: Iterable[Iterable[dict[str, Any]]], limit: int) -> list[dict[str, Any]]:
    """The sessions of several workers, those that have lasted longest first; at most ``limit``."""
    together = (session for part in parts for session in part)
    return sorted(together, key=lambda session: -session["seconds"])[:limit]


def _sums(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for each in counts:
        for name, value in each.items():
            total[name] = total.get(name, 0) + value
    return total


def _longest(ages: Iterable[Mapping[str, float]]) -> dict[str, float]:
    longest: dict[str, float] = {}
    for each in ages:
        for name, age in each.items():
            longest[name] = max(age, longest.get(name, 0.0))
    return longest


def _sum_of_known(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None

"""What the supervisor's admin endpoint shows and steers: all workers as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.python.failure import Failure

from proxymux.admin.counters import BYTE_CELLS, OUTCOME_CELLS, SIZE
from proxymux.admin.fleets import Fleets
from proxymux.admin.reports import merge_sessions, merge_status
from proxymux.core.outcome import Outcome
from proxymux.supervisor.place import Place
from proxymux.supervisor.refusals import any_done
from proxymux.supervisor.rows import Rows
from proxymux.supervisor.shared_drains import SharedDrains
from proxymux.supervisor.shared_holds import SharedHolds
from proxymux.supervisor.worker import NoAnswer, Worker

#: Seconds beyond those of a profile that a worker may take to answer.
_PATIENCE: Final = 10.0


class Supervised(Protocol):
    """The supervisor, as its instance needs it."""

    @property
    def places(self) -> list[Place]:
        """Those of all workers."""

    @property
    def workers(self) -> list[Worker]:
        """All processes."""

    @property
    def rows(self) -> Rows:
        """What they have counted."""

    @property
    def holds(self) -> SharedHolds:
        """What they are to hold."""

    @property
    def drains(self) -> SharedDrains:
        """What they are to drain."""

    @property
    def idle_status(self) -> dict[str, Any]:
        """The object of ``/status`` while no worker answers."""

    def reload(self) -> list[str]:
        """Have all workers reload."""

    def drain(self, limit: float | None) -> Deferred[None]:
        """Have all workers stop accepting."""

    def rollover(self) -> None:
        """Replace all workers."""


class WorkersInstance:
    """An :class:`~proxymux.admin.instance.Instance` of all workers of a service.

    A worker that does not answer is left out: its supervisor is about to replace it.
    """

    def __init__(self, supervisor: Supervised) -> None:
        self._supervisor = supervisor
        self.fleets = Fleets()

    def status(self) -> Deferred[dict[str, Any]]:
        return self._ask_all("status").addCallback(self._status)

    def counters(self) -> Deferred[dict[str, list[float]]]:
        # The question has each worker count what its live sessions have delivered.
        return self._ask_all("status").addCallback(self._counters)

    def sessions(self, limit: int) -> Deferred[list[dict[str, Any]]]:
        return self._ask_all("sessions", limit=limit).addCallback(
            lambda parts: merge_sessions([answer for _, answer in parts], limit)
        )

    def session(self, number: int) -> Deferred[dict[str, Any] | None]:
        # Of one that was handed over the old worker knows nothing, and of one that has ended only its own.
        return self._ask_all("session", session=number).addCallback(
            lambda parts: next((answer for _, answer in parts if answer is not None), None)
        )

    def close_session(self, number: int) -> Deferred[bool]:
        return self._ask_all("close_session", session=number).addCallback(
            lambda parts: any(answer for _, answer in parts)
        )

    def is_ready(self) -> Deferred[bool]:
        return succeed(bool(self._supervisor.places) and all(place.is_serving for place in self._supervisor.places))

    def reload(self) -> Deferred[str | None]:
        return self._ask_all("reload").addCallback(_first_problem)

    def drain(self) -> Deferred[None]:
        self._supervisor.drain(None)
        return succeed(None)

    def rollover(self) -> Deferred[str | None]:
        self._supervisor.rollover()
        return succeed(None)

    def hold(self, target: str, cluster: str | None = None) -> Deferred[bool]:
        holds = self._supervisor.holds

        def told(is_new: bool) -> Deferred[bool]:
            return self._steer("hold", target, cluster).addCallbacks(lambda done: is_new or done, forget)

        def forget(failure: Failure) -> Failure:
            holds.release(target)
            return failure

        return maybeDeferred(holds.hold, target).addCallback(told)

    def release(self, target: str, cluster: str | None = None) -> Deferred[bool]:
        was_held = maybeDeferred(self._supervisor.holds.release, target)
        return was_held.addCallback(
            lambda was: self._steer("release", target, cluster).addCallback(lambda done: was or done)
        )

    def drain_target(self, target: str, cluster: str) -> Deferred[bool]:
        return self._note_drain("drain", target, cluster)

    def enable_target(self, target: str, cluster: str) -> Deferred[bool]:
        return self._note_drain("enable", target, cluster)

    def _note_drain(self, verb: str, target: str, cluster: str) -> Deferred[bool]:
        drains, is_drained = self._supervisor.drains, verb == "drain"

        def forget(failure: Failure) -> Failure:
            drains.note(cluster, target, not is_drained)
            return failure

        def told(is_new: bool) -> Deferred[bool]:
            steered = self._steer(verb, target, cluster)
            return steered.addCallbacks(lambda done: is_new or done, forget) if is_new else steered

        return maybeDeferred(drains.note, cluster, target, is_drained).addCallback(told)

    def _steer(self, verb: str, target: str, cluster: str | None) -> Deferred[bool]:
        """Tell every worker, also one that is about to serve: it was started with what was so before."""
        told = self._ask(self._supervisor.workers, verb, target=target, cluster=cluster)
        return told.addCallback(lambda parts: any_done(answer for _, answer in parts))

    def stacks(self) -> Deferred[str]:
        return self._ask_all("stacks").addCallback(_one_below_the_other)

    def profile(self, seconds: float) -> Deferred[str]:
        asked = self._ask_all("profile", patience=seconds + _PATIENCE, seconds=seconds)
        return asked.addCallback(_one_below_the_other)

    def _ask_all(self, what: str, patience: float = _PATIENCE, **details: object) -> Deferred[list[tuple[Worker, Any]]]:
        """Ask every worker that serves or drains.

        :returns: fires with those that have answered, and their answers.
        """
        workers = [worker for worker in self._supervisor.workers if worker.ready_at is not None]
        return self._ask(workers, what, patience, **details)

    def _ask(
        self, workers: Sequence[Worker], what: str, patience: float = _PATIENCE, **details: object
    ) -> Deferred[list[tuple[Worker, Any]]]:
        answers = [worker.ask(what, (), patience, **details).addErrback(_no_answer) for worker in workers]
        done: Deferred[list[tuple[Worker, Any]]] = Deferred()

        def answered(results: list[tuple[bool, Any]]) -> None:
            together = zip(workers, results, strict=True)
            done.callback([(worker, answer) for worker, (_, answer) in together if answer is not _NO_ANSWER])

        DeferredList(answers).addCallback(answered)
        return done

    def _status(self, parts: list[tuple[Worker, Any]]) -> dict[str, Any]:
        supervisor = self._supervisor
        merged = merge_status([part for _, part in parts]) if parts else supervisor.idle_status
        cells = supervisor.rows.counters(SIZE)
        return {
            **merged,
            "uptime_seconds": supervisor.idle_status["uptime_seconds"],
            "workers": [_line(worker, part) for worker, part in parts],
            "workers_wanted": len(supervisor.places),
            "worker_restarts": sum(place.restarts for place in supervisor.places),
            "services": [self._of_all(service, cells) for service in merged["services"]],
        }

    def _of_all(self, service: Mapping[str, Any], cells: list[float]) -> dict[str, Any]:
        return {**_with_totals(service, cells), "holds": self._supervisor.holds.show(service["holds"])}

    def _counters(self, parts: list[tuple[Worker, Any]]) -> dict[str, list[float]]:
        names = [service["service"] for _, part in parts for service in part["services"]]
        return {name: self._supervisor.rows.counters(SIZE) for name in names}


#: Stands for the answer of a worker that has given none.
_NO_ANSWER: Final = object()


def _no_answer(failure: Failure) -> object:
    failure.trap(NoAnswer)
    return _NO_ANSWER


def _line(worker: Worker, part: Mapping[str, Any]) -> dict[str, Any]:
    connections = sum(service["connections"] for service in part["services"])
    return {
        "pid": worker.pid,
        "connections": connections,
        "number": worker.number,
        "draining": worker.is_leaving,
    }


def _with_totals(service: Mapping[str, Any], cells: list[float]) -> dict[str, Any]:
    """The service with what all its processes have counted, also those that have ended."""
    counts = {outcome.value: int(cells[OUTCOME_CELLS + at]) for at, outcome in enumerate(Outcome)}
    return {
        **service,
        "outcomes": {name: count for name, count in counts.items() if count},
        "total": sum(counts.values()) + service["connections"],
        "bytes_in": int(cells[BYTE_CELLS]),
        "bytes_out": int(cells[BYTE_CELLS + 1]),
    }


def _first_problem(parts: list[tuple[Worker, Any]]) -> str | None:
    return next((f"{worker.name}: {problem}" for worker, problem in parts if problem), None)


def _one_below_the_other(parts: list[tuple[Worker, Any]]) -> str:
    return "\n\n".join(f"== {worker.name}, process {worker.pid}\n\n{text}" for worker, text in parts)

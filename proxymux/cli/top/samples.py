"""What an instance says at one time, and the rates that two such samples make."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxymux.cli.admin_client import AdminClient, NotAnswered

#: The counters of a service that rates are made of.
_RATED: Final = {"connections": "total", "bytes_in": "bytes_in", "bytes_out": "bytes_out"}

Shown = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """An instance at one time.

    :param at: in seconds of a monotonic clock.
    :param status: the object of ``/status``.
    :param sessions: the list of ``/sessions``.
    """

    at: float
    status: dict[str, Any]
    sessions: list[dict[str, Any]]


def take(client: AdminClient, sessions: int) -> Sample:
    """Take a sample now.

    :param sessions: the most sessions in it.
    :raises NotAnswered: if the endpoint does not answer.
    """
    status, at = client.status(), time.monotonic()
    found = client.get(f"/sessions?limit={sessions}")
    sample = Sample(at, status, found.get("sessions") if isinstance(found, dict) else None)  # type: ignore[arg-type]
    if not _is_whole(sample):
        raise NotAnswered(f"{client.name}: what answers there is no admin endpoint of this version of proxymux")
    return sample


def _is_whole(sample: Sample) -> bool:
    status, lists = sample.status, [sample.sessions]
    lists += [status.get(key) for key in ("services", "workers")]  # type: ignore[misc]  # or None, which is no list
    if not all(isinstance(each, list) and all(isinstance(item, dict) for item in each) for each in lists):
        return False
    keys = [({"service", "connections", "total"}, status["services"]), ({"id", "service", "client"}, sample.sessions)]
    return all(wanted <= set(each) for wanted, found in keys for each in found)


def compare(before: Sample | None, now: Sample) -> Shown:
    """What is shown: the object of ``/status``, its sessions, and the rates of both.

    :param before: the sample before; without it, and where the instance was restarted meanwhile, rates are None.
    """
    if before is not None and now.status.get("uptime_seconds", 0) < before.status.get("uptime_seconds", 0):
        before = None
    seconds = None if before is None else now.at - before.at
    earlier = {} if before is None else dict(enumerate(before.status["services"]))
    known = {} if before is None else {identify(each): each for each in before.sessions}
    return {
        **now.status,
        "seconds": None if seconds is None else round(seconds, 3),
        "services": [
            {**each, "rates": _rates(earlier.get(at), each, _RATED, seconds)}
            for at, each in enumerate(now.status["services"])
        ],
        "sessions": [
            {**each, "rates": _rates(known.get(identify(each)), each, _OF_SESSIONS, seconds)} for each in now.sessions
        ],
    }


_OF_SESSIONS: Final = {"bytes_in": "bytes_in", "bytes_out": "bytes_out"}


def identify(session: Mapping[str, Any]) -> tuple[Any, ...]:
    """Which session it is; services that share a process count their sessions each by itself."""
    return session["service"], session["id"], session["client"]


def _rates(
    before: Mapping[str, Any] | None, now: Mapping[str, Any], keys: Mapping[str, str], seconds: float | None
) -> dict[str, float | None]:
    return {
        name: _rate(None if before is None else before.get(key), now.get(key), seconds) for name, key in keys.items()
    }


def _rate(before: float | None, now: float | None, seconds: float | None) -> float | None:
    if before is None or now is None or not seconds or now < before:
        return None
    return round((now - before) / seconds, 3)

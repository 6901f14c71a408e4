"""One session in words fit for JSON: as a line of ``/sessions``, and explained as ``/sessions/ID`` shows it."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise
from typing import Any, Final

from proxymux.core.commands import State
from proxymux.core.outcome import Record
from proxymux.printable import printable
from proxymux.session.trace import Trace

#: The phases of a session, each with the field of the record that says how long it took.
_PHASES: Final = {"deciding": "decide_seconds", "connecting": "connect_seconds", "first byte": "first_byte_seconds"}
#: The phase after the last of them that is over, by how many are.
_LAST_PHASES: Final = ("deciding", "connecting", "waiting for the first byte", "joined")
#: The phase after the decision where that names nothing to connect to.
_WITHOUT_TARGET: Final = "closing"
#: What is said of a session that has ended, as the access log does, and not of a live one.
_OF_THE_END: Final = ("outcome", "reason")


def listed(record: Record, state: State, worker: int | None) -> dict[str, Any]:
    """The line of a live session.

    :param record: as it is now.
    :param worker: the number of its worker; None where there are none.
    """
    return {
        "id": record.session,
        "service": record.service,
        "client": record.client,
        "target": record.target,
        "state": state.value,
        "seconds": round(record.seconds, 3),
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "worker": worker,
    }


def explain(record: Record, state: State | None, trace: Trace | None, worker: int | None) -> dict[str, Any]:
    """All that is known of a session.

    :param record: as it is now, or as it was at the end.
    :param state: None if the session has ended.
    :param trace: how it came to that; None if nobody has noted it.
    :param worker: the number of its worker; None where there are none.
    """
    has_ended = state is None
    return {
        **listed(record, state or State.ENDED, worker),
        "local": record.local,
        "time": datetime.fromtimestamp(record.time, timezone.utc).isoformat(timespec="milliseconds"),
        **{key: str(record[key]) if has_ended and record[key] is not None else None for key in _OF_THE_END},
        "note": record.note,
        "tls": record.tls,
        "phases": _phases(record, has_ended),
        "seen": [] if trace is None else list(trace.seen),
        "decided_at": None if trace is None or trace.place is None else printable(trace.place),
        "attempts": [] if trace is None else _attempts(record, trace, has_ended),
    }


def _phases(record: Record, has_ended: bool) -> list[dict[str, Any]]:
    """What the session did from when until when, in seconds from the accept; None for the end of the present phase."""
    ends = [0.0]
    for field in _PHASES.values():
        taken: float | None = getattr(record, field)
        if taken is None:
            break
        ends.append(ends[-1] + taken)
    spans = list(pairwise([*ends, record.seconds if has_ended else None]))
    last = _WITHOUT_TARGET if len(spans) == 2 and record.target is None else _LAST_PHASES[len(spans) - 1]
    names = [*list(_PHASES)[: len(spans) - 1], last]
    return [
        {"phase": name, "from": _rounded(start), "to": _rounded(end)}
        for name, (start, end) in zip(names, spans, strict=True)
    ]


def _attempts(record: Record, trace: Trace, has_ended: bool) -> list[dict[str, Any]]:
    """The attempts to connect, in their order: those that failed, and the one that has not."""
    attempts = [
        {
            "target": printable(str(each.target)),
            "from": _rounded(each.started_at - trace.accepted_at),
            "to": _rounded(each.ended_at - trace.accepted_at),
            "error": printable(each.error),
        }
        for each in trace.failed
    ]
    if trace.started_at is not None:
        ended = None
        if record.decide_seconds is not None and record.connect_seconds is not None:
            ended = record.decide_seconds + record.connect_seconds
        attempts.append(
            {
                "target": record.target,
                "from": _rounded(trace.started_at - trace.accepted_at),
                "to": _rounded(ended),
                "error": "given up with the session" if ended is None and has_ended else None,
            }
        )
    return attempts


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)

"""``proxymux why``: explains one session of a running instance in sentences and a timeline."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from proxymux.cli.admin_client import AdminClient, NotAnswered
from proxymux.cli.meanings import MEANINGS, Meaning
from proxymux.core.outcome import Outcome
from proxymux.printable import printable

_UNKNOWN: Final = Meaning("That outcome is none that this version knows.", "Look at docs/operations.rst of the other.")
#: What the session does now, by the phase that is not over.
_DOING: Final = {
    "deciding": "it is not decided yet",
    "connecting": "its upstream is not connected yet",
    "waiting for the first byte": "it is connected, and its upstream has not sent a byte yet",
    "joined": "it is joined to its upstream",
    "closing": "it is being closed",
}
#: What is said of the end of each phase, in the timeline.
_REACHED: Final = {"connecting": "connected", "first byte": "first byte of the upstream"}


def why(url: str, number: int, as_json: bool) -> int:
    """Explain a session of the instance whose admin endpoint is at ``url``.

    :param number: of the session.
    :param as_json: print what the endpoint says, in one line.
    :returns: the exit status; problems are written to standard error.
    """
    try:
        session = AdminClient(url).get(f"/sessions/{number}")
        lines = [json.dumps(session)] if as_json else explain_lines(session)
    except NotAnswered as error:
        print(f"proxymux why: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


def explain_lines(session: Any) -> list[str]:
    """A session in lines, which are printable whatever is in it.

    :param session: the object of ``/sessions/ID``.
    :raises NotAnswered: if it is none.
    """
    try:
        lines = [*_sentences(session), "", *_timeline(session)]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise NotAnswered("what was answered is no session of this version of proxymux") from None
    return [printable(line) for line in lines]


def _sentences(session: Mapping[str, Any]) -> Iterator[str]:
    target = f" to {session['target']}" if session["target"] else ""
    worker = f", in worker {session['worker']}" if session["worker"] is not None else ""
    yield f"Session {session['id']} of the {session['service']}: from {session['client']}{target}{worker}."
    yield f"It was accepted on {session['local']} at {session['time']}."
    yield from _decision(session)
    yield from _connecting(session)
    if session["tls"]:
        yield f"The client uses TLS: {_pairs(session['tls'])}."
    if session["note"]:
        yield f"The router noted: {_pairs(session['note'])}."
    yield f"It has passed on {_bytes(session['bytes_in'])} from the client and {_bytes(session['bytes_out'])} to it."
    if session["outcome"] is None:
        doing = _DOING.get(session["phases"][-1]["phase"], session["phases"][-1]["phase"])
        yield f"It is live, for {_seconds(session['seconds'])} so far: {doing}."
        return
    yield from _end(session)


def _decision(session: Mapping[str, Any]) -> Iterator[str]:
    seen, place = session["seen"], session["decided_at"]
    first = session["phases"][0]
    if seen:
        times = "once" if len(seen) == 1 else f"{len(seen)} times"
        sizes = ", ".join(map(str, seen[:10])) + (" …" if len(seen) > 10 else "")
        yield f"What decides was asked {times}, about {sizes} byte{'' if seen == [1] else 's'}."
    if len(session["phases"]) > 1:
        by = f", by {place}" if place else ""
        yield f"It was decided after {_seconds(first['to'])}{by}."
    else:
        yield "There was no decision." if session["outcome"] is not None else "There is no decision yet."


def _connecting(session: Mapping[str, Any]) -> Iterator[str]:
    attempts = session["attempts"]
    failed = [each for each in attempts if each["error"] is not None]
    if failed:
        all_of = "all" if len(failed) == len(attempts) else str(len(failed))
        verb = "attempts" if len(attempts) != 1 else "attempt"
        yield f"Of {len(attempts)} {verb} to connect {all_of} failed; the last error was: {failed[-1]['error']}."
    elif attempts and attempts[-1]["to"] is not None:
        yield f"It was connected at the first attempt, within {_seconds(attempts[-1]['to'] - attempts[-1]['from'])}."


def _end(session: Mapping[str, Any]) -> Iterator[str]:
    outcome = session["outcome"]
    meaning = MEANINGS[Outcome(outcome)] if outcome in set(Outcome) else _UNKNOWN
    yield f"It ended after {_seconds(session['seconds'])} as {outcome}: {meaning.what}"
    if session["reason"]:
        yield f"The reason: {session['reason']}."
    yield meaning.hint


def _timeline(session: Mapping[str, Any]) -> Iterator[str]:
    """What happened when, in seconds since the accept."""
    events = [(0.0, f"accepted on {session['local']}")]
    phases = session["phases"]
    if len(phases) > 1:
        by = f" by {session['decided_at']}" if session["decided_at"] else ""
        events.append((phases[0]["to"], f"decided{by}"))
    for at, attempt in enumerate(session["attempts"], 1):
        events.append((attempt["from"], f"attempt {at} to connect to {attempt['target']}"))
        if attempt["error"] is not None:
            events.append((attempt["to"], f"attempt {at} failed: {attempt['error']}"))
    events += [
        (each["to"], _REACHED[each["phase"]]) for each in phases if each["phase"] in _REACHED and each["to"] is not None
    ]
    events.sort(key=lambda event: event[0])
    amounts = f"{_bytes(session['bytes_in'])} in, {_bytes(session['bytes_out'])} out"
    last = f"ended: {session['outcome']}" if session["outcome"] is not None else f"now: {session['state']}"
    events.append((session["seconds"], f"{last}, {amounts}"))
    width = max(len(f"{when:.6f}") for when, _ in events)
    for when, what in events:
        yield f"{when:{width}.6f}  {what}"


def _seconds(value: float) -> str:
    return f"{value:.6f} s" if value < 0.001 else f"{value:.3f} s"


def _bytes(value: int) -> str:
    return f"{value} byte{'' if value == 1 else 's'}"


def _pairs(texts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in texts.items())

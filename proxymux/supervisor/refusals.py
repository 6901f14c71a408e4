"""How a worker tells its supervisor that it cannot do with a target what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from proxymux.errors import NoMember, NotHeld, ProxymuxError
from proxymux.supervisor.channel import Message

#: The errors that are told, by their names.
_KINDS: Final[dict[str, type[ProxymuxError]]] = {kind.__name__: kind for kind in (NoMember, NotHeld)}


def or_refusal(steer: Callable[[], bool]) -> bool | Message:
    """What ``steer`` returns, or in its place the error that it raises, fit for JSON."""
    try:
        return steer()
    except (NoMember, NotHeld) as refusal:
        return {"refused": type(refusal).__name__, "text": str(refusal)}


def any_done(answers: Iterable[Any]) -> bool:
    """Whether what the workers were told has changed anything at one of them.

    :param answers: each True, False or a refusal.
    :raises NoMember: if all have refused so.
    :raises NotHeld: likewise.
    """
    told = list(answers)
    refusals = [answer for answer in told if isinstance(answer, dict)]
    if refusals and len(refusals) == len(told):
        raise _KINDS[refusals[0]["refused"]](refusals[0]["text"])
    return any(answer is True for answer in told)

"""The setting that is a number of worker processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from proxymux.fields.numbers import number_text
from proxymux.fields.setting import Setting

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from proxymux.fields.setting import Presentation

#: The most workers of one service.
MOST_WORKERS: Final = 32
_AUTO: Final = "auto"
_OFF: Final = "off"


class Workers(Setting["int | None", "int | str | None"]):
    """A number of worker processes, ``auto`` for one a core that this process may use, or ``off``, which is None."""

    metavar = "N"

    def __init__(self, default: int | None, help: str, **presentation: Unpack[Presentation]) -> None:
        accepted = f"a whole number from 1 to {MOST_WORKERS}, auto for one a core, or off"
        super().__init__(default, help, accepted, **presentation)
        self.bounds_text = f", 1 to {MOST_WORKERS}, auto for one a core, or off"

    def _convert(self, given: object) -> int | None:
        if given is None or given == _OFF:
            return None
        if given == _AUTO:
            return min(_cores(), MOST_WORKERS)
        text = number_text(given)
        if not text.isascii() or not text.isdecimal() or len(text) > 3 or not 1 <= int(text) <= MOST_WORKERS:
            raise ValueError
        return int(text)

    def _text_of_default(self) -> str:
        return _OFF


def _cores() -> int:
    """The number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""The kinds of settings there are.  A setting knows its name, unit, default, bounds, how it is read, and its help.

A setting is a descriptor that stands in a dataclass, annotated with its own kind.  So type checkers know what may be
given for it (what ``__set__`` takes) and what is read (what ``__get__`` returns), of the constructor too; and options,
keyword arguments, messages and the tables of the docs are made from it.
"""

from __future__ import annotations

from proxymux.fields.numbers import Count, Duration, OptionalCount, OptionalDuration
from proxymux.fields.setting import Setting
from proxymux.fields.texts import (
    AbsoluteFile,
    Choice,
    Flag,
    OptionalChoice,
    OptionalText,
    Secret,
    Switch,
    Text,
    Values,
    Whatever,
    in_words,
)

__all__ = [
    "AbsoluteFile",
    "Choice",
    "Count",
    "Duration",
    "Flag",
    "OptionalChoice",
    "OptionalCount",
    "OptionalDuration",
    "OptionalText",
    "Secret",
    "Setting",
    "Switch",
    "Text",
    "Values",
    "Whatever",
    "in_words",
]
